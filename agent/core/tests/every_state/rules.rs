//! What must be true of every arrow: where the node was, what happened, where it is.

use super::policy;
use steadfast_core::{
    Action, Cause, Digest, Event, Node, OtherSlot, Outcome, Pending, StagedSet, ThisSlot, Update,
    Verdict, Version, Why,
};

type Rule = fn(&Node, &Event, &Node) -> bool;

/// Each promise and its rule.
pub const RULES: [(&str, Rule); 19] = [
    ("pending only while settling", |_, _, to| {
        let settles = match &to.update {
            Update::Settling { .. } => true,
            Update::Committing { trial, .. } => trial.why == Why::Restart,
            _ => false,
        };
        settles || to.pending == Pending::Nothing
    }),
    ("running slot never written", |_, _, to| match to.update.action() {
        Some(Action::Install { target, .. }) => target != to.booted,
        _ => true,
    }),
    ("no install beside an uncommitted system", |_, _, to| {
        !matches!(to.update, Update::Installing { .. }) || to.runs_committed()
    }),
    ("only verified bundles", |from, event, to| match (&from.update, &to.update) {
        (Update::Verifying { .. }, Update::Installing { bundle, .. })
        | (Update::Verifying { .. }, Update::Staging { bundle, .. }) => {
            matches!(event, Event::Verified(Ok(found)) if found.bundle == *bundle.bundle())
        }
        (Update::Staging { bundle: staged, .. }, Update::Installing { bundle, .. })
        | (Update::Staging { bundle: staged, .. }, Update::Staging { bundle, .. }) => {
            staged == bundle
        }
        (Update::Installing { .. }, Update::Installing { .. }) => true,
        (_, to) => !matches!(to, Update::Installing { .. } | Update::Staging { .. }),
    }),
    ("only fitting bundles", |from, event, to| match (&from.update, &to.update, event) {
        (
            Update::Verifying { .. },
            Update::Installing { .. } | Update::Staging { .. },
            Event::Verified(Ok(found)),
        ) => {
            found.compatible == policy().compatible
                && found.sizes.root <= policy().room.root
                && found.sizes.boot <= policy().room.boot
                && !to.refused.contains(&found.bundle.digest)
                && to.floor.as_ref().is_none_or(|it| found.bundle.version.precedence(it).is_ge())
        }
        _ => true,
    }),
    ("only healthy slots committed", |from, event, to| {
        let Update::Committing { trial, .. } = &to.update else { return true };
        let vouched = matches!(event, Event::Judged(Verdict::Healthy) | Event::Confirmed);
        let again = from.update == to.update
            || matches!(&from.update, Update::Committing { trial: before, .. } if before == trial);
        let kept = trial.why == Why::Restart && to.runs_committed();
        let no_other = matches!(to.other, OtherSlot::Bad | OtherSlot::Unknown);
        let alone = to.committed.is_none() && no_other && to.doubt.is_some();
        trial.slot == to.booted && (vouched || again || kept || alone)
    }),
    ("committed changes by a commit", |from, event, to| {
        from.committed == to.committed
            || (commits(event)
                && to.committed.as_ref().is_some_and(|committed| committed.slot == to.booted))
    }),
    ("floor moves with commits", |from, event, to| {
        let rollback = rolls_back(&from.update);
        from.floor == to.floor || (commits(event) && (rises(&from.floor, &to.floor) || rollback))
    }),
    ("every bad ending has a cause", |_, _, to| {
        to.last.as_ref().is_none_or(|it| (it.outcome == Outcome::Committed) == it.failure.is_none())
    }),
    ("no update ends in silence", |from, _, to| {
        !under_way(from) || under_way(to) || to.last.is_some()
    }),
    ("previous is not overwritten", |_, _, to| match (&to.update, &to.previous) {
        (Update::Installing { target, .. }, Some(previous)) => previous.slot != *target,
        (_, Some(previous)) => to.committed.as_ref().is_some_and(|it| it.slot != previous.slot),
        (_, None) => true,
    }),
    ("installs that a boot cut off are counted", |from, event, to| {
        let (Some(before), Some(after)) = (cuts(from), cuts(to)) else { return true };
        let new = matches!(event, Event::Booted(boot) if boot.id != from.boot);
        let cut = matches!(from.update, Update::Installing { .. }) && new;
        after == before + u8::from(cut) && after < policy().fetch_attempts
    }),
    ("what never ran is not blamed", |from, event, to| match (&from.update, event) {
        (Update::Installing { .. }, Event::Booted(_)) => from.refused == to.refused,
        (Update::Rebooting { trial }, Event::Booted(boot))
            if boot.slot != trial.slot && boot.id != from.boot =>
        {
            let blamed = |to: &Update| match to {
                Update::Condemning { failure, .. } => failure.cause.blames_release(),
                _ => true,
            };
            boot.other != OtherSlot::Untried || !blamed(&to.update)
        }
        _ => true,
    }),
    ("a tick changes nothing", |from, event, to| *event != Event::Ticked || from == to),
    ("a shutdown is no restart", |from, event, to| match (&from.update, event) {
        (Update::Leaving { trial, restarts, shutdowns }, Event::Booted(boot)) => {
            let (trial, restarts, shutdowns) = (trial.clone(), *restarts, *shutdowns);
            let nothing_else = boot.evidence.is_none() && boot.slot == trial.slot;
            let nothing_else = nothing_else && boot.this != ThisSlot::Kept;
            !nothing_else || to.update == Update::Probation { trial, restarts, shutdowns }
        }
        (Update::Leaving { .. }, _) => from == to,
        (Update::Probation { restarts: before, .. }, Event::ShutdownAsked) => match &to.update {
            Update::Leaving { restarts, .. } => restarts == before,
            _ => from == to,
        },
        (_, Event::ShutdownAsked) => from == to,
        _ => true,
    }),
    ("only fitting sets", |from, event, to| match (&from.update, &to.update, event) {
        (
            Update::Staging { bundle, .. },
            Update::Installing { .. },
            Event::Staged(Ok(StagedSet { set, minimum_os })),
        ) => {
            let system = &bundle.bundle().version;
            !to.refused.contains(&set.digest)
                && to.set_floor.is_none_or(|floor| set.generation >= floor)
                && minimum_os.as_ref().is_none_or(|needed| system.precedence(needed).is_ge())
        }
        (Update::Staging { .. }, Update::Installing { .. }, _) => false,
        _ => true,
    }),
    ("the set of an install", |from, event, to| match (&from.update, &to.update, event) {
        (Update::Installing { set: before, .. }, Update::Installing { set, .. }, _) => {
            before == set
        }
        (_, Update::Installing { set, .. }, Event::Staged(Ok(staged))) => *set == Some(staged.set),
        (_, Update::Installing { offer, set, .. }, _) => offer.set.is_none() && *set == from.set,
        _ => true,
    }),
    ("the floor of sets moves with commits", |from, event, to| {
        let rises = from.set_floor <= to.set_floor || rolls_back(&from.update);
        from.set_floor == to.set_floor || (commits(event) && rises)
    }),
    ("a set alone is blamed for its workloads", |from, event, to| match (&from.update, event) {
        (Update::Condemning { trial, failure }, Event::Condemned(_)) => {
            let workload = matches!(failure.cause, Cause::Workload(_));
            let kept = from.committed.as_ref().and_then(|kept| kept.set);
            let brought = trial.set.is_some_and(|set| Some(set) != kept);
            !(workload && brought) || trial.digest.is_none_or(|it| was_refused(from, to, it))
        }
        _ => true,
    }),
];

/// The digest is refused after this only if it was before.
fn was_refused(from: &Node, to: &Node, digest: Digest) -> bool {
    from.refused.contains(&digest) || !to.refused.contains(&digest)
}

/// The boot store was told to keep the slot, or says by itself that it does.
fn commits(event: &Event) -> bool {
    matches!(event, Event::Committed(Ok(()))) || is_kept(event)
}

fn is_kept(event: &Event) -> bool {
    matches!(event, Event::Booted(boot) if boot.this == ThisSlot::Kept)
}

fn rolls_back(update: &Update) -> bool {
    match update {
        Update::Rebooting { trial }
        | Update::Probation { trial, .. }
        | Update::Leaving { trial, .. }
        | Update::Committing { trial, .. } => trial.why == Why::Rollback,
        _ => false,
    }
}

/// In how many installs of what is under way the node went down, once one had begun.
fn cuts(node: &Node) -> Option<u8> {
    match (&node.update, &node.pending) {
        (Update::Installing { cuts, .. }, _) => Some(*cuts),
        (
            Update::Fetching { begun, .. }
            | Update::Verifying { begun, .. }
            | Update::Staging { begun, .. },
            _,
        )
        | (_, Pending::Offer(_, begun)) => begun.as_ref().map(|begun| begun.cuts),
        _ => None,
    }
}

fn rises(from: &Option<Version>, to: &Option<Version>) -> bool {
    match (from, to) {
        (Some(from), Some(to)) => to.precedence(from).is_ge(),
        (None, _) => true,
        (Some(_), None) => false,
    }
}

fn under_way(node: &Node) -> bool {
    let trial = match &node.update {
        Update::Committing { trial, .. } => trial.why != Why::Restart,
        Update::Idle | Update::Settling { .. } => false,
        _ => true,
    };
    node.pending != Pending::Nothing || trial
}
