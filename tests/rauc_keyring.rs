//! Whose bundles a node takes, by the `[keyring]` of its own system.conf.
//!
//! What a node's system.conf does not say, and image-build may say one day, is added here line by line, so that both
//! ways are known.

use std::path::PathBuf;

use steadfast_core::Cause;

use super::rauc_host::{
    RaucHost, Revocation, Setup,
    agent::Agent,
    bundles::Recipe,
    keys::{Authority, Signer, Validity, Wish},
    own_process::alone,
    steps::text,
};

/// Nothing, or the cause and RAUC's own words.
type End = Result<(), (Cause, String)>;

/// The whole way of a release by `signer`, through the agent's port.
async fn release(host: &RaucHost, name: &str, signer: &Signer) -> End {
    let bundle = host.bundle_by(signer, name, &Recipe::release());
    offered(text(&bundle)).await
}

async fn offered(bundle: &str) -> End {
    let end = Agent::new().update(bundle).await;
    end.map_err(|failure| (failure.cause, failure.evidence.to_string()))
}

#[track_caller]
fn refused(end: End, words: &str) {
    let (cause, evidence) = end.expect_err("it is not to be trusted");
    assert_eq!(cause, Cause::Signature, "{evidence}");
    assert!(evidence.contains(words), "{evidence}");
}

fn untouched(host: &RaucHost) {
    assert_eq!(host.read("slots/B"), b"old");
    assert_eq!(host.boot_changes(), Vec::<String>::new());
}

async fn node_with(keyring: &'static str) -> RaucHost {
    RaucHost::start_with(Setup { keyring, ..Setup::node() }).await
}

#[test]
fn a_certificate_that_expired_after_it_signed_still_installs() {
    alone(async || {
        let host = node_with("").await;
        // Whoever steals this key can sign with the same clock: expiry keeps nobody out.
        let signer = host.authority.signer(Validity::LongAgo).at("@2010-06-01 00:00:00");
        assert_eq!(release(&host, "old", &signer).await, Ok(()));
    });
}

/// Although it holds by the node's own clock, which decides nothing.
#[test]
fn a_certificate_that_had_expired_when_it_signed_is_refused() {
    alone(async || {
        let clock = Some("@2010-06-01 00:00:00");
        let host = RaucHost::start_with(Setup { clock, ..Setup::node() }).await;
        let expired = host.authority.signer(Validity::LongAgo).at("@2012-06-01 00:00:00");
        refused(release(&host, "expired", &expired).await, "certificate has expired");
        untouched(&host);
    });
}

/// Although it holds by the node's own clock, which decides nothing.
#[test]
fn a_certificate_that_did_not_hold_yet_when_it_signed_is_refused() {
    alone(async || {
        let clock = Some("@2075-06-01 00:00:00");
        let host = RaucHost::start_with(Setup { clock, ..Setup::node() }).await;
        let early = host.authority.signer(Validity::LongAhead).at("@2069-06-01 00:00:00");
        refused(release(&host, "early", &early).await, "is not yet valid");
        untouched(&host);
    });
}

#[test]
fn a_node_without_a_clock_takes_the_same_bundles() {
    alone(async || {
        let clock = Some("@1970-01-01 00:01:00");
        let host = RaucHost::start_with(Setup { clock, ..Setup::node() }).await;
        let good = host.authority.signer(Validity::Now);
        assert_eq!(release(&host, "good", &good).await, Ok(()));
        let expired = host.authority.signer(Validity::LongAgo);
        refused(release(&host, "expired", &expired).await, "certificate has expired");
    });
}

#[test]
fn a_node_in_the_far_future_takes_the_same_bundles() {
    alone(async || {
        let clock = Some("@2095-01-01 00:00:00");
        let host = RaucHost::start_with(Setup { clock, ..Setup::node() }).await;
        let good = host.authority.signer(Validity::Now);
        assert_eq!(release(&host, "good", &good).await, Ok(()));
        let early = host.authority.signer(Validity::LongAhead);
        refused(release(&host, "early", &early).await, "is not yet valid");
    });
}

#[test]
fn a_list_that_the_image_was_not_made_with_is_not_looked_at() {
    alone(async || {
        let host = node_with("").await;
        let root = host.authority.certificate();
        let signer = host.authority.signer(Validity::Now);
        let list = host.authority.revoke(&signer);
        host.trust(&[root, list]);
        assert_eq!(release(&host, "revoked", &signer).await, Ok(()));
    });
}

#[test]
fn a_node_whose_image_has_a_list_refuses_whom_it_names() {
    alone(async || {
        let revocation = Revocation::Listed;
        let host = RaucHost::start_with(Setup { revocation, ..Setup::node() }).await;
        let root = host.authority.certificate();
        let signer = |name| host.authority.signer_with(Wish { name, ..Wish::default() });
        let (good, bad) = (signer("good"), signer("bad"));
        let list = host.authority.revoke(&bad);
        refused(release(&host, "unlisted", &good).await, "unable to get certificate CRL");
        host.trust(&[root, list]);
        refused(release(&host, "revoked", &bad).await, "certificate revoked");
        // The list is read at the time of signing, too: it must be older than the bundle.
        let earlier = Signer { clock: Some("-1d"), ..signer("earlier") };
        refused(release(&host, "before-the-list", &earlier).await, "CRL is not yet valid");
        untouched(&host);
        assert_eq!(release(&host, "good", &good).await, Ok(()));
    });
}

const PURPOSES: [(&str, &str); 4] = [
    ("any", ""),
    ("mail", "extendedKeyUsage=emailProtection"),
    ("server", "extendedKeyUsage=serverAuth"),
    ("code", "keyUsage=digitalSignature\nextendedKeyUsage=codeSigning"),
];

/// Which of [`PURPOSES`] may sign for this host.
async fn accepted(host: &RaucHost) -> Vec<&'static str> {
    let mut accepted = Vec::new();
    for (name, extensions) in PURPOSES {
        let signer = host.authority.signer_with(Wish { name, extensions, ..Wish::default() });
        match release(host, name, &signer).await {
            Ok(()) => accepted.push(name),
            end => refused(end, "unsuitable certificate purpose"),
        }
    }
    accepted
}

#[test]
fn a_certificate_for_another_purpose_is_refused() {
    alone(async || {
        assert_eq!(accepted(&node_with("").await).await, ["any", "mail"]);
    });
}

#[test]
fn a_node_that_asks_for_code_signing_takes_nothing_else() {
    alone(async || {
        assert_eq!(accepted(&node_with("check-purpose=codesign").await).await, ["code"]);
    });
}

#[test]
fn an_intermediate_authority_vouches_only_when_it_comes_along() {
    alone(async || {
        let host = node_with("").await;
        let below = host.authority.intermediate(&host.path("intermediate"));
        let signer = below.signer(Validity::Now);
        let forgotten = Signer { intermediate: None, ..below.signer(Validity::Now) };
        let words = "unable to get local issuer certificate";
        refused(release(&host, "forgotten", &forgotten).await, words);
        // The intermediate alone is no root of trust.
        host.trust(&[below.certificate()]);
        refused(release(&host, "no-root", &signer).await, "unable to get issuer certificate");
        untouched(&host);
        host.trust(&[host.authority.certificate()]);
        assert_eq!(release(&host, "chain", &signer).await, Ok(()));
    });
}

/// Two releases that change the key: the first brings both into the keyring, the second takes the old one out.
#[test]
fn a_key_changes_over_two_releases_and_no_node_is_left_behind() {
    alone(async || {
        let host = node_with("").await;
        let new = Authority::new(&host.path("new"), "new");
        let signed = |signer: &Signer, name| {
            text(&host.bundle_by(signer, name, &Recipe::release())).to_owned()
        };
        let by_old = signed(&host.authority.signer(Validity::Now), "by-old");
        let by_new = signed(&new.signer(Validity::Now), "by-new");
        let stranger = "unable to get local issuer certificate";
        let old = host.authority.certificate();
        let keyrings: [(Vec<PathBuf>, _); 3] = [
            (vec![old.clone()], [true, false]),
            (vec![old, new.certificate()], [true, true]),
            (vec![new.certificate()], [false, true]),
        ];
        for (keyring, trusted) in keyrings {
            host.trust(&keyring);
            for (bundle, trusted) in [&by_old, &by_new].into_iter().zip(trusted) {
                match (offered(bundle).await, trusted) {
                    (Ok(()), true) => {}
                    (end, _) => refused(end, stranger),
                }
            }
        }
    });
}
