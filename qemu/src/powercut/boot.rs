//! A whole boot after a cut: the node has to come to rest, its memory whole, and its update ended as it may end.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use super::disk::Disk;
use super::ending::{self, End};
use crate::disks;
use crate::guest::Guest;
use crate::lab::Lab;
use crate::machine::{self, Parts};
use crate::status::Status;
use crate::timeline::{Show, Timeline};

/// All boots that the node needs until it rests: of a trial that goes on, and back.
const REST: Duration = Duration::from_secs(1200);

/// Powers on a node with `disk`, which stays as it is; returns what it runs in the end, or what is wrong with that.
pub(super) fn rest(
    lab: &Lab,
    disk: &Disk,
    folder: &Path,
    ends: &[End],
) -> Result<Result<String, String>> {
    let overlay = folder.join("boot.qcow2");
    disks::overlay(&disk.path, &overlay)?;
    let parts = Parts { disk: machine::Disk::Layered(overlay), ..lab.parts(folder, None)? };
    let timeline = Timeline::start(Show::Kept);
    let mut guest = Guest::start(lab.qemu(), &parts, &folder.join("boot.log"), &timeline)?;
    if let Err(error) = guest.await_idle(REST) {
        return Ok(Err(format!("the node did not come to rest: {error:#}")));
    }
    let status = guest.rest(lab.boot_limit())?;
    let history = guest.history()?;
    Ok(fault(&status)
        .or_else(|| ending::fault(&status, &history, ends))
        .map_or_else(|| Ok(format!("{} in {}", status.system.version, status.system.slot)), Err))
}

/// What is wrong with a node that rests.
fn fault(status: &Status) -> Option<String> {
    let Status { system, update, ledger, .. } = status;
    let wanted = [
        ("it is", &*system.standing, &["committed"][..]),
        ("its update is", &*update.state, &["idle"]),
        ("its ledger is kept in", &*ledger.kept, &["data"]),
        ("its ledger's chain is", &*ledger.chain, &["whole"]),
    ];
    wanted
        .into_iter()
        .find(|(_, found, wanted)| !wanted.contains(found))
        .map(|(what, found, _)| format!("the node rests, but {what} {found}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Change<'c> = &'c dyn Fn(&mut Status);

    fn status(change: Change) -> Status {
        let mut status = crate::status::tests::status();
        change(&mut status);
        status
    }

    #[test]
    fn a_node_rests_well_only_when_it_is_committed_and_its_memory_whole() {
        assert_eq!(fault(&status(&|_| ())), None);
        let wrong: [(Change, &str); 4] = [
            (&|status| status.system.standing = "probation".into(), "it is probation"),
            (&|status| status.update.state = "ready".into(), "its update is ready"),
            (&|status| status.ledger.kept = "memory".into(), "kept in memory"),
            (&|status| status.ledger.chain = "broken".into(), "chain is broken"),
        ];
        for (change, words) in wrong {
            let fault = fault(&status(change)).expect("it is not well");
            assert!(fault.contains(words), "{fault}");
        }
    }
}
