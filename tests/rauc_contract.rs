//! What `rauc-bindings` relies on, held against a real `rauc service` 1.13.
//!
//! The bundles are of the plain format where they are installed, because installing a verity bundle
//! needs device-mapper in the kernel; the lab installs those.

mod rauc_host;

use std::{path::Path, time::Duration};

use rauc_bindings::{
    BootStatus, BundleFailure, Error, FailureKind, InspectArgs, InstallArgs, Installer, Limits,
    MarkState, NetworkFault, Operation, Progress, SignatureFault, SlotRef, SlotState, SlotStatus,
    WriteStatus,
};
use rauc_host::{
    COMPATIBLE, PATIENCE, RaucHost, Setup,
    bundles::{Gate, Recipe, damage, image, truncate},
    keys::{Authority, Validity},
    server::{Answer, nobody, serve},
    tools::{Loop, run},
};

fn text(path: &Path) -> &str {
    path.to_str().expect("own names are UTF-8")
}

async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future)
        .await
        .unwrap_or_else(|_| panic!("{what}: not within {PATIENCE:?}"))
}

/// Installs and gives every report and the end.
async fn install(installer: &Installer, source: &str) -> (Vec<Progress>, Result<(), Error>) {
    let mut reports = Vec::new();
    let mut installation = match installer.install(source, InstallArgs::default()).await {
        Ok(installation) => installation,
        Err(error) => return (reports, Err(error)),
    };
    let end = within("the installation's end", async {
        loop {
            match installation.next().await {
                Ok(Some(progress)) => reports.push(progress),
                Ok(None) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    });
    let end = end.await;
    (reports, end)
}

fn failure<T: std::fmt::Debug>(result: Result<T, Error>) -> BundleFailure {
    match result {
        Err(Error::Bundle(failure)) => failure,
        other => panic!("expected a failure of the bundle, got {other:?}"),
    }
}

async fn inspected(host: &RaucHost, source: &str) -> FailureKind {
    let failure = failure(host.installer.inspect(source, InspectArgs::default()).await);
    println!("inspect {:?}: {}", failure.kind, failure.text);
    failure.kind
}

async fn installed(host: &RaucHost, source: &str) -> FailureKind {
    let failure = failure(install(&host.installer, source).await.1);
    println!("install {:?}: {}", failure.kind, failure.text);
    failure.kind
}

async fn slot(host: &RaucHost, name: &str) -> SlotStatus {
    let slots = host.installer.slot_status().await.expect("RAUC is idle");
    slots.into_iter().find(|slot| slot.name == name).expect("a slot of system.conf")
}

#[tokio::test]
async fn an_installation_reports_its_way_and_ends_in_the_slot() {
    let host = RaucHost::start().await;
    let bundle = host.bundle("good", &Recipe::default());
    let (reports, end) = install(&host.installer, text(&bundle)).await;
    end.expect("a good bundle installs");

    let percents: Vec<u8> = reports.iter().map(|report| report.percent).collect();
    assert!(percents.is_sorted(), "{percents:?}");
    assert_eq!(percents.last(), Some(&100));
    assert!(reports.iter().any(|report| report.message == "Copying image to rootfs.1"));
    assert!(reports.iter().any(|report| report.depth > 1));
    assert_eq!(host.read("slots/B"), image(2));

    let written = slot(&host, "rootfs.1").await;
    assert_eq!(written.status, Some(WriteStatus::Ok));
    assert_eq!(written.size, Some(2 << 20));
    assert_eq!(written.bundle.version.as_deref(), Some("1.2.3"));
    assert_eq!(written.installed.map(|change| change.count), Some(1));
    assert_eq!(host.installer.last_error().await.expect("RAUC is there"), "");
    assert_eq!(host.installer.progress().await.expect("RAUC is there").percent, 100);
}

#[tokio::test]
async fn an_installation_marks_the_target_bad_and_leaves_the_primary() {
    let host = RaucHost::start().await;
    let bundle = host.bundle("good", &Recipe::default());
    install(&host.installer, text(&bundle)).await.1.expect("a good bundle installs");
    assert_eq!(host.boot_changes(), ["set-state B bad"]);
    assert_eq!(host.installer.primary().await.expect("the backend answers"), "rootfs.0");
}

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
async fn a_service_that_dies_in_the_middle_has_vanished_and_the_primary_stays() {
    let mut host = RaucHost::start().await;
    let gate = Gate::new(&host);
    let recipe = Recipe { post_install: gate.hook(), ..Recipe::default() };
    let bundle = host.bundle("held", &recipe);
    let mut installation =
        host.installer.install(text(&bundle), InstallArgs::default()).await.expect("RAUC is idle");
    within("copying", async {
        loop {
            let report = installation.next().await.expect("the gate is closed");
            if report.expect("the gate is closed").message.starts_with("Copying image") {
                return;
            }
        }
    })
    .await;
    host.signal_service("-KILL");
    let end = within("the end", installation.finish()).await;
    assert!(matches!(end, Err(Error::ServiceVanished)), "{end:?}");

    host.restart_service().await;
    assert_eq!(host.installer.primary().await.expect("the backend answers"), "rootfs.0");
    let target = slot(&host, "rootfs.1").await;
    assert_eq!(target.boot_status, Some(BootStatus::Bad));
    assert_eq!(target.status, Some(WriteStatus::Pending));
    let bundle = host.bundle("good", &Recipe::default());
    install(&host.installer, text(&bundle)).await.1.expect("a new installation succeeds");
}

#[tokio::test]
async fn a_service_that_dies_during_a_call_has_vanished() {
    let host = RaucHost::start().await;
    host.signal_service("-STOP");
    let installer = host.installer.clone();
    let mut asking = std::pin::pin!(installer.primary());
    // The call is on its way before the service dies.
    tokio::select! {
        biased;
        answer = &mut asking => panic!("a stopped service answered {answer:?}"),
        () = tokio::task::yield_now() => {}
    }
    host.signal_service("-KILL");
    let answer = within("the answer", asking).await;
    assert!(matches!(answer, Err(Error::ServiceVanished)), "{answer:?}");
    let again = host.installer.primary().await;
    assert!(matches!(again, Err(Error::Absent)), "{again:?}");
    let connected = Installer::connect(&host.connection).await;
    assert!(matches!(connected, Err(Error::Absent)), "{connected:?}");
}

#[tokio::test]
async fn a_silent_installation_is_stalled_within_its_limit() {
    let stall = Duration::from_millis(700);
    let limits = Limits { stall, ..Setup::default().limits };
    let host = RaucHost::start_with(Setup { limits, ..Setup::default() }).await;
    let gate = Gate::new(&host);
    let bundle = host.bundle("held", &Recipe { post_install: gate.hook(), ..Recipe::default() });
    let mut installation =
        host.installer.install(text(&bundle), InstallArgs::default()).await.expect("RAUC is idle");
    let mut last = tokio::time::Instant::now();
    let end = within("the stall", async {
        loop {
            match installation.next().await {
                Ok(_) => last = tokio::time::Instant::now(),
                Err(error) => return error,
            }
        }
    })
    .await;
    assert!(matches!(end, Error::Stalled { limit, last: Some(_) } if limit == stall), "{end:?}");
    assert!(last.elapsed() >= stall && last.elapsed() < 3 * stall, "{:?}", last.elapsed());
}

#[tokio::test]
async fn a_stopped_service_is_stalled_and_answers_nothing() {
    let short = Duration::from_millis(500);
    let limits = Limits { stall: short, answer: PATIENCE, inspect: PATIENCE };
    let host = RaucHost::start_with(Setup { limits, ..Setup::default() }).await;
    let gate = Gate::new(&host);
    let bundle = host.bundle("held", &Recipe { post_install: gate.hook(), ..Recipe::default() });
    let installation =
        host.installer.install(text(&bundle), InstallArgs::default()).await.expect("RAUC is idle");
    host.signal_service("-STOP");
    let end = within("the stall", installation.finish()).await;
    assert!(matches!(end, Err(Error::Stalled { .. })), "{end:?}");
    let hasty = host.installer.clone().with_limits(Limits { answer: short, ..limits });
    let answer = within("the answer", hasty.primary()).await;
    assert!(matches!(answer, Err(Error::NoAnswer { member: "GetPrimary", .. })), "{answer:?}");
}

#[tokio::test]
async fn a_second_installation_is_told_busy_and_the_first_ends_well() {
    let host = RaucHost::start().await;
    let gate = Gate::new(&host);
    let bundle = host.bundle("held", &Recipe { post_install: gate.hook(), ..Recipe::default() });
    let source = text(&bundle);
    let first = host.installer.install(source, InstallArgs::default()).await.expect("RAUC is idle");

    let second = host.installer.install(source, InstallArgs::default()).await;
    assert!(matches!(second, Err(Error::Busy)), "{:?}", second.err());
    let inspection = host.installer.inspect(source, InspectArgs::default()).await;
    assert!(matches!(inspection, Err(Error::Busy)), "{inspection:?}");
    let status = host.installer.slot_status().await;
    assert!(matches!(status, Err(Error::Busy)), "{status:?}");
    let running = host.installer.running().await.expect("RAUC is there");
    let followed = running.expect("the first one is running");

    gate.open();
    within("the first end", first.finish()).await.expect("the first one installs");
    within("the same end", followed.finish()).await.expect("followed to the same end");
    assert!(host.installer.running().await.expect("RAUC is there").is_none());
}

#[tokio::test]
async fn a_rauc_that_calls_itself_idle_while_it_installs_is_still_busy() {
    let host = RaucHost::start().await;
    let gate = Gate::new(&host);
    let bundle = host.bundle("held", &Recipe { post_install: gate.hook(), ..Recipe::default() });
    let source = text(&bundle);
    let first = host.installer.install(source, InstallArgs::default()).await.expect("RAUC is idle");
    // Another client that does not ask first: RAUC 1.13 refuses it and then calls itself idle.
    let none = std::collections::HashMap::<&str, zbus::zvariant::Value<'_>>::new();
    let refused = host
        .connection
        .call_method(
            Some("de.pengutronix.rauc"),
            "/",
            Some("de.pengutronix.rauc.Installer"),
            "InstallBundle",
            &(source, none),
        )
        .await;
    assert!(refused.is_err());
    assert_eq!(host.installer.operation().await.expect("RAUC is there"), Operation::Idle);

    let second = host.installer.install(source, InstallArgs::default()).await;
    assert!(matches!(second, Err(Error::Busy)), "{:?}", second.err());
    gate.open();
    within("the first end", first.finish()).await.expect("the first one installs");
}

#[tokio::test]
async fn an_installation_believes_no_completed_of_another_process() {
    let host = RaucHost::start().await;
    let gate = Gate::new(&host);
    let bundle = host.bundle("held", &Recipe { post_install: gate.hook(), ..Recipe::default() });
    let mut installation =
        host.installer.install(text(&bundle), InstallArgs::default()).await.expect("RAUC is idle");
    let stranger = "de.pengutronix.rauc.Installer";
    host.connection
        .emit_signal(None::<&str>, "/", stranger, "Completed", &0_i32)
        .await
        .expect("anybody may send signals on this bus");
    // What the stranger sent is there before the answer to what is asked after it.
    host.installer.operation().await.expect("RAUC is there");
    gate.open();
    let mut reports = Vec::new();
    while let Some(report) = within("the end", installation.next()).await.expect("it installs") {
        reports.push(report);
    }
    assert_eq!(reports.last().map(|report| report.percent), Some(100));
}

#[tokio::test]
async fn a_signature_that_is_not_trusted_says_why() {
    let host = RaucHost::start().await;
    let recipe = Recipe::default();
    let unsigned = host.unsigned("unsigned", &recipe);
    assert_eq!(
        inspected(&host, text(&unsigned)).await,
        FailureKind::Signature(SignatureFault::Missing)
    );
    let strange = Authority::new(&host.path("strange-ca"), "stranger");
    let signers = [
        ("stranger", strange.signer(Validity::Now), SignatureFault::UnknownSigner),
        ("expired", host.authority.signer(Validity::LongAgo), SignatureFault::Expired),
        ("early", host.authority.signer(Validity::LongAhead), SignatureFault::NotYetValid),
    ];
    for (name, signer, fault) in signers {
        for format in ["plain", "verity"] {
            let recipe = Recipe { format, ..Recipe::default() };
            let bundle = host.bundle_by(&signer, &format!("{name}-{format}"), &recipe);
            let source = text(&bundle);
            assert_eq!(inspected(&host, source).await, FailureKind::Signature(fault), "{name}");
            assert_eq!(installed(&host, source).await, FailureKind::Signature(fault), "{name}");
        }
    }
    assert_eq!(host.read("slots/B"), b"old");
    assert_eq!(host.boot_changes(), Vec::<String>::new());
}

#[tokio::test]
async fn a_bundle_that_is_not_whole_is_damaged() {
    let host = RaucHost::start().await;
    for format in ["plain", "verity"] {
        let recipe = Recipe { format, ..Recipe::default() };
        let cut = host.bundle(&format!("cut-{format}"), &recipe);
        truncate(&cut, 1_500_001);
        assert_eq!(inspected(&host, text(&cut)).await, FailureKind::Damaged, "{format}");
        // In the signature, which ends 8 bytes before the end.
        let turned = host.bundle(&format!("turned-{format}"), &recipe);
        damage(&turned, -40);
        assert_eq!(inspected(&host, text(&turned)).await, FailureKind::Damaged, "{format}");
    }
    let content = host.bundle("content", &Recipe::default());
    damage(&content, 1_000_000);
    assert_eq!(inspected(&host, text(&content)).await, FailureKind::Damaged);
    assert_eq!(installed(&host, text(&content)).await, FailureKind::Damaged);
    for (name, bytes) in [("short", &b"no"[..]), ("text", &[b'x'; 9000][..])] {
        let path = host.path(name);
        std::fs::write(&path, bytes).expect("an own directory is writable");
        assert_eq!(inspected(&host, text(&path)).await, FailureKind::Damaged, "{name}");
    }
    assert_eq!(inspected(&host, text(&host.path("slots"))).await, FailureKind::Damaged);
    assert_eq!(host.read("slots/B"), b"old");
}

#[tokio::test]
async fn a_bundle_for_another_system_is_not_installed() {
    let host =
        RaucHost::start_with(Setup { system: "min-bundle-version=1.2.0", ..Setup::default() })
            .await;
    let other = host.bundle("other", &Recipe { compatible: "board", ..Recipe::default() });
    assert_eq!(installed(&host, text(&other)).await, FailureKind::Compatible);
    let class = host.bundle("class", &Recipe { slot_class: "firmware", ..Recipe::default() });
    assert_eq!(installed(&host, text(&class)).await, FailureKind::Compatible);
    let older = host.bundle("older", &Recipe { version: "1.1.9", ..Recipe::default() });
    assert_eq!(installed(&host, text(&older)).await, FailureKind::VersionLimit);
    let odd = host.bundle("odd", &Recipe { version: "tuesday", ..Recipe::default() });
    assert_eq!(installed(&host, text(&odd)).await, FailureKind::VersionLimit);
    assert_eq!(host.read("slots/B"), b"old");
    assert_eq!(host.boot_changes(), Vec::<String>::new());
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

#[tokio::test]
async fn a_format_that_is_not_allowed_is_refused() {
    let setup = Setup { formats: "verity", ..Setup::default() };
    let host = RaucHost::start_with(setup).await;
    let bundle = host.bundle("plain", &Recipe::default());
    assert_eq!(inspected(&host, text(&bundle)).await, FailureKind::Format);
}

#[tokio::test]
async fn a_source_that_is_not_there_says_how() {
    let host = RaucHost::start().await;
    let missing = host.path("bundles/none.raucb");
    assert_eq!(inspected(&host, text(&missing)).await, FailureKind::NotFound);
    assert_eq!(installed(&host, text(&missing)).await, FailureKind::NotFound);

    let nobody = nobody();
    let network = FailureKind::Network(NetworkFault::NoAnswer);
    assert_eq!(inspected(&host, &nobody).await, network);
    assert_eq!(installed(&host, &nobody).await, network);
    let answers = [
        (Answer::Status(404), FailureKind::NotFound),
        (Answer::Status(403), FailureKind::Network(NetworkFault::Status(403))),
        (Answer::Status(503), FailureKind::Network(NetworkFault::Status(503))),
        (Answer::Whole(vec![0; 8192]), FailureKind::Network(NetworkFault::NoRanges)),
        (Answer::Ranges(vec![0; 8192]), FailureKind::Signature(SignatureFault::Missing)),
    ];
    for (answer, kind) in answers {
        assert_eq!(inspected(&host, &serve(answer)).await, kind);
    }
}

#[tokio::test]
async fn a_server_that_says_nothing_holds_an_inspection_no_longer_than_its_limit() {
    let inspect = Duration::from_millis(700);
    let limits = Limits { inspect, ..Setup::default().limits };
    let host = RaucHost::start_with(Setup { limits, ..Setup::default() }).await;
    let url = serve(Answer::Silence);
    let answer = within("the answer", host.installer.inspect(&url, InspectArgs::default())).await;
    assert!(matches!(answer, Err(Error::NoAnswer { limit, .. }) if limit == inspect), "{answer:?}");
}

#[tokio::test]
async fn an_image_larger_than_its_slot_is_too_large() {
    let device = Loop::new(1 << 20);
    let target = Some(device.path().to_owned());
    let host = RaucHost::start_with(Setup { target, ..Setup::default() }).await;
    let bundle = host.bundle("large", &Recipe::default());
    assert_eq!(installed(&host, text(&bundle)).await, FailureKind::TooLarge);
    assert_eq!(host.installer.primary().await.expect("the backend answers"), "rootfs.0");
}

#[tokio::test]
async fn a_slot_that_cannot_be_written_is_a_write_error() {
    let host =
        RaucHost::start_with(Setup { target: Some("/proc/version".into()), ..Setup::default() })
            .await;
    let bundle = host.bundle("good", &Recipe::default());
    assert_eq!(installed(&host, text(&bundle)).await, FailureKind::Write);
    let host = RaucHost::start_with(Setup {
        target: Some("/nonexistent/slot".into()),
        ..Setup::default()
    })
    .await;
    let bundle = host.bundle("good", &Recipe::default());
    assert_eq!(installed(&host, text(&bundle)).await, FailureKind::Write);
}

#[tokio::test]
async fn a_hook_that_fails_is_a_hooks_failure() {
    let host = RaucHost::start().await;
    let post_install = Some("exit 9".into());
    let bundle = host.bundle("hook", &Recipe { post_install, ..Recipe::default() });
    assert_eq!(installed(&host, text(&bundle)).await, FailureKind::Hook);
    assert_eq!(slot(&host, "rootfs.1").await.status, Some(WriteStatus::Failed));
}

#[tokio::test]
async fn a_boot_backend_that_fails_stops_an_installation_before_the_first_byte() {
    let host = RaucHost::start().await;
    std::fs::write(host.path("boot/backend.sh"), "#!/bin/sh\nexit 3\n").expect("an own file");
    let bundle = host.bundle("good", &Recipe::default());
    assert_eq!(installed(&host, text(&bundle)).await, FailureKind::BootChooser);
    assert_eq!(host.read("slots/B"), b"old");
}

#[tokio::test]
async fn a_bundle_that_somebody_else_may_write_is_unsafe() {
    let host = RaucHost::start().await;
    let bundle = host.bundle("good", &Recipe::default());
    // Held open for writing, so RAUC cannot have it for itself.
    let _writer = std::fs::File::options().append(true).open(&bundle).expect("an own file");
    assert_eq!(inspected(&host, text(&bundle)).await, FailureKind::Unsafe);
}
