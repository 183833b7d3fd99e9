//! The plug in the wall: power is lost at one effect, and what that effect leaves is a choice.

/// What an effect leaves behind when the power is lost while it happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaves {
    /// Nothing: it was still in a cache.
    Nothing,
    /// A part of it.
    Part,
    /// All of it, but nobody was told.
    All,
}

impl Leaves {
    /// Each way.
    pub const EACH: [Leaves; 3] = [Leaves::Nothing, Leaves::Part, Leaves::All];
}

/// Power was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PowerCut;

/// When the power is lost.
#[derive(Clone, Copy, Debug)]
pub struct Plug {
    effects_left: u32,
    leaves: Leaves,
}

impl Plug {
    /// It stays in the wall.
    pub fn in_the_wall() -> Plug {
        Plug { effects_left: u32::MAX, leaves: Leaves::All }
    }

    /// It is pulled during this effect, counted from zero.
    pub fn pulled_at(effect: u32, leaves: Leaves) -> Plug {
        Plug { effects_left: effect, leaves }
    }

    /// One effect: `change` makes it happen as far as it is told to.
    pub fn effect(&mut self, change: impl FnOnce(Leaves)) -> Result<(), PowerCut> {
        match self.effects_left.checked_sub(1) {
            Some(left) => {
                self.effects_left = left;
                change(Leaves::All);
                Ok(())
            }
            None => {
                change(self.leaves);
                Err(PowerCut)
            }
        }
    }
}
