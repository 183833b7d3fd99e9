//! What is read outside: the names of causes, their sentences, digests and versions.

use std::time::Duration;
use steadfast_core::{Cause, Digest, Failure, Version, watchdog};

#[test]
fn the_names_of_causes_stay_and_each_has_its_own() {
    let name = |text: &str| text.try_into().expect("short");
    use Cause as C;
    let causes = [
        (C::Network, "network"),
        (C::Space, "space"),
        (C::Signature, "signature"),
        (C::Damaged, "damaged"),
        (C::Compatible, "compatible"),
        (C::Floor, "floor"),
        (C::Refused, "refused"),
        (C::Write, "write"),
        (C::Source, "source"),
        (C::Installer, "installer"),
        (C::Panic, "panic"),
        (C::Watchdog, "watchdog"),
        (C::Attempts, "attempts"),
        (C::AgentCrashed, "agent-crashed"),
        (C::Check(name("kiosk")), "check"),
        (C::Workload(name("bridge")), "workload"),
        (C::Deadline, "deadline"),
        (C::Operator, "operator"),
        (C::Power, "power"),
        (C::Unsaved, "unsaved"),
        (C::Manifest, "manifest"),
    ];
    let mut sentences = std::collections::BTreeSet::new();
    for (cause, kind) in causes {
        assert_eq!(cause.kind(), kind);
        let sentence = cause.to_string();
        assert!(sentence.len() > 10 && sentences.insert(sentence), "{cause:?}");
    }
    assert_eq!(C::Check(name("kiosk")).name(), Some("kiosk"));
    assert_eq!(C::Workload(name("bridge")).name(), Some("bridge"));
    assert_eq!(C::Power.name(), None);
}

#[test]
fn a_failure_tells_its_cause_and_what_shows_it() {
    let failure =
        Failure::new(Cause::Check("kiosk".try_into().expect("short")), format_args!("exit 1"));
    assert_eq!(failure.to_string(), "check kiosk failed (exit 1)");
    let silent = Failure { evidence: Default::default(), ..failure };
    assert_eq!(silent.to_string(), "check kiosk failed");
}

#[test]
fn a_digest_is_read_back_from_its_own_digits() {
    let mut digest = Digest([0; 32]);
    (0..).zip(&mut digest.0).for_each(|(at, byte)| *byte = 0xf0_u8.wrapping_add(at * 7));
    let digits = digest.to_string();
    assert!(digits.len() == 64 && digits.starts_with("f0f7fe05"), "{digits}");
    assert_eq!(Digest::from_hex(&digits), Some(digest));
    assert!(format!("{digest:?}").contains("f0f7fe05"), "{digest:?}");
    assert_eq!(Digest::from_hex(&digits[1..]), None);
    assert_eq!(Digest::from_hex(&digits.replace('f', "g")), None);
}

#[test]
fn a_version_is_the_text_that_it_was_made_of() {
    assert_eq!(Version::new("1.2.0-rc1").expect("a version").as_str(), "1.2.0-rc1");
}

#[test]
fn several_turns_fit_into_the_deadline_of_the_watchdog() {
    let deadline = Duration::from_secs(40);
    let period = watchdog::period(deadline);
    assert!(period > Duration::from_secs(1) && period * 3 <= deadline, "{period:?}");
}
