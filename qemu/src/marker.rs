//! The lines on the serial console by which the lab knows where a boot stands.
//!
//! ```text
//! steadfast-boot: …       the boot script        which slot, and what it could not load
//! steadfast-initramfs: …  the initramfs          started, watchdog armed, handed over, failed
//! steadfast: state …      the agent (kernel log) each change of state
//! steadfast-shell: …      the development shell  ready for commands
//! ```
//!
//! A marker is found anywhere in a line: the kernel puts its time before it, and other output may.

use crate::timeline::Actor;

/// A line that tells where the boot stands.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Marker {
    /// The boot script tries a slot; `left` is what it has left after this try, `sequence` counts the changes of the boot
    /// environment.
    Slot { slot: String, order: String, left: String, sequence: String },
    /// A slot's files are missing or broken.
    CannotLoad { slot: String },
    /// No slot had attempts left; each known one got one more.
    Rearm { round: String },
    /// No slot can boot: the node rests.
    Resting,
    /// The kernel runs.
    Kernel,
    /// The kernel died.
    Panic { why: String },
    /// The initramfs runs.
    InitramfsStarted { up: f64 },
    /// From here on the hardware watchdog counts.
    WatchdogArmed,
    /// The initramfs hands over to the root file system.
    InitramfsSwitched { up: f64 },
    /// The initramfs gave up.
    InitramfsFailed { why: String },
    /// The agent changed its state.
    State { state: String, slot: String, version: String, up: f64 },
    /// The development shell takes commands.
    Shell { up: f64 },
}

impl Marker {
    /// The marker in a line of the console, if there is one.
    pub(crate) fn in_line(line: &str) -> Option<Self> {
        if let Some(rest) = after(line, "steadfast-boot: ") {
            return boot(rest);
        }
        if let Some(rest) = after(line, "steadfast-initramfs: ") {
            let (word, rest) = rest.split_once(' ')?;
            return match word {
                "start" => Some(Self::InitramfsStarted { up: first_number(rest)? }),
                "switch" => Some(Self::InitramfsSwitched { up: first_number(rest)? }),
                "watchdog" if rest.starts_with("armed") => Some(Self::WatchdogArmed),
                "failed:" => Some(Self::InitramfsFailed { why: rest.to_owned() }),
                _ => None,
            };
        }
        if let Some(rest) = after(line, "steadfast: state ") {
            return state(rest);
        }
        if let Some(rest) = after(line, "steadfast-shell: ready up ") {
            return Some(Self::Shell { up: first_number(rest)? });
        }
        if let Some(rest) = after(line, "Kernel panic - not syncing: ") {
            return Some(Self::Panic { why: rest.to_owned() });
        }
        // U-Boot's last words (its arch/arm/lib/bootm.c): a quiet kernel has no first ones.
        line.contains("Starting kernel ...").then_some(Self::Kernel)
    }

    /// The timeline's words for it.
    pub(crate) fn moment(&self) -> (Actor, String) {
        match self {
            Self::Slot { slot, order, left, .. } => {
                let attempts = if left == "1" { "attempt" } else { "attempts" };
                (
                    Actor::Boot,
                    format!("slot {slot} is tried (order {order}, {left} more {attempts})"),
                )
            }
            Self::CannotLoad { slot } => (Actor::Boot, format!("slot {slot} cannot be loaded")),
            Self::Rearm { round } => (
                Actor::Boot,
                format!("no attempts left on any slot: round {round} of one more each"),
            ),
            Self::Resting => (Actor::Boot, "no slot can boot; the node rests".into()),
            Self::Kernel => (Actor::Kernel, "kernel starts".into()),
            Self::Panic { why } => (Actor::Kernel, format!("panic: {why}")),
            Self::InitramfsStarted { .. } => (Actor::Kernel, "initramfs starts".into()),
            Self::WatchdogArmed => (Actor::Kernel, "watchdog armed".into()),
            Self::InitramfsSwitched { .. } => {
                (Actor::Kernel, "root file system verified and opened".into())
            }
            Self::InitramfsFailed { why } => (Actor::Kernel, format!("initramfs gave up: {why}")),
            Self::State { state, slot, version, .. } => {
                (Actor::Agent, format!("{state} ({version} in slot {slot})"))
            }
            Self::Shell { .. } => (Actor::Machine, "shell takes commands".into()),
        }
    }
}

fn boot(rest: &str) -> Option<Marker> {
    if rest.starts_with("no slot can boot") {
        return Some(Marker::Resting);
    }
    if let Some(round) = rest.strip_prefix("rearm ") {
        return Some(Marker::Rearm { round: first_word(round)?.to_owned() });
    }
    let rest = rest.strip_prefix("slot ")?;
    let slot = first_word(rest)?.to_owned();
    if rest.contains("cannot be loaded") {
        return Some(Marker::CannotLoad { slot });
    }
    let order = after(rest, "order=\"")?.split('"').next()?.to_owned();
    let number = |key| Some(first_word(after(rest, key)?)?.to_owned());
    let (left, sequence) = (number("left=")?, number("seq=")?);
    Some(Marker::Slot { slot, order, left, sequence })
}

fn state(rest: &str) -> Option<Marker> {
    let words: Vec<&str> = rest.split_whitespace().collect();
    match words.as_slice() {
        [state, "slot", slot, "version", version, "up", up, ..] => Some(Marker::State {
            state: (*state).to_owned(),
            slot: (*slot).to_owned(),
            version: (*version).to_owned(),
            up: up.parse().ok()?,
        }),
        _ => None,
    }
}

fn after<'l>(line: &'l str, marker: &str) -> Option<&'l str> {
    line.find(marker).map(|at| &line[at + marker.len()..])
}

fn first_word(text: &str) -> Option<&str> {
    text.split_whitespace().next()
}

fn first_number(text: &str) -> Option<f64> {
    first_word(text)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_marker_of_the_contract_is_read() {
        let read = |line| Marker::in_line(line);
        assert_eq!(
            read("steadfast-boot: slot B order=\"B A\" left=2 seq=7 copy=1"),
            Some(Marker::Slot {
                slot: "B".into(),
                order: "B A".into(),
                left: "2".into(),
                sequence: "7".into()
            })
        );
        assert_eq!(
            read("steadfast-boot: slot B cannot be loaded"),
            Some(Marker::CannotLoad { slot: "B".into() })
        );
        assert_eq!(read("steadfast-boot: rearm 1"), Some(Marker::Rearm { round: "1".into() }));
        assert_eq!(read("steadfast-boot: no slot can boot, resting"), Some(Marker::Resting));
        assert_eq!(read("steadfast-initramfs: watchdog armed"), Some(Marker::WatchdogArmed));
        assert_eq!(
            read("steadfast-initramfs: switch 4.25"),
            Some(Marker::InitramfsSwitched { up: 4.25 })
        );
        assert_eq!(
            read("steadfast-initramfs: failed: verity root hash"),
            Some(Marker::InitramfsFailed { why: "verity root hash".into() })
        );
        assert_eq!(read("steadfast-shell: ready up 31.5"), Some(Marker::Shell { up: 31.5 }));
        assert_eq!(read("Starting kernel ..."), Some(Marker::Kernel));
        assert_eq!(
            read("steadfast-initramfs: start 2.5"),
            Some(Marker::InitramfsStarted { up: 2.5 })
        );
        assert_eq!(
            read("[    4.2] Kernel panic - not syncing: sysrq triggered crash"),
            Some(Marker::Panic { why: "sysrq triggered crash".into() })
        );
    }

    #[test]
    fn the_last_attempts_are_told_in_plain_words() {
        let told = |left: &str| {
            Marker::Slot {
                slot: "B".into(),
                order: "B A".into(),
                left: left.into(),
                sequence: "7".into(),
            }
            .moment()
            .1
        };
        assert_eq!(told("1"), "slot B is tried (order B A, 1 more attempt)");
        assert_eq!(told("0"), "slot B is tried (order B A, 0 more attempts)");
    }

    #[test]
    fn a_state_is_found_behind_the_kernels_time() {
        assert_eq!(
            Marker::in_line("[   41.3] steadfast: state probation slot B version 1.1.0 up 41.2"),
            Some(Marker::State {
                state: "probation".into(),
                slot: "B".into(),
                version: "1.1.0".into(),
                up: 41.2
            })
        );
    }

    #[test]
    fn other_lines_and_half_markers_are_not_markers() {
        for line in ["", "steadfast: state", "steadfast-boot: slot", "steadfast-shell: ready up x"]
        {
            assert_eq!(Marker::in_line(line), None, "{line}");
        }
    }
}
