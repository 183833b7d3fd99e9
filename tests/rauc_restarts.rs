//! A RAUC that hangs, a bus that is restarted, somebody else's installation: the update goes on.

use std::time::Duration;

use rauc_bindings::{Error, InstallArgs, Operation};
use steadfast_adapters::rauc::Progress;
use steadfast_core::Cause;
use tokio::sync::watch;

use super::rauc_host::{
    PATIENCE, RaucHost, Setup,
    agent::Agent,
    bundles::{Gate, Recipe, image},
    manager::Systemd,
    own_process::alone,
    steps::{order_unasked, text, within},
};

/// Silence that a busy machine does not make by itself.
const STALL: Duration = Duration::from_secs(4);

/// A release whose first installation hangs in its hook, for ever.
fn hanging(host: &RaucHost, gate: &Gate) -> String {
    let once = format!("mkdir {} 2>/dev/null || exit 0", host.path("hung").display());
    let hook = gate.hook().map(|wait| format!("{once}\n{wait}"));
    text(&host.bundle("hanging", &Recipe { post_install: hook, ..Recipe::release() })).to_owned()
}

/// Until the port's installation copies an image.
async fn until_copying(progress: &mut watch::Receiver<Progress>) {
    let copying = progress
        .wait_for(|seen| seen.as_ref().is_some_and(|(_, step)| step.starts_with("Copying image")));
    drop(within("copying", copying).await.expect("the port is there"));
}

#[test]
fn a_rauc_that_hangs_is_started_anew_and_the_update_goes_on() {
    alone(async || {
        let host = RaucHost::start_with(Setup::node()).await;
        let systemd = Systemd::start(&host).await;
        let source = hanging(&host, &Gate::new(&host));
        let mut agent = Agent::that_bears(STALL).trying(2);
        assert_eq!(agent.update(&source).await, Ok(()));
        assert_eq!(systemd.restarts(), 1);
        assert_eq!(host.read("slots/B"), image(2));
        assert_eq!(host.boot_changes(), ["set-state B bad", "set-state B bad"]);
    });
}

#[test]
fn a_rauc_that_hangs_is_started_anew_though_the_agent_was_in_the_meantime() {
    alone(async || {
        let host = RaucHost::start_with(Setup::node()).await;
        let systemd = Systemd::start(&host).await;
        let source = hanging(&host, &Gate::new(&host));
        let mut agent = Agent::that_bears(STALL).trying(2);
        assert_eq!(agent.verify(&source).await, Ok(()));
        let mut progress = agent.progress();
        tokio::select! {
            end = agent.install() => panic!("it hangs: {end:?}"),
            _ = until_copying(&mut progress) => {}
        }
        // What is left of that life is its node, whose order is given again.
        assert_eq!(agent.install().await, Ok(()));
        assert_eq!(systemd.restarts(), 1);
        assert_eq!(host.read("slots/B"), image(2));
    });
}

#[test]
fn an_installation_by_hand_that_hangs_is_ended_and_the_update_goes_on() {
    alone(async || {
        let host = RaucHost::start_with(Setup::node()).await;
        let systemd = Systemd::start(&host).await;
        let theirs = hanging(&host, &Gate::new(&host));
        let theirs = host.installer.install(&theirs, InstallArgs::default()).await;
        theirs.expect("RAUC is idle");
        let ours = host.bundle("ours", &Recipe { image: image(3), ..Recipe::release() });
        assert_eq!(Agent::that_bears(STALL).trying(2).update(text(&ours)).await, Ok(()));
        assert_eq!(systemd.restarts(), 1);
        assert_eq!(host.read("slots/B"), image(3));
    });
}

#[test]
fn a_rauc_that_hangs_and_calls_itself_idle_is_started_anew_too() {
    alone(async || {
        let host = RaucHost::start_with(Setup::node()).await;
        let systemd = Systemd::start(&host).await;
        let theirs = hanging(&host, &Gate::new(&host));
        let hung = host.installer.install(&theirs, InstallArgs::default()).await;
        hung.expect("RAUC is idle");
        // Somebody tries once more by hand, and does not ask first.
        order_unasked(&host, &theirs).await.expect_err("RAUC does one installation at a time");
        assert_eq!(host.installer.operation().await.expect("RAUC is there"), Operation::Idle);
        let ours = host.bundle("ours", &Recipe { image: image(3), ..Recipe::release() });
        assert_eq!(Agent::that_bears(STALL).trying(2).update(text(&ours)).await, Ok(()));
        assert_eq!(systemd.restarts(), 1);
        assert_eq!(host.read("slots/B"), image(3));
    });
}

#[test]
fn a_rauc_that_hangs_and_that_nobody_restarts_is_an_end_with_its_cause() {
    alone(async || {
        let host = RaucHost::start_with(Setup::node()).await;
        let source = hanging(&host, &Gate::new(&host));
        let end = Agent::that_bears(STALL).update(&source).await;
        let failure = end.expect_err("it hangs");
        assert_eq!(failure.cause, Cause::Installer);
        assert!(failure.evidence.contains("reported nothing for 4 s"), "{}", failure.evidence);
        assert_eq!(host.read("boot/primary"), b"A\n");
        // RAUC itself still hangs, and says so to everybody.
        let answer = host.installer.primary().await;
        assert!(matches!(answer, Err(Error::Busy)), "{answer:?}");
    });
}

#[test]
fn an_installation_of_somebody_else_is_waited_for_and_then_ours_is_made() {
    alone(async || {
        let host = RaucHost::start_with(Setup::node()).await;
        let ours = host.bundle("ours", &Recipe { image: image(3), ..Recipe::release() });
        let mut agent = Agent::new();
        assert_eq!(agent.verify(text(&ours)).await, Ok(()));

        let gate = Gate::new(&host);
        let theirs = Recipe { post_install: gate.hook(), ..Recipe::release() };
        let theirs = host.bundle("theirs", &theirs);
        let theirs = host.installer.install(text(&theirs), InstallArgs::default()).await;
        let theirs = theirs.expect("RAUC is idle");
        {
            let mut installing = std::pin::pin!(agent.install());
            let early = tokio::time::timeout(Duration::from_secs(1), &mut installing).await;
            assert!(early.is_err(), "it did not wait: {early:?}");
            gate.open();
            within("their end", theirs.finish()).await.expect("theirs installs, too");
            assert_eq!(within("our end", installing).await, Ok(()));
        }
        assert_eq!(host.read("slots/B"), image(3));
    });
}

#[test]
fn a_bundle_is_verified_once_the_installation_of_somebody_else_has_ended() {
    alone(async || {
        let host = RaucHost::start_with(Setup::node()).await;
        let gate = Gate::new(&host);
        let recipe = Recipe { post_install: gate.hook(), ..Recipe::release() };
        let bundle = host.bundle("release", &recipe);
        let theirs = host.installer.install(text(&bundle), InstallArgs::default()).await;
        let theirs = theirs.expect("RAUC is idle");
        let mut agent = Agent::new();
        let mut verifying = std::pin::pin!(agent.verify(text(&bundle)));
        let early = tokio::time::timeout(Duration::from_secs(1), &mut verifying).await;
        assert!(early.is_err(), "it did not wait: {early:?}");
        gate.open();
        within("their end", theirs.finish()).await.expect("it harmed nobody");
        assert_eq!(within("our verification", verifying).await, Ok(()));
    });
}

#[test]
fn a_bus_that_is_restarted_ends_an_install_and_the_next_one_goes_by_the_new_bus() {
    alone(async || {
        let host = RaucHost::start_with(Setup::node()).await;
        let source = hanging(&host, &Gate::new(&host));
        let mut agent = Agent::that_bears(PATIENCE);
        let mut progress = agent.progress();
        let restarted = async {
            until_copying(&mut progress).await;
            host.bus.restart();
            tokio::time::Instant::now()
        };
        let (end, restarted) = tokio::join!(agent.update(&source), restarted);
        let failure = end.expect_err("its bus is gone");
        assert_eq!(failure.cause, Cause::Installer);
        assert!(failure.evidence.contains("D-Bus connection failed"), "{}", failure.evidence);
        assert!(restarted.elapsed() < PATIENCE / 2, "at once, not at its limit");

        // RAUC goes with its bus, so no two of them write; whoever calls it on the new bus starts it.
        host.service.ended_by_itself().await;
        host.service.restart();
        host.service.taken_its_name(&host.bus.connect().await).await;
        let good = host.bundle("good", &Recipe::release());
        assert_eq!(agent.update(text(&good)).await, Ok(()));
        assert_eq!(host.read("slots/B"), image(2));
        assert_eq!(host.boot_changes(), ["set-state B bad", "set-state B bad"]);
    });
}
