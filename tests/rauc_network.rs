//! Servers and sources that fail or change in the middle.
//!
//! A bundle that is streamed can be verified here, but not installed: this needs a network block device in the kernel.
//! The lab installs those.

use std::{fs, sync::Arc, time::Duration};

use steadfast_core::{Cause, Failure};
use tokio::sync::Notify;

use super::rauc_host::{
    PATIENCE, RaucHost, Setup,
    agent::Agent,
    bundles::{Recipe, image},
    keys::{Authority, Wish},
    manager::Systemd,
    own_process::alone,
    server::{Answer, TlsServer, serve},
    steps::text,
};

/// A node, and the bytes of a good release for it.
async fn node() -> (RaucHost, Vec<u8>) {
    let host = RaucHost::start_with(Setup::node()).await;
    let release = host.bundle("release", &Recipe { format: "verity", ..Recipe::release() });
    let bytes = fs::read(release).expect("an own file");
    (host, bytes)
}

#[track_caller]
fn ended(end: Result<(), Failure>, cause: Cause, words: &str) {
    let failure = end.expect_err("it cannot be verified");
    assert_eq!(failure.cause, cause, "{}", failure.evidence);
    assert!(failure.evidence.contains(words), "{}", failure.evidence);
}

#[test]
fn a_stream_that_breaks_off_again_and_again_is_the_networks() {
    alone(async || {
        let (host, bytes) = node().await;
        // RAUC asks for the first bytes, for the signature's size, and for the signature.
        for (begin, words) in [
            (0, "incomplete HTTP response"),
            (1, "failed to read data from remote server"),
            (2, "failed to read data from remote server"),
        ] {
            let url = serve(Answer::Breaking(bytes.clone(), begin..usize::MAX));
            ended(Agent::new().verify(&url).await, Cause::Network, words);
        }
        assert_eq!(host.boot_changes(), Vec::<String>::new());
    });
}

#[test]
fn a_stream_that_breaks_off_and_comes_back_is_taken_up_again() {
    alone(async || {
        let (_host, bytes) = node().await;
        for begin in 0..3 {
            let url = serve(Answer::Breaking(bytes.clone(), begin..begin + 2));
            assert_eq!(Agent::new().verify(&url).await, Ok(()), "broken from {begin}");
        }
    });
}

/// RAUC waits for ever, and the port for minutes: instead of waiting, this test's clock is set on.
async fn minutes_after(stalled: &Notify) {
    stalled.notified().await;
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(600)).await;
    tokio::time::resume();
}

#[test]
fn a_stream_that_stalls_holds_rauc_until_it_is_started_anew_and_then_it_goes_on() {
    alone(async || {
        let (host, bytes) = node().await;
        let systemd = Systemd::start(&host).await;
        for (restarts, answer) in (1..).zip(0..3) {
            let stalled = Arc::new(Notify::new());
            let url = serve(Answer::Stalling(bytes.clone(), answer, stalled.clone()));
            let mut agent = Agent::new().without_patience().trying(2);
            let (end, ()) = tokio::join!(agent.verify(&url), minutes_after(&stalled));
            assert_eq!(end, Ok(()), "stalled at answer {answer}");
            assert_eq!(systemd.restarts(), restarts);
        }
    });
}

#[test]
fn a_stalled_stream_that_nobody_frees_rauc_of_is_the_networks() {
    alone(async || {
        let (_host, bytes) = node().await;
        let stalled = Arc::new(Notify::new());
        let url = serve(Answer::Stalling(bytes, 2, stalled.clone()));
        let mut agent = Agent::new().without_patience();
        let (end, ()) = tokio::join!(agent.verify(&url), minutes_after(&stalled));
        ended(end, Cause::Network, "RAUC did not answer InspectBundle");
    });
}

#[test]
fn a_stream_of_half_a_bundle_is_damaged() {
    alone(async || {
        let (_host, bytes) = node().await;
        let url = serve(Answer::Ranges(bytes[..bytes.len() / 2].to_vec()));
        ended(Agent::new().verify(&url).await, Cause::Damaged, "Signature size");
    });
}

#[test]
fn a_server_with_a_strangers_certificate_gets_no_request_of_raucs_stream() {
    alone(async || {
        let (host, _) = node().await;
        let authority = Authority::new(&host.path("tls"), "tls");
        let extensions = "subjectAltName=IP:127.0.0.1";
        let server = authority.signer_with(Wish { extensions, ..Wish::default() });
        let server = TlsServer::start(&server);
        let verified = async |trusted: &Authority| {
            Agent::with_tls_ca(PATIENCE, trusted.certificate()).verify(&server.url).await
        };
        // RAUC 1.13 does not say that it was the certificate.
        let unanswered = "server not responding";
        ended(verified(&host.authority).await, Cause::Network, unanswered);
        // The same server, trusted: now its answer is heard.
        let heard = "range requests not supported";
        ended(verified(&authority).await, Cause::Network, heard);
    });
}

#[test]
fn a_bundle_that_is_exchanged_after_its_verification_is_not_the_one_that_was_verified() {
    alone(async || {
        let host = RaucHost::start_with(Setup::node()).await;
        let bundle = host.bundle("release", &Recipe::release());
        let other = Recipe { version: "1.3.0", image: image(3), ..Recipe::release() };
        let other = host.bundle("other", &other);
        let mut agent = Agent::new();
        assert_eq!(agent.verify(text(&bundle)).await, Ok(()));
        // As good as the first one, and by the same signer: only the digest tells.
        fs::rename(&other, &bundle).expect("an own directory is writable");
        ended(agent.install().await, Cause::Damaged, "RAUC says the slot holds");
        assert_eq!(host.read("slots/B"), image(3), "it was written all the same");
        assert_eq!(host.boot_changes(), ["set-state B bad"], "and does not boot");
        assert_eq!(host.installer.primary().await.expect("the backend answers"), "rootfs.0");
    });
}
