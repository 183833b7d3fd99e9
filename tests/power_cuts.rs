//! Every order of events, with power cuts anywhere: what must be true is true in every world that the node can reach.

use steadfast_core::At;
use steadfast_tests::simulated::disk::Data;
use steadfast_tests::simulated::story::walk;
use steadfast_tests::simulated::world::World;

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

fn holds(start: World) {
    let walk = walk(start).unwrap_or_else(|story| panic!("{story}"));
    println!("{walk:?}");
    assert!(walk.worlds > 10_000, "the walk is a walk: {walk:?}");
}
