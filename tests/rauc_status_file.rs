//! RAUC's own record of its slots, in `data-directory`: full, read-only, lost or broken.

use std::{fs, path::PathBuf};

use steadfast_core::{Cause, Failure};

use super::rauc_host::{
    RaucHost, Setup,
    agent::Agent,
    bundles::{Recipe, image},
    disks::Small,
    own_process::alone,
    steps::text,
};

/// A node and a good release for it.
async fn node() -> (RaucHost, PathBuf) {
    let host = RaucHost::start_with(Setup::node()).await;
    let bundle = host.bundle("release", &Recipe::release());
    (host, bundle)
}

/// A node whose record lies on a small disk.
async fn node_with_small_data() -> (RaucHost, PathBuf, Small) {
    let (host, bundle) = node().await;
    let data = Small::at(&host.path("data"), "64k");
    host.restart_service().await;
    (host, bundle, data)
}

/// Nothing was written, A stays the primary, and the release is not to blame.
async fn stays(host: &RaucHost, failure: Failure, cause: Cause) {
    assert_eq!(failure.cause, cause, "{}", failure.evidence);
    assert!(!failure.cause.blames_release());
    assert!(failure.evidence.contains("Error while writing status file"), "{}", failure.evidence);
    assert!(failure.evidence.contains("central.raucs"), "{}", failure.evidence);
    assert_eq!(host.read("slots/B"), b"old");
    assert_eq!(host.installer.primary().await.expect("the backend answers"), "rootfs.0");
    assert_eq!(host.boot_changes(), ["set-state B bad"]);
}

#[test]
fn a_full_disk_under_raucs_record_ends_an_install_before_the_first_byte() {
    alone(async || {
        let (host, bundle, data) = node_with_small_data().await;
        data.fill();
        let failure = Agent::new().update(text(&bundle)).await.expect_err("there is no room");
        stays(&host, failure, Cause::Space).await;
        data.empty();
        assert_eq!(Agent::new().update(text(&bundle)).await, Ok(()), "there is room again");
    });
}

#[test]
fn a_read_only_disk_under_raucs_record_ends_an_install_before_the_first_byte() {
    alone(async || {
        let (host, bundle, data) = node_with_small_data().await;
        data.make_read_only();
        let failure = Agent::new().update(text(&bundle)).await.expect_err("it is read-only");
        stays(&host, failure, Cause::Write).await;
    });
}

#[test]
fn a_record_that_is_lost_before_the_install_is_a_write_error() {
    alone(async || {
        let (host, bundle) = node().await;
        let mut agent = Agent::new();
        assert_eq!(agent.verify(text(&bundle)).await, Ok(()));
        fs::remove_dir_all(host.path("data")).expect("an own directory");
        let failure = agent.install().await.expect_err("there is no folder for the record");
        stays(&host, failure, Cause::Write).await;
        // RAUC makes its folder when it starts.
        host.restart_service().await;
        assert_eq!(Agent::new().update(text(&bundle)).await, Ok(()));
    });
}

#[test]
fn a_broken_record_does_not_stop_an_install_and_is_written_anew() {
    alone(async || {
        let (host, bundle) = node().await;
        let record = host.path("data/central.raucs");
        for broken in [&b"\xff\xfe\0\0[slot.rootfs.1\nstatus=ok\nbundle.hash"[..], b"", b"[["] {
            fs::write(&record, broken).expect("an own directory is writable");
            host.restart_service().await;
            let mut agent = Agent::new();
            assert_eq!(agent.verify(text(&bundle)).await, Ok(()));
            fs::write(&record, broken).expect("an own directory is writable");
            assert_eq!(agent.install().await, Ok(()));
            assert_eq!(host.read("slots/B"), image(2));
            let record = fs::read_to_string(&record).expect("RAUC writes text");
            assert!(record.contains("[slot.rootfs.1]"), "{record}");
        }
    });
}
