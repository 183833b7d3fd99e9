//! Walks every world that can be reached, the nearest first, so that a broken promise is told by its shortest story.

use super::world::{Answer, Power, World};
use std::collections::{HashMap, VecDeque};
use std::fmt::Write;

/// The longest way to rest, in steps; each boot is one.
const LONGEST: usize = 60;

/// What the walk saw.
#[derive(Debug, Default)]
pub struct Walk {
    /// Worlds, each counted once.
    pub worlds: usize,
    /// Steps between them, cuts included.
    pub steps: usize,
    /// Of these, steps in which the power was lost during an effect.
    pub cuts: usize,
    /// The most steps that any world needs to come to rest.
    pub longest_way_to_rest: usize,
}

/// How a world was reached: from which one, by which of its steps, and which of the outcomes.
type Way = (usize, u16, u16);

struct Map {
    known: HashMap<u128, usize>,
    ways: Vec<Option<Way>>,
    /// Where each world goes when all goes well, for each verdict; nowhere when it rests.
    well: Vec<[Option<u128>; 2]>,
}

/// The verdicts on systems that nobody vouched for.
const VERDICTS: [Answer; 2] = [Answer::Done, Answer::Failed];

/// Walks everything that can come of `start`. `Err` is the shortest story that breaks a promise.
pub fn walk(start: World) -> Result<Walk, String> {
    let print = start.fingerprint();
    let mut map = Map { known: HashMap::from([(print, 0)]), ways: vec![None], well: Vec::new() };
    let mut queue = VecDeque::from([(0, start.clone())]);
    let mut walk = Walk::default();
    while let Some((at, world)) = queue.pop_front() {
        let mut well = [None; 2];
        for (verdict, well) in VERDICTS.into_iter().zip(&mut well) {
            if let Some(step) = world.goes_well(verdict) {
                let next = world.undisturbed(&step);
                let next = next.map_err(|promise| map.story(&start, at, promise))?;
                *well = Some(next.fingerprint());
            } else if let Some(promise) = world.rests_badly() {
                return Err(map.story(&start, at, promise));
            }
        }
        map.well.push(well);
        for (by, step) in world.steps().into_iter().enumerate() {
            let next = world.after(&step).map_err(|promise| {
                let mut story = map.story(&start, at, promise);
                let _ = writeln!(story, "then {step:?}");
                story
            })?;
            for (outcome, (cut, next)) in next.into_iter().enumerate() {
                walk.steps += 1;
                walk.cuts += usize::from(cut.is_some());
                let print = next.fingerprint();
                if !map.known.contains_key(&print) {
                    map.known.insert(print, map.ways.len());
                    queue.push_back((map.ways.len(), next));
                    map.ways.push(Some((at, short(by), short(outcome))));
                }
            }
        }
    }
    walk.worlds = map.ways.len();
    walk.longest_way_to_rest = map.comes_to_rest(&start)?;
    Ok(walk)
}

fn short(number: usize) -> u16 {
    number.try_into().expect("a world has few ways on")
}

impl Map {
    /// Whether every world comes to rest when all goes well from there on; the most steps that one takes.
    fn comes_to_rest(&self, start: &World) -> Result<usize, String> {
        let mut most = 0;
        for first in 0..self.well.len() {
            for verdict in 0..VERDICTS.len() {
                let (mut at, mut steps) = (first, 0);
                while let Some(next) = self.well[at][verdict] {
                    (at, steps) = (self.known[&next], steps + 1);
                    if steps > LONGEST {
                        return Err(self.story(start, first, "the node comes to rest"));
                    }
                }
                most = most.max(steps);
            }
        }
        Ok(most)
    }

    /// The way to a world, told step by step.
    fn story(&self, start: &World, mut at: usize, promise: &str) -> String {
        let mut ways = Vec::new();
        while let Some((from, step, outcome)) = &self.ways[at] {
            ways.push((*step, *outcome));
            at = *from;
        }
        let mut story = format!("{promise}: broken by\n");
        let mut world = start.clone();
        for (step, outcome) in ways.into_iter().rev() {
            let step = world.steps().swap_remove(usize::from(step));
            let outcomes = world.after(&step).expect("it was walked before");
            let (cut, next) =
                outcomes.into_iter().nth(outcome.into()).expect("it was walked before");
            world = next;
            let stands = match &world.power {
                Power::Off => "off".to_owned(),
                Power::On(running) => {
                    let node = &running.saved.node;
                    format!("{} in slot {}", node.update.name(), node.booted)
                }
            };
            let cut =
                cut.map(|(effect, leaves)| format!(", cut at effect {effect} leaving {leaves:?}"));
            let _ = writeln!(story, "  {step:?}{}: {stands}", cut.unwrap_or_default());
        }
        let _ = writeln!(story, "{:?}", world.disk.boot_env().env);
        story
    }
}
