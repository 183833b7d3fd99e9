//! What bundles are refused for, and that nothing was written then.

use std::time::Duration;

use rauc_bindings::{
    Error, FailureKind, InspectArgs, Limits, NetworkFault, SignatureFault, WriteStatus,
};

use super::rauc_host::{
    RaucHost, Setup,
    bundles::{Recipe, damage, truncate},
    keys::{Authority, Validity},
    server::{Answer, nobody, serve},
    steps::{inspected, installed, slot, text, within},
    tools::Loop,
};

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
async fn a_format_that_is_not_allowed_is_refused() {
    let setup = Setup { formats: "verity", ..Setup::default() };
    let host = RaucHost::start_with(setup).await;
    let bundle = host.bundle("plain", &Recipe::default());
    assert_eq!(inspected(&host, text(&bundle)).await, FailureKind::Format);
}

#[tokio::test]
async fn a_file_that_is_not_there_is_not_found() {
    let host = RaucHost::start().await;
    let missing = host.path("bundles/none.raucb");
    assert_eq!(inspected(&host, text(&missing)).await, FailureKind::NotFound);
    assert_eq!(installed(&host, text(&missing)).await, FailureKind::NotFound);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_the_networks_fault_when_inspected() {
    let host = RaucHost::start().await;
    let network = FailureKind::Network(NetworkFault::NoAnswer);
    assert_eq!(inspected(&host, &nobody()).await, network);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_the_networks_fault_when_installed() {
    let host = RaucHost::start().await;
    let network = FailureKind::Network(NetworkFault::NoAnswer);
    assert_eq!(installed(&host, &nobody()).await, network);
    assert_eq!(host.boot_changes(), Vec::<String>::new());
}

#[tokio::test]
async fn a_servers_answer_says_what_is_wrong() {
    let host = RaucHost::start().await;
    let answers = [
        (Answer::Status(404), FailureKind::NotFound),
        (Answer::Status(503), FailureKind::Network(NetworkFault::Status(503))),
        (Answer::Whole(vec![0; 8192]), FailureKind::Network(NetworkFault::NoRanges)),
        (Answer::Ranges(vec![0; 8192]), FailureKind::Signature(SignatureFault::Missing)),
        (Answer::Ranges(vec![b'x'; 8192]), FailureKind::Damaged),
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
