//! Every order of events, with power cuts anywhere: what must be true is true in every world that the node can reach.

use steadfast_core::{At, Cause, Event, Node, Offer, Outcome};
use steadfast_tests::simulated::disk::Data;
use steadfast_tests::simulated::plug::Leaves;
use steadfast_tests::simulated::story::walk;
use steadfast_tests::simulated::world::{Answer, Course, Power, Step, World};

/// One new release, offered again and again, and two power cuts.
#[test]
fn no_two_power_cuts_leave_the_node_half_updated() {
    holds(World::new(&[("2", At::Now)], 2));
}

/// One new release that waits for its window, is cancelled or not, and one power cut.
#[test]
fn no_power_cut_around_a_window_leaves_the_node_half_updated() {
    holds(World::new(&[("2", At::Window)], 1));
}

/// Two new releases, and resets at any time.
#[test]
fn no_order_of_two_releases_and_resets_leaves_the_node_half_updated() {
    holds(World::new(&[("2", At::Now), ("3", At::Now)], 0));
}

/// One new release, and one fault: /data cannot be written or not even read for a while, or the boot script cannot write
/// down that it counted.
#[test]
fn no_fault_of_the_disk_leaves_the_node_half_updated() {
    holds(World::new(&[("2", At::Now)], 0).with_a_fault(&[Data::ReadOnly, Data::Gone]));
}

/// The same, with one power cut, where /data can always be read.
#[test]
fn no_power_cut_beside_a_fault_of_the_disk_leaves_the_node_half_updated() {
    holds(World::new(&[("2", At::Now)], 1).with_a_fault(&[Data::ReadOnly]));
}

/// One new release, one power cut, and a source that is asked again and may hold another bundle by then.
#[test]
fn no_source_that_changes_between_two_attempts_leaves_the_node_half_updated() {
    holds(World::new(&[("2", At::Now)], 1).with_attempts(2));
}

/// How often a bundle is asked for, and written.
const INSTALLS: u8 = 3;

#[test]
fn an_install_that_brings_the_node_down_each_time_ends_with_its_cause() {
    for (left, cause) in [
        (None, Cause::Power),
        (Some(Cause::Panic), Cause::Panic),
        (Some(Cause::Watchdog), Cause::Watchdog),
    ] {
        ends_with(cause, |world| happens(world, &Step::Reset(left.clone())));
    }
    ends_with(Cause::Power, |world| {
        let outcomes = world.after(&Step::Port(Answer::Done)).expect("no promise is broken");
        let half = outcomes.into_iter().find(|(cut, _)| *cut == Some((1, Leaves::Part)));
        half.expect("its second effect is the first write to the slot").1
    });
}

/// A node that goes down like this in each install ends its update so, and takes the next one.
fn ends_with(cause: Cause, down: impl Fn(&World) -> World) {
    let new = World::new(&[("2", At::Now)], INSTALLS).with_attempts(INSTALLS);
    let settled = goes_on(new, |_| unreachable!("nothing is offered")).0;
    let offer = Offer { source: "2".try_into().expect("short"), at: At::Now, content: None };
    let offered = happens(&settled, &Step::Heard(Event::Announced(offer).into()));
    let (world, installs) = goes_on(offered, down);
    assert_eq!(installs, INSTALLS);
    let last = node(&world).last.as_ref().expect("an ending");
    let found = last.failure.as_ref().map(|failure| &failure.cause);
    assert_eq!((last.outcome, found), (Outcome::Failed, Some(&cause)));
    assert!(node(&world).refused.is_empty(), "what never ran is not refused");
    assert_eq!(node(&world).admits_update(), Ok(()));
}

/// Goes on until the node rests, and goes down so in each install; in how many it did.
fn goes_on(mut world: World, down: impl Fn(&World) -> World) -> (World, u8) {
    let mut installs = 0;
    for _ in 0..60 {
        world = match world.next_step(Course::WritesBringItDown) {
            None => return (world, installs),
            Some(Step::Reset(_)) => {
                installs += 1;
                down(&world)
            }
            Some(step) => happens(&world, &step),
        };
    }
    panic!("the node comes to rest, and not after {installs} installs: {:?}", node(&world));
}

fn happens(world: &World, step: &Step) -> World {
    world.undisturbed(step).expect("no promise is broken")
}

fn node(world: &World) -> &Node {
    let Power::On(running) = &world.power else { panic!("a node that rests runs") };
    &running.saved.node
}

fn holds(start: World) {
    let walk = walk(start).unwrap_or_else(|story| panic!("{story}"));
    println!("{walk:?}");
    assert!(walk.worlds > 10_000, "the walk is a walk: {walk:?}");
}
