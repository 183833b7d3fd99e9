//! Every order of events, with power cuts anywhere: what must be true is true in every world that the node can reach.

use expect_test::{Expect, expect};
use steadfast_core::{At, Cause, Event, Node, Offer, Outcome};
use steadfast_tests::simulated::disk::Data;
use steadfast_tests::simulated::plug::Leaves;
use steadfast_tests::simulated::story::{Walk, walk};
use steadfast_tests::simulated::world::{Answer, Course, Power, Step, World};

/// One new release, offered again and again, and two power cuts. What one of them cut off is installed anew.
#[test]
fn no_two_power_cuts_leave_the_node_half_updated() {
    let start = World::new(&[("2", At::Now)], 2).with_attempts(2);
    holds(start, expect!["1667390 worlds, 33843722 steps, 23603586 cut, 16 to rest"]);
}

/// One new release that waits for its window, is cancelled or not, and one power cut.
#[test]
fn no_power_cut_around_a_window_leaves_the_node_half_updated() {
    let start = World::new(&[("2", At::Window)], 1).with_attempts(2);
    holds(start, expect!["847906 worlds, 11728209 steps, 6485490 cut, 17 to rest"]);
}

/// Two new releases, and resets at any time.
#[test]
fn no_order_of_two_releases_and_resets_leaves_the_node_half_updated() {
    let start = World::new(&[("2", At::Now), ("3", At::Now)], 0).with_attempts(2);
    holds(start, expect!["4156580 worlds, 26223218 steps, 0 cut, 16 to rest"]);
}

/// One new release, and one fault: /data cannot be written or not even read for a while, or the boot script cannot write
/// down that it counted.
#[test]
fn no_fault_of_the_disk_leaves_the_node_half_updated() {
    let start = World::new(&[("2", At::Now)], 0).with_a_fault(&[Data::ReadOnly, Data::Gone]);
    holds(start.with_attempts(2), expect!["5181552 worlds, 29630835 steps, 0 cut, 16 to rest"]);
}

/// The same, with one power cut, where /data can always be read, and an install that is cut off ends.
#[test]
fn no_power_cut_beside_a_fault_of_the_disk_leaves_the_node_half_updated() {
    let start = World::new(&[("2", At::Now)], 1).with_a_fault(&[Data::ReadOnly]);
    holds(start, expect!["3757974 worlds, 39561664 steps, 19766670 cut, 16 to rest"]);
}

/// One new release, one power cut, and a source that is asked again and may hold another bundle by then.
#[test]
fn no_source_that_changes_between_two_attempts_leaves_the_node_half_updated() {
    let start = World::new(&[("2", At::Now)], 1).with_attempts(3);
    holds(start, expect!["1117369 worlds, 15407105 steps, 8513004 cut, 22 to rest"]);
}

/// One new release that brings a workload set, and one power cut, at each write of the store of sets as well.
#[test]
fn no_power_cut_parts_a_system_from_its_workloads() {
    let start = World::new(&[("2", At::Now)], 1).with_attempts(2).with_a_set("2");
    holds(start, expect!["981436 worlds, 13578775 steps, 7511613 cut, 18 to rest"]);
}

/// The same, where /data cannot be written for a while.
#[test]
fn no_fault_of_the_disk_parts_a_system_from_its_workloads() {
    let start = World::new(&[("2", At::Now)], 0).with_a_fault(&[Data::ReadOnly]);
    holds(start.with_a_set("2"), expect!["1699415 worlds, 8982649 steps, 0 cut, 17 to rest"]);
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
    let offer =
        Offer { source: "2".try_into().expect("short"), at: At::Now, content: None, set: None };
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

/// Every promise, in as many worlds as are known: a plug that never cuts, or a step that is not tried any more, shows.
fn holds(start: World, figures: Expect) {
    let cut = start.cuts > 0;
    let walk = walk(start).unwrap_or_else(|story| panic!("{story}"));
    assert_eq!(walk.cuts > 0, cut, "power is lost where it may be, and nowhere else: {walk:?}");
    let Walk { worlds, steps, cuts, longest_way_to_rest } = walk;
    let found =
        format!("{worlds} worlds, {steps} steps, {cuts} cut, {longest_way_to_rest} to rest");
    figures.assert_eq(&found);
}
