//! Why something ended as it did: a closed list, typed from where it is known to where it is read.

use crate::names::Name;
use core::fmt::{self, Write};
use serde::{Deserialize, Serialize};

/// A short piece of evidence: an exit code, the last line of a log, a panic's first line.
pub type Text = heapless::String<160>;

/// Writes `arguments` into a [`Text`], cut off at its end.
pub fn text(arguments: fmt::Arguments<'_>) -> Text {
    struct Cut(Text);
    impl Write for Cut {
        fn write_str(&mut self, s: &str) -> fmt::Result {
            for c in s.chars() {
                let c = if c.is_control() { ' ' } else { c };
                self.0.push(c).map_err(|_| fmt::Error)?;
            }
            Ok(())
        }
    }
    let mut cut = Cut(Text::new());
    // Full means cut off, which is what is promised.
    let _ = cut.write_fmt(arguments);
    cut.0
}

/// The cause of an ending. New ones are added at the end: the ledger stores the position.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Cause {
    /// The server could not be reached, answered with an error, or stalled.
    Network,
    /// The bundle, or what is in it, does not fit.
    Space,
    /// The bundle is not signed by a key that this node trusts.
    Signature,
    /// The bundle is cut off or altered.
    Damaged,
    /// The bundle is for another board.
    Compatible,
    /// The bundle is older than the version floor.
    Floor,
    /// This digest failed here before.
    Refused,
    /// The slot or the boot environment could not be written.
    Write,
    /// There is no bundle at the source.
    Source,
    /// RAUC died or stopped answering.
    Installer,
    /// The kernel panicked.
    Panic,
    /// The hardware watchdog reset the node, or systemd's killed the agent.
    Watchdog,
    /// The boot attempts were used up without the agent having been heard.
    Attempts,
    /// The agent ended again and again.
    AgentCrashed,
    /// A required check failed.
    Check(Name),
    /// A required workload was not ready.
    Workload(Name),
    /// Time ran out.
    Deadline,
    /// A person said so.
    Operator,
    /// Power was lost more often than a trial bears.
    Power,
    /// An agent condemned the slot, and its reason could not be saved.
    Unsaved,
    /// A manifest of the workload set is not what this node runs or allows.
    Manifest,
}

impl Cause {
    /// The cause's name for machines; stable.
    pub fn kind(&self) -> &'static str {
        match self {
            Cause::Network => "network",
            Cause::Space => "space",
            Cause::Signature => "signature",
            Cause::Damaged => "damaged",
            Cause::Compatible => "compatible",
            Cause::Floor => "floor",
            Cause::Refused => "refused",
            Cause::Write => "write",
            Cause::Source => "source",
            Cause::Installer => "installer",
            Cause::Panic => "panic",
            Cause::Watchdog => "watchdog",
            Cause::Attempts => "attempts",
            Cause::AgentCrashed => "agent-crashed",
            Cause::Check(_) => "check",
            Cause::Workload(_) => "workload",
            Cause::Deadline => "deadline",
            Cause::Operator => "operator",
            Cause::Power => "power",
            Cause::Unsaved => "unsaved",
            Cause::Manifest => "manifest",
        }
    }

    /// The check or workload that it names.
    pub fn name(&self) -> Option<&str> {
        match self {
            Cause::Check(name) | Cause::Workload(name) => Some(name),
            _ => None,
        }
    }

    /// Whether the release itself is to blame, so that its digest is refused from now on. Power and
    /// a boot environment that cannot be written say nothing about what was installed.
    pub fn blames_release(&self) -> bool {
        !matches!(self, Cause::Power | Cause::Write | Cause::Space) && !self.passes()
    }

    /// Whether trying again may help. What does not pass by itself is never tried again.
    pub fn passes(&self) -> bool {
        matches!(self, Cause::Network | Cause::Installer)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Cause::Network => "the server could not be used",
            Cause::Space => "it does not fit",
            Cause::Signature => "it is not signed by a key this node trusts",
            Cause::Damaged => "it is cut off or altered",
            Cause::Compatible => "it is for another board",
            Cause::Floor => "it is older than the version floor",
            Cause::Refused => "this bundle failed here before",
            Cause::Write => "it could not be written",
            Cause::Source => "there is no bundle at the source",
            Cause::Installer => "RAUC stopped answering",
            Cause::Panic => "the kernel panicked",
            Cause::Watchdog => "the watchdog ran out",
            Cause::Attempts => "the boot attempts were used up",
            Cause::AgentCrashed => "the agent crashed",
            Cause::Check(name) => return write!(f, "check {name} failed"),
            Cause::Workload(name) => return write!(f, "workload {name} was not ready"),
            Cause::Deadline => "time ran out",
            Cause::Operator => "an operator asked for it",
            Cause::Power => "power was lost too often",
            Cause::Unsaved => "it was condemned and the reason could not be saved",
            Cause::Manifest => "this node does not take its manifests",
        })
    }
}

/// A cause and what shows it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Failure {
    /// Why.
    pub cause: Cause,
    /// What was seen; may be empty.
    pub evidence: Text,
}

impl Failure {
    /// A failure and what shows it, cut off at 160 bytes.
    pub fn new(cause: Cause, evidence: fmt::Arguments<'_>) -> Failure {
        Failure { cause, evidence: text(evidence) }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.evidence.is_empty() {
            true => write!(f, "{}", self.cause),
            false => write!(f, "{} ({})", self.cause, self.evidence),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_evidence_is_cut_off_and_control_characters_are_blank() {
        let failure = Failure::new(Cause::Write, format_args!("line\nnext {:>300}", "end"));
        assert_eq!(failure.evidence.len(), 160);
        assert!(failure.evidence.starts_with("line next "));
    }
}
