//! How installations end, and what is known then.

use std::time::Duration;

use rauc_bindings::{
    BootStatus, Error, FailureKind, InspectArgs, InstallArgs, Installer, Limits, Operation,
    SlotState, WriteStatus,
};
use tokio::time::Instant;

use super::rauc_host::{
    RaucHost, Setup,
    bundles::{Recipe, image},
    impostor,
    steps::{copying, failure, held, install, order_unasked, slot, text, within},
};

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
async fn a_service_that_dies_in_the_middle_has_vanished_and_the_primary_stays() {
    let host = RaucHost::start().await;
    let (_gate, _, mut installation) = held(&host).await;
    copying(&mut installation).await;
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
    let bus = zbus::fdo::DBusProxy::new(&host.connection).await.expect("a bus has this object");
    host.signal_service("-STOP");
    let mut asking = std::pin::pin!(host.installer.primary());
    // The bus answers in order: after its own answer, the question is with the service.
    tokio::select! {
        biased;
        answer = &mut asking => panic!("a stopped service answered {answer:?}"),
        id = bus.get_id() => drop(id.expect("a bus has an id")),
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
    let (_gate, _, mut installation) = held(&host).await;
    let mut last = Instant::now();
    let end = within("the stall", async {
        loop {
            match installation.next().await {
                Ok(_) => last = Instant::now(),
                Err(error) => return error,
            }
        }
    })
    .await;
    assert!(matches!(end, Error::Stalled { limit, last: Some(_) } if limit == stall), "{end:?}");
    assert!(last.elapsed() >= stall && last.elapsed() < 10 * stall, "{:?}", last.elapsed());
    let again = installation.next().await;
    assert!(matches!(again, Err(Error::Stalled { .. })), "an end stays the same: {again:?}");
}

#[tokio::test]
async fn a_stopped_service_is_stalled_and_answers_nothing() {
    let short = Duration::from_millis(500);
    let limits = Limits { stall: short, ..Setup::default().limits };
    let host = RaucHost::start_with(Setup { limits, ..Setup::default() }).await;
    let (_gate, _, mut installation) = held(&host).await;
    copying(&mut installation).await;
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
    let (gate, source, first) = held(&host).await;
    let second = host.installer.install(&source, InstallArgs::default()).await;
    assert!(matches!(second, Err(Error::Busy)), "{:?}", second.err());
    // Asking did no harm: RAUC still knows that it installs.
    let operation = host.installer.operation().await;
    assert_eq!(operation.expect("RAUC is there"), Operation::Installing);
    let inspection = host.installer.inspect(&source, InspectArgs::default()).await;
    assert!(matches!(inspection, Err(Error::Busy)), "{inspection:?}");
    let status = host.installer.slot_status().await;
    assert!(matches!(status, Err(Error::Busy)), "{status:?}");

    gate.open();
    within("the first end", first.finish()).await.expect("the first one installs");
}

#[tokio::test]
async fn an_installation_of_somebody_else_can_be_followed_to_its_end() {
    let host = RaucHost::start().await;
    let (gate, _, first) = held(&host).await;
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
    let (gate, source, first) = held(&host).await;
    // RAUC 1.13 refuses it and then calls itself idle.
    order_unasked(&host, &source).await.expect_err("RAUC does one installation at a time");
    assert_eq!(host.installer.operation().await.expect("RAUC is there"), Operation::Idle);

    let second = host.installer.install(&source, InstallArgs::default()).await;
    assert!(matches!(second, Err(Error::Busy)), "{:?}", second.err());
    let running = host.installer.running().await.expect("RAUC is there");
    let followed = running.expect("the first one is running");
    gate.open();
    within("the first end", first.finish()).await.expect("the first one installs");
    within("the same end", followed.finish()).await.expect("followed to the same end");
}

#[tokio::test]
async fn an_installation_believes_no_completed_of_another_process() {
    let host = RaucHost::start().await;
    let (gate, _, mut installation) = held(&host).await;
    let interface = "de.pengutronix.rauc.Installer";
    host.connection
        .emit_signal(None::<&str>, "/", interface, "Completed", &0_i32)
        .await
        .expect("anybody may send signals on this bus");
    // The bus answers in order: after this answer, the stranger's signal is here.
    host.installer.operation().await.expect("RAUC is there");
    gate.open();
    let mut last = None;
    while let Some(report) = within("the end", installation.next()).await.expect("it installs") {
        last = Some(report.percent);
    }
    assert_eq!(last, Some(100));
}

#[tokio::test]
async fn an_installation_believes_no_completed_from_before_its_acceptance() {
    let (_bus, impostor, installer) = impostor::start().await;
    let mut installation = installer
        .install("/bundle", InstallArgs::default())
        .await
        .expect("the impostor accepts everything");
    impostor.report(30).await;
    let report = within("a report", installation.next()).await.expect("it is not at its end");
    assert_eq!(report.map(|report| report.percent), Some(30));
    impostor.complete(0).await;
    assert!(within("the end", installation.next()).await.expect("it ended well").is_none());
}

#[tokio::test]
async fn an_end_without_a_reason_says_so() {
    let (_bus, impostor, installer) = impostor::start().await;
    let installation = installer
        .install("/bundle", InstallArgs::default())
        .await
        .expect("the impostor accepts everything");
    impostor.complete(2).await;
    let end = failure(within("the end", installation.finish()).await);
    assert_eq!(end.kind, FailureKind::Unknown);
    assert_eq!(end.text, "RAUC ended with code 2 and gave no reason");
}

#[tokio::test]
async fn one_strange_slot_hides_no_other() {
    let (_bus, _impostor, installer) = impostor::start().await;
    let slots = installer.slot_status().await.expect("a map of another RAUC is still a map");
    let states: Vec<_> = slots.into_iter().map(|slot| (slot.name, slot.state)).collect();
    assert_eq!(
        states,
        [
            ("rootfs.0".to_owned(), Some(SlotState::Booted)),
            ("rootfs.1".to_owned(), Some(SlotState::Unknown("dreaming".into()))),
        ]
    );
}
