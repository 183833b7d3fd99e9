//! The boot script's choice, told again: `image-build/boot/boot.cmd.in`.

use super::disk::{COMMITTED, Content, Disk};
use super::plug::{Plug, PowerCut};
use steadfast_core::Slot;
use steadfast_core::boot_env::BootEnv;

/// How often the script gives the slots one more attempt.
const REARMS: u8 = 1;

/// Whether the kernel of a slot that is not whole can be loaded all the same: the root may be what is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BrokenSlot {
    /// It cannot; the script goes on to the next slot.
    CannotBeLoaded,
    /// It can, and dies.
    StartsAndDies,
}

/// Whether the script can write down that it counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// It can.
    IsSaved,
    /// It cannot; the slot starts all the same.
    IsLost,
}

/// What the script ended in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chosen {
    /// This slot's kernel started.
    Slot(Slot),
    /// No slot can boot: the defined rest.
    Rest,
}

/// Reads the boot environment, counts an attempt down and starts a slot.
pub fn choose(
    disk: &mut Disk,
    plug: &mut Plug,
    broken: BrokenSlot,
    count: Count,
) -> Result<Chosen, PowerCut> {
    let mut save = |env: &mut BootEnv, disk: &mut Disk| match count {
        Count::IsSaved => save(disk, plug, env),
        Count::IsLost => Ok(()),
    };
    let mut env = disk.boot_env().env;
    env.left = env.left.map(|left| left.min(COMMITTED));
    env.rearms = env.rearms.min(REARMS);
    loop {
        for slot in env.order.clone() {
            if env.left[slot as usize] == 0 {
                continue;
            }
            env.left[slot as usize] -= 1;
            save(&mut env, disk)?;
            let whole = disk.slots[slot as usize] != Content::Broken;
            if whole || broken == BrokenSlot::StartsAndDies {
                return Ok(Chosen::Slot(slot));
            }
        }
        if env.rearms >= REARMS {
            env.rearms = 0;
            save(&mut env, disk)?;
            return Ok(Chosen::Rest);
        }
        env.rearms += 1;
        if env.order.is_empty() {
            env.order.extend(Slot::ALL);
        }
        env.left = Slot::ALL.map(|slot| u8::from(env.order.contains(&slot)));
        save(&mut env, disk)?;
    }
}

fn save(disk: &mut Disk, plug: &mut Plug, env: &mut BootEnv) -> Result<(), PowerCut> {
    env.sequence = disk.boot_env().env.sequence + 1;
    disk.write_boot_env(plug, env)
}
