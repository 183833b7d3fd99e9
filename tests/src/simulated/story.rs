//! Walks every world that can be reached, the nearest first, so that a broken promise is told by its shortest story.

use super::world::{Course, Power, World};
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
    /// Where each world goes on each course; nowhere when it rests.
    next: Vec<[Option<u128>; 3]>,
}

/// On each of these every world has to come to rest.
const COURSES: [Course; 3] = [Course::Healthy, Course::Sick, Course::WritesBringItDown];

/// Walks everything that can come of `start`. `Err` is the shortest story that breaks a promise.
pub fn walk(start: World) -> Result<Walk, String> {
    let print = start.fingerprint();
    let mut map = Map { known: HashMap::from([(print, 0)]), ways: vec![None], next: Vec::new() };
    let mut queue = VecDeque::from([(0, start.clone())]);
    let mut walk = Walk::default();
    while let Some((at, world)) = queue.pop_front() {
        let next = next_of(&world).map_err(|promise| map.story(&start, at, promise))?;
        map.next.push(next);
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

/// Where each course leads from here; a broken promise otherwise. Most steps are the same on all of them.
fn next_of(world: &World) -> Result<[Option<u128>; 3], &'static str> {
    let steps = COURSES.map(|course| world.next_step(course));
    let mut next = [None; 3];
    for (at, step) in steps.iter().enumerate() {
        next[at] = match step {
            Some(step) if at > 0 && steps[0].as_ref() == Some(step) => next[0],
            Some(step) => Some(world.undisturbed(step)?.fingerprint()),
            None => None,
        };
    }
    let resting = steps.contains(&None).then(|| world.rests_badly()).flatten();
    match resting {
        Some(promise) => Err(promise),
        None => Ok(next),
    }
}

fn short(number: usize) -> u16 {
    number.try_into().expect("a world has few ways on")
}

impl Map {
    /// Whether every world comes to rest on each course from there on; the most steps that one takes.
    fn comes_to_rest(&self, start: &World) -> Result<usize, String> {
        let mut most = 0;
        for first in 0..self.next.len() {
            for course in 0..COURSES.len() {
                let (mut at, mut steps) = (first, 0);
                while let Some(next) = self.next[at][course] {
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
