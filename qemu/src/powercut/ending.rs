//! How an update has to end that was cut once: as its story says, once, and never in silence.

use crate::status::{Ending, Entry, History, Status};
use crate::variant::FIRST;

/// An ending, and the version that a node rests with after it.
pub(super) type End = (&'static str, &'static str);

/// What is wrong with what a node that rests says of its update, which may have come to one of these ends.
pub(super) fn fault(status: &Status, history: &History, ends: &[End]) -> Option<String> {
    let (version, refused) = (&*status.system.version, &status.refused);
    let announced = history.entries.iter().any(|entry| entry.event == "announced");
    let endings: Vec<String> = history.endings.iter().map(Ending::summary).collect();
    let sick = |entry: &Entry| entry.event == "judged" && entry.detail.starts_with("unhealthy");
    let unhealthy = history.entries.iter().any(sick);
    match &endings[..] {
        [] if announced => Some("it rests, and its update ended in silence".to_owned()),
        [] if version != FIRST.version => {
            Some(format!("it rests with {version} of which it never heard"))
        }
        [_, _, ..] => Some(format!("its update ended {} times", endings.len())),
        [ending] if !ends.contains(&(&**ending, version)) => {
            Some(format!("its update ended as {ending:?}, and it rests with {version}"))
        }
        _ if unhealthy != (refused.len() == 1) => {
            Some(format!("it judged unhealthy: {unhealthy}, and refuses {}", refused.len()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENDS: [End; 2] = [("returned: check sick", "1.0.0"), ("failed: network", "1.0.0")];

    /// What a node says that announced, judged and ended in these ways.
    fn of(events: &[(&str, &str)], endings: &[&str], refused: usize) -> Option<String> {
        let entry = |(event, detail): &(&str, &str)| {
            format!(
                r#"{{"seq":1,"event":"{event}","detail":"{detail}","state":"idle","slot":"B"}}"#
            )
        };
        let ending = |ending: &&str| {
            let (outcome, cause) = ending.split_once(": ").unwrap_or((ending, ""));
            let cause = match cause.split_once(' ') {
                Some((kind, name)) => format!(r#"{{"kind":"{kind}","name":"{name}"}}"#),
                None if cause.is_empty() => "null".to_owned(),
                None => format!(r#"{{"kind":"{cause}","name":null}}"#),
            };
            format!(
                r#"{{"release":"1.2.0","outcome":"{outcome}","cause":{cause},"evidence":null,"slot":"B"}}"#
            )
        };
        let list = |parts: Vec<String>| parts.join(",");
        let text = format!(
            r#"{{"entries":[{}],"endings":[{}]}}"#,
            list(events.iter().map(entry).collect()),
            list(endings.iter().map(ending).collect())
        );
        let history: History = serde_json::from_str(&text).expect("a history");
        let mut status = crate::status::tests::status();
        status.refused = vec!["00".to_owned(); refused];
        fault(&status, &history, &ENDS)
    }

    const HEARD: (&str, &str) = ("announced", "http://10.0.2.2/1.2.0.raucb");
    const SICK: (&str, &str) = ("judged", "unhealthy: check sick (exit 1)");

    #[test]
    fn an_update_ends_as_its_story_says_or_was_never_heard_of() {
        assert_eq!(of(&[], &[], 0), None);
        assert_eq!(of(&[HEARD, SICK], &["returned: check sick"], 1), None);
        assert_eq!(of(&[HEARD], &["failed: network"], 0), None);
    }

    #[test]
    fn silence_another_ending_a_second_one_and_a_sick_release_that_is_not_refused_are_faults() {
        let faults = [
            of(&[HEARD], &[], 0),
            of(&[HEARD, SICK], &["returned: power"], 1),
            of(&[HEARD], &["committed"], 0),
            of(&[HEARD, SICK], &["returned: check sick", "returned: check sick"], 1),
            of(&[HEARD, SICK], &["returned: check sick"], 0),
            of(&[HEARD], &["failed: network"], 1),
        ];
        assert!(faults.iter().all(Option::is_some), "{faults:?}");
        let mut status = crate::status::tests::status();
        (status.system.version, status.refused) = ("1.2.0".into(), Vec::new());
        let nothing = History { entries: Vec::new(), endings: Vec::new() };
        assert!(fault(&status, &nothing, &ENDS).is_some_and(|fault| fault.contains("never heard")));
    }
}
