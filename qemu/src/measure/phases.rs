//! Power-on to a committed boot, phase by phase, and which phase dominates.
//!
//! ```text
//! power on ─ firmware ─ load ─► kernel ─► initramfs ─ root ─► agent up ─ verdict ─► rest
//! ```

use super::{Figure, Figures};
use crate::timeline::Timeline;

/// Name of a phase, and how the moment begins that ends it. The agent of a committed node gives its slot all
/// attempts back before it judges: that is its first word.
const PHASES: [(&str, &str); 6] = [
    ("boot_1_firmware", "slot A is tried"),
    ("boot_2_load", "kernel starts"),
    ("boot_3_kernel", "initramfs starts"),
    ("boot_4_initramfs", "root file system verified"),
    ("boot_5_agent_up", "committing"),
    ("boot_6_verdict", "idle"),
];

/// Adds the phases of the timeline's first boot.
pub(super) fn add(timeline: &Timeline, figures: &mut Figures) {
    let mut last = 0.0;
    let mut longest: Option<(&'static str, f64)> = None;
    for (name, end) in PHASES {
        let Some(at) = timeline.first_after(last, end) else {
            figures
                .insert(name, Figure::not_taken("s", format!("the console did not show: {end}")));
            continue;
        };
        let seconds = at - last;
        last = at;
        if longest.is_none_or(|(_, most)| seconds > most) {
            longest = Some((name, seconds));
        }
        figures.insert(name, Figure::taken(seconds, "s", format!("until: {end}")));
    }
    let note = longest.map_or(String::new(), |(name, _)| format!("{name} dominates"));
    figures.insert("boot", Figure::taken(last, "s", note));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timeline::{Actor, Show};

    #[test]
    fn phases_follow_each_other_and_a_missing_one_says_so() {
        let timeline = Timeline::start(Show::Kept);
        for (_, end) in PHASES {
            if end != "kernel starts" {
                timeline.note(Actor::Boot, end);
            }
        }
        let mut figures = Figures::new();
        add(&timeline, &mut figures);
        assert_eq!(figures["boot_2_load"].value, None);
        assert_eq!(figures.values().filter(|figure| figure.value.is_some()).count(), 6);
        assert!(figures["boot"].note.ends_with("dominates"));
    }
}
