//! What `rauc-bindings` and the agent's port rely on, held against a real `rauc service` 1.13.
//!
//! Here: what RAUC answers. `rauc_endings`: how installations end. `rauc_refusals`: what bundles are refused for. The
//! others go through the agent's own port, on a node's own system.conf: `rauc_keyring`, whom it trusts; `rauc_network`,
//! `rauc_disks`, `rauc_status_file` and `rauc_restarts`, what fails around it; `rauc_download`, what it downloaded.
//!
//! The bundles are of the plain format where they are installed, because installing a verity bundle needs
//! device-mapper in the kernel; the lab installs those.

mod rauc_disks;
mod rauc_download;
mod rauc_endings;
mod rauc_host;
mod rauc_keyring;
mod rauc_network;
mod rauc_refusals;
mod rauc_restarts;
mod rauc_status_file;

use rauc_bindings::{
    BootStatus, Error, InspectArgs, InstallArgs, MarkState, Operation, SlotRef, SlotState,
};
use rauc_host::{
    COMPATIBLE, RaucHost, Setup,
    bundles::Recipe,
    server::{Answer, serve},
    steps::{slot, text, within},
    tools::run,
};

#[tokio::test]
async fn mark_and_primary_go_to_the_boot_backend() {
    let host = RaucHost::start().await;
    let marked = host.installer.mark(MarkState::Active, SlotRef::Named("rootfs.1")).await;
    assert_eq!(marked.expect("the backend answers").slot, "rootfs.1");
    assert_eq!(host.installer.primary().await.expect("the backend answers"), "rootfs.1");
    let marked = host.installer.mark(MarkState::Bad, SlotRef::Other).await;
    assert_eq!(marked.expect("the backend answers").slot, "rootfs.1");
    let marked = host.installer.mark(MarkState::Good, SlotRef::Booted).await;
    assert_eq!(marked.expect("the backend answers").slot, "rootfs.0");
    assert_eq!(host.boot_changes(), ["set-primary B", "set-state B bad", "set-state A good"]);
    assert_eq!(slot(&host, "rootfs.1").await.boot_status, Some(BootStatus::Bad));
}

#[tokio::test]
async fn a_mark_that_the_backend_refuses_is_refused_in_its_words() {
    let host = RaucHost::start().await;
    let refused = host.installer.mark(MarkState::Good, SlotRef::Named("rootfs.7")).await;
    let Err(Error::Refused { member: "Mark", text }) = refused else { panic!("{refused:?}") };
    assert!(text.contains("rootfs"), "{text}");
}

#[tokio::test]
async fn the_slots_and_properties_are_those_of_the_configuration() {
    let host = RaucHost::start().await;
    let booted = slot(&host, "rootfs.0").await;
    assert_eq!(booted.state, Some(SlotState::Booted));
    assert_eq!(booted.bootname.as_deref(), Some("A"));
    assert_eq!(booted.class.as_deref(), Some("rootfs"));
    assert_eq!(booted.kind.as_deref(), Some("raw"));
    assert_eq!(booted.boot_status, Some(BootStatus::Good));
    let other = slot(&host, "rootfs.1").await;
    assert_eq!((other.state, other.status), (Some(SlotState::Inactive), None));
    assert_eq!(other.device.as_deref(), Some(text(&host.path("slots/B"))));

    let installer = &host.installer;
    assert_eq!(installer.compatible().await.expect("RAUC is there"), COMPATIBLE);
    assert_eq!(installer.variant().await.expect("RAUC is there"), "");
    assert_eq!(installer.boot_slot().await.expect("RAUC is there"), "A");
    assert_eq!(installer.operation().await.expect("RAUC is there"), Operation::Idle);
}

#[tokio::test]
async fn an_inspection_says_what_rauc_info_says() {
    let host = RaucHost::start().await;
    for format in ["plain", "verity"] {
        let bundle = host.bundle(format, &Recipe { format, ..Recipe::default() });
        let output = run(host
            .rauc()
            .command()
            .args(["info", "--output-format=json-2", "--keyring"])
            .arg(host.authority.certificate())
            .arg(&bundle));
        let said: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let info = host
            .installer
            .inspect(text(&bundle), InspectArgs::default())
            .await
            .expect("a good bundle can be inspected");

        assert_eq!(said["manifest-hash"], info.manifest_hash.to_string());
        assert_eq!(said["update"]["version"], "1.2.3");
        assert_eq!(info.version.as_deref(), Some("1.2.3"));
        assert_eq!(info.compatible, COMPATIBLE);
        assert_eq!(info.description.as_deref(), Some("contract test"));
        assert_eq!(info.build.as_deref(), Some("7"));
        assert_eq!(
            (said["bundle"]["format"].as_str(), info.format.as_str()),
            (Some(format), format)
        );
        let [image] = info.images.as_slice() else { panic!("one image: {:?}", info.images) };
        assert_eq!(image.slot_class, "rootfs");
        assert_eq!(image.filename.as_deref(), Some("image.img"));
        assert_eq!(said["images"][0]["size"].as_u64(), image.size);
        assert_eq!(
            said["images"][0]["checksum"].as_str().map(str::to_owned),
            image.checksum.map(|digest| digest.to_string())
        );
        let adaptive: &[&str] = if format == "verity" { &["block-hash-index"] } else { &[] };
        assert_eq!(image.adaptive, adaptive);
    }
}

#[tokio::test]
async fn a_bundle_is_inspected_over_http_by_ranges() {
    let host = RaucHost::start().await;
    let bundle = host.bundle("good", &Recipe { format: "verity", ..Recipe::default() });
    let url = serve(Answer::Ranges(std::fs::read(&bundle).expect("an own file")));
    let local = host.installer.inspect(text(&bundle), InspectArgs::default()).await;
    let remote = host.installer.inspect(&url, InspectArgs::default()).await;
    assert_eq!(remote.expect("the server serves ranges"), local.expect("a good bundle"));
}

#[tokio::test]
async fn the_arguments_of_an_installation_reach_rauc() {
    let host =
        RaucHost::start_with(Setup { system: "min-bundle-version=9.0.0", ..Setup::default() })
            .await;
    let bundle = host.bundle("other", &Recipe { compatible: "board", ..Recipe::default() });
    let args = InstallArgs {
        ignore_compatible: true,
        ignore_version_limit: true,
        transaction_id: Some("11111111-2222-3333-4444-555555555555".into()),
        ..InstallArgs::default()
    };
    let transaction = args.transaction_id.clone();
    let installation = host.installer.install(text(&bundle), args).await.expect("RAUC is idle");
    within("the end", installation.finish()).await.expect("both limits are waived");
    assert_eq!(slot(&host, "rootfs.1").await.transaction, transaction);
}

#[tokio::test]
async fn an_argument_that_this_rauc_does_not_know_is_refused_and_nothing_starts() {
    let host = RaucHost::start().await;
    let bundle = host.bundle("good", &Recipe::default());
    let args =
        InstallArgs { require_manifest_hash: Some([0; 32].into()), ..InstallArgs::default() };
    let refused = host.installer.install(text(&bundle), args).await.err();
    let Some(Error::Refused { text, .. }) = refused else { panic!("{refused:?}") };
    assert_eq!(text, "Unsupported key: require-manifest-hash");
    assert_eq!(host.read("slots/B"), b"old");
}
