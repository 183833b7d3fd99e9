//! What is always true of a node that starts again: judged from its own answers, against the story that was cut.
//!
//! One cut is borne. So whatever the node says after it must fit into the story: no other ending than the story's, with
//! its cause, and with the release in which it ends; no commit without a verdict before it; no slot that is tried although
//! its release was refused; nothing given up only because the power went.

use super::story::Story;
use crate::status::{Ending, Entry, History, Status};

/// All that a node says of itself.
pub(super) struct Seen {
    /// Its status.
    pub(super) status: Status,
    /// Its history.
    pub(super) history: History,
}

impl Seen {
    /// The last start in the ledger.
    fn start(&self) -> Option<&Entry> {
        self.history.entries.iter().rfind(|step| step.event == "booted")
    }

    /// The last entry that was there before the node started.
    pub(super) fn before(&self) -> u64 {
        self.start().map_or(0, |start| start.seq.saturating_sub(1))
    }

    /// Whether the slot on trial was judged like this.
    fn judged(&self, words: &str) -> bool {
        let judged = |step: &&Entry| step.event == "judged" && step.slot == "B";
        self.history.entries.iter().filter(judged).any(|step| step.detail.starts_with(words))
    }

    /// Whether /data had to be repaired.
    pub(super) fn repaired(&self) -> bool {
        self.status
            .ledger
            .damage
            .as_ref()
            .is_some_and(|damage| damage.contains("/data was repaired"))
    }
}

/// What is wrong with a node that runs `version` in `slot` after a cut of this story.
pub(super) fn fault(seen: &Seen, story: &Story, [version, slot]: [&str; 2]) -> Option<String> {
    let Status { system, ledger, floor, .. } = &seen.status;
    if [&*system.version, &*system.slot] != [version, slot] {
        return Some(format!("it says that it runs {} in {}", system.version, system.slot));
    }
    if [&*ledger.kept, &*ledger.chain] != ["data", "whole"] {
        return Some(format!(
            "its ledger is kept in {}, its chain is {}",
            ledger.kept, ledger.chain
        ));
    }
    if let Some(damage) = ledger.damage.as_ref().filter(|_| !seen.repaired()) {
        return Some(format!("its ledger is damaged: {damage}"));
    }
    let endings = seen.history.endings.iter().chain(&seen.status.update.last);
    for ending in endings.map(Ending::summary) {
        if !story.ends.contains(&(&*ending, version)) {
            return Some(format!("its update ended as {ending:?}, and it runs {version}"));
        }
    }
    if floor.as_deref().is_some_and(|floor| floor != "1.0.0") && !seen.judged("healthy") {
        return Some(format!("{version} was committed and not judged healthy"));
    }
    let Some(start) = seen.start() else { return Some("its ledger has no start".to_owned()) };
    let given_up = ["condemning", "returning"].contains(&&*start.state);
    if given_up && !seen.judged("unhealthy") {
        return Some(format!("it gives {version} up: it is {}", start.state));
    }
    // While it is asked it may already refuse what it has just given up.
    let tried_again = slot == "B" && !given_up;
    (!seen.status.refused.is_empty() && (tried_again || !seen.judged("unhealthy")))
        .then(|| format!("it refuses a release, and runs {version} in {slot}"))
}

#[cfg(test)]
mod tests {
    use super::super::story::STORIES;
    use super::*;

    fn step(seq: u64, words: &str) -> Entry {
        let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
        let [event, detail, state, slot] = &words[..] else { panic!("four words") };
        let [event, detail, state, slot] = [event, detail, state, slot].map(Clone::clone);
        Entry { seq, event, detail, state, slot }
    }

    /// A node on trial that was cut in its probation.
    fn on_trial() -> Seen {
        let mut status = crate::status::tests::status();
        status.system.slot = "B".into();
        status.system.version = "1.1.0".into();
        status.update.last = None;
        status.ledger.damage = None;
        status.refused = Vec::new();
        let entries = vec![step(7, "activated - rebooting A"), step(8, "booted - probation B")];
        Seen { status, history: History { entries, endings: Vec::new() } }
    }

    fn fault_of(change: impl FnOnce(&mut Seen)) -> Option<String> {
        let mut seen = on_trial();
        change(&mut seen);
        fault(&seen, &STORIES[0], ["1.1.0", "B"])
    }

    /// A node whose update was committed, and that runs the system from before it.
    fn committed() -> Seen {
        let mut seen = on_trial();
        (seen.status.system.slot, seen.status.system.version) = ("A".into(), "1.0.0".into());
        let ending = crate::status::tests::status().update.last.expect("it has one");
        let ending = Ending { outcome: "committed".into(), cause: None, ..ending };
        seen.history.endings.push(ending);
        seen
    }

    #[test]
    fn a_trial_that_goes_on_is_well_and_the_entry_before_its_start_is_known() {
        assert_eq!(fault_of(|_| ()), None);
        assert_eq!(on_trial().before(), 7);
    }

    #[test]
    fn a_repaired_data_partition_is_no_fault_and_a_lost_one_is() {
        let damaged = |words: &str| {
            let damage = Some(format!("/data was {words}"));
            fault_of(|seen| seen.status.ledger.damage = damage)
        };
        assert_eq!(damaged("repaired 1"), None);
        assert!(damaged("lost 8").is_some());
    }

    #[test]
    fn whatever_the_story_does_not_tell_is_a_fault() {
        let ending = crate::status::tests::status().update.last;
        let faults = [
            fault_of(|seen| seen.status.system.slot = "A".into()),
            fault_of(|seen| seen.status.ledger.kept = "memory".into()),
            fault_of(|seen| seen.status.ledger.chain = "broken".into()),
            fault_of(|seen| seen.status.update.last = ending.clone()),
            fault_of(|seen| seen.history.endings.extend(ending.clone())),
            fault_of(|seen| seen.status.floor = Some("1.1.0".into())),
            fault_of(|seen| seen.status.refused.push("00".into())),
            fault_of(|seen| seen.history.entries[1].state = "condemning".into()),
            fault_of(|seen| seen.history.entries.clear()),
            fault(&committed(), &STORIES[0], ["1.0.0", "A"]),
        ];
        assert!(faults.iter().all(Option::is_some), "{faults:?}");
    }

    #[test]
    fn a_commit_is_well_after_a_verdict_and_a_sick_release_may_be_given_up() {
        let verdict = |words: &str| step(9, &format!("judged {words} committing B"));
        let committed = fault_of(|seen| {
            seen.history.entries.insert(1, verdict("healthy"));
            seen.status.floor = Some("1.1.0".into());
        });
        assert_eq!(committed, None);
        let given_up = fault_of(|seen| {
            seen.history.entries.insert(1, verdict("unhealthy"));
            seen.history.entries[2].state = "condemning".into();
        });
        assert_eq!(given_up, None);
        let again = |state: &str| {
            fault_of(|seen| {
                seen.history.entries.insert(1, verdict("unhealthy"));
                seen.history.entries[2].state = state.into();
                seen.status.refused.push("00".into());
            })
        };
        assert_eq!(again("condemning"), None, "it refuses what it gives up");
        assert!(again("probation").is_some(), "it tries what it refuses");
    }
}
