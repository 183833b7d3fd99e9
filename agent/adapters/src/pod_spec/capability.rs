//! What a container may do of what root may.

use crate::manifest::{GIVEN, OTHERS, Security};
use std::collections::BTreeSet;

/// Its capabilities, with `CAP_`, in the order of their names: what every container has, with `add` and without `drop`.
///
/// `ALL` counts first, so that `drop: [ALL], add: [CHOWN]` leaves one, and `add: [ALL], drop: [CHOWN]` all but one
/// (`customopts.WithCapabilities` of containerd).
pub(super) fn capabilities(security: &Security) -> Vec<String> {
    let all = || GIVEN.iter().chain(&OTHERS).copied().filter(|name| *name != "ALL");
    let mut held: BTreeSet<&str> = GIVEN.into_iter().collect();
    if security.privileged {
        held = all().collect();
    } else {
        if security.add.contains(&"ALL") {
            held = all().collect();
        }
        if security.drop.contains(&"ALL") {
            held.clear();
        }
        held.extend(security.add.iter().filter(|name| **name != "ALL"));
        held.retain(|name| !security.drop.contains(name));
    }
    held.into_iter().map(|name| format!("CAP_{name}")).collect()
}
