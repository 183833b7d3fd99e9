//! Slots that cannot be written: which cause, and that the node stays what it was.

use std::path::PathBuf;

use rauc_bindings::{BootStatus, WriteStatus};
use steadfast_core::{Cause, Failure};

use super::rauc_host::{
    RaucHost, Setup,
    agent::Agent,
    bundles::Recipe,
    disks::{Mounted, Small},
    own_process::{self, alone},
    steps::{slot, text},
    tools::{Loop, Mode},
};

/// A node whose slot B is this device.
async fn node_with(target: PathBuf) -> RaucHost {
    RaucHost::start_with(Setup { target: Some(target), ..Setup::node() }).await
}

async fn update(host: &RaucHost) -> Failure {
    let bundle = host.bundle("release", &Recipe::release());
    Agent::new().update(text(&bundle)).await.expect_err("the slot cannot be written")
}

#[track_caller]
fn ended(failure: &Failure, cause: Cause, words: &str) {
    assert_eq!(failure.cause, cause, "{}", failure.evidence);
    assert!(failure.evidence.contains(words), "{}", failure.evidence);
    assert!(!failure.cause.blames_release(), "the disk is to blame");
}

/// A still is the primary, B may not boot, and nothing was activated.
async fn stays(host: &RaucHost) {
    assert_eq!(host.installer.primary().await.expect("the backend answers"), "rootfs.0");
    assert_eq!(slot(host, "rootfs.1").await.boot_status, Some(BootStatus::Bad));
    assert_eq!(host.boot_changes(), ["set-state B bad"]);
}

/// A folder that only this test has, made before its host.
fn folder() -> PathBuf {
    let folder = own_process::folder().expect("the test runs in a process of its own");
    let folder = folder.join("disk.d");
    std::fs::create_dir(&folder).expect("a fresh name");
    folder
}

#[test]
fn a_disk_that_loses_what_it_was_given_is_a_write_error() {
    alone(async || {
        // Every write is taken and then cannot be kept: only the flush says so, as with a worn-out disk.
        let folder = folder();
        let _worn = Small::at(&folder, "1m");
        let disk = Loop::over(folder.join("disk"), 8 << 20, Mode::ReadWrite);
        let host = node_with(disk.path().to_owned()).await;
        ended(&update(&host).await, Cause::Write, "Input/output error");
        assert_eq!(slot(&host, "rootfs.1").await.status, Some(WriteStatus::Failed));
        stays(&host).await;
    });
}

#[test]
fn a_disk_that_may_not_be_written_is_a_write_error() {
    alone(async || {
        let disk = Loop::over(folder().join("disk"), 8 << 20, Mode::ReadOnly);
        let host = node_with(disk.path().to_owned()).await;
        ended(&update(&host).await, Cause::Write, "Operation not permitted");
        stays(&host).await;
    });
}

#[test]
fn a_disk_without_room_for_the_image_is_a_lack_of_space() {
    alone(async || {
        let host = node_with("/dev/full".into()).await;
        ended(&update(&host).await, Cause::Space, "No space left on device");
        stays(&host).await;
    });
}

#[test]
fn a_slot_that_somebody_mounted_is_not_written_and_the_evidence_names_it() {
    alone(async || {
        let folder = folder();
        let disk = Loop::over(folder.join("disk"), 16 << 20, Mode::ReadWrite);
        let _mounted = Mounted::new(disk.path(), &folder.join("mount"));
        let host = node_with(disk.path().to_owned()).await;
        let failure = update(&host).await;
        ended(&failure, Cause::Write, "Device or resource busy");
        assert!(failure.evidence.contains(text(disk.path())), "{}", failure.evidence);
        stays(&host).await;
    });
}
