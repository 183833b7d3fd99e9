//! `cargo demo`: one node, one disk, four releases, and what became of each.
//!
//! ```text
//! power on 1.0.0 in A ─► good 1.1.0 ─► commits in B ─► unhealthy, hung, no-boot ─► each returns to B
//! ```

use std::fmt::Write as _;
use std::io::{IsTerminal, stdout};

use anyhow::Result;

use crate::lab::{Begin, Lab, Subject};
use crate::places;
use crate::scenario::{Claim, Setting, Stage, story};
use crate::timeline::{Paint, Show, Timeline};
use crate::variant::{self, Variant};

/// A chapter of the story.
struct Chapter {
    release: &'static Variant,
    title: &'static str,
    run: fn(&mut Stage, &Variant) -> Result<()>,
}

const CHAPTERS: [Chapter; 4] = [
    Chapter {
        release: &variant::GOOD,
        title: "A good release arrives over HTTP, proves itself and stays.",
        run: story::good_update,
    },
    Chapter {
        release: &variant::UNHEALTHY,
        title: "A release whose own check fails: the node goes back by itself.",
        run: story::unhealthy,
    },
    Chapter {
        release: &variant::HUNG,
        title: "A release whose agent stops turning: the hardware watchdog brings the node back.",
        run: story::hung,
    },
    Chapter {
        release: &variant::NO_BOOT,
        title: "A release that cannot start: the boot script gives it up.",
        run: story::no_boot,
    },
];

/// How a chapter ended.
struct End {
    release: &'static Variant,
    seconds: f64,
    node: String,
    fault: Option<String>,
}

/// Tells the story; returns whether all four releases ended as promised.
pub(crate) fn run(subject: &Subject) -> Result<bool> {
    let releases: Vec<Variant> = CHAPTERS.iter().map(|chapter| *chapter.release).collect();
    println!("The node's releases are built first (the first time takes a few minutes).");
    let lab = Lab::prepare(subject, &releases, Show::Live)?;
    let paint = Paint::for_terminal(stdout().is_terminal());
    let heading = |text: &str| println!("\n{}", paint.apply("1", text));

    heading("A new node is switched on for the first time. It runs 1.0.0.");
    let folder = places::lab().join("runs/demo");
    let timeline = Timeline::start(Show::Live);
    let setting = Setting { folder: folder.clone(), begin: Begin::PowerOn, stick: None };
    let mut stage = Stage::set(&lab, &setting, &timeline)?;
    lab.await_committed(&mut stage.guest)?;

    let mut ends = Vec::new();
    for (number, chapter) in CHAPTERS.iter().enumerate() {
        heading(&format!("{} of {}: {}", number + 1, CHAPTERS.len(), chapter.title));
        let end = tell(&mut stage, chapter);
        let lost = end.node.is_empty();
        ends.push(end);
        if lost {
            break;
        }
    }
    heading("Summary");
    println!("{}", summary(&ends, paint));
    println!("serial log: {}", folder.join("serial.log").display());
    Ok(ends.len() == CHAPTERS.len() && ends.iter().all(|end| end.fault.is_none()))
}

fn tell(stage: &mut Stage, chapter: &Chapter) -> End {
    let began = stage.now();
    let ended = (chapter.run)(stage, chapter.release);
    let fault = match ended {
        Err(error) => Some(format!("{error:#}")),
        Ok(()) => stage
            .take_claims()
            .iter()
            .find(|claim| !claim.holds())
            .map(|Claim { what, found, wanted }| format!("{what} is {found}, wanted {wanted}")),
    };
    let node = stage.guest.status().map_or_else(
        |_| String::new(),
        |status| {
            let last = status.update.last.map_or_else(|| "none".into(), |last| last.summary());
            format!("{last}; runs {} in {}", status.system.version, status.system.slot)
        },
    );
    End { release: chapter.release, seconds: stage.now() - began, node, fault }
}

fn summary(ends: &[End], paint: Paint) -> String {
    let mut text = String::new();
    for end in ends {
        let verdict = match end.fault {
            None => paint.apply("32", "as promised"),
            Some(_) => paint.apply("31", "NOT so     "),
        };
        let _ = writeln!(
            text,
            "{:<10} {:<8} {verdict}  {:>6.1} s  {}",
            end.release.name, end.release.version, end.seconds, end.node
        );
        for line in end.fault.iter().flat_map(|fault| fault.lines()) {
            let _ = writeln!(text, "           {line}");
        }
    }
    let kept = ends.iter().filter(|end| end.fault.is_none()).count();
    let _ = write!(text, "{kept} of {} ended as promised", CHAPTERS.len());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_is_aligned_and_counts() {
        let ends = [
            End {
                release: &variant::GOOD,
                seconds: 99.96,
                node: "committed; runs 1.1.0 in B".into(),
                fault: None,
            },
            End {
                release: &variant::HUNG,
                seconds: 200.0,
                node: "committed; runs 1.1.0 in B".into(),
                fault: Some("slot is A, wanted B".into()),
            },
        ];
        assert_eq!(
            summary(&ends, Paint::Plain),
            "good       1.1.0    as promised   100.0 s  committed; runs 1.1.0 in B\n\
             hung       1.3.0    NOT so        200.0 s  committed; runs 1.1.0 in B\n           \
             slot is A, wanted B\n1 of 4 ended as promised"
        );
    }

    #[test]
    fn versions_grow_so_that_the_floor_lets_each_chapter_begin() {
        let versions: Vec<_> = CHAPTERS.iter().map(|chapter| chapter.release.version).collect();
        assert!(versions.windows(2).all(|pair| pair[0] < pair[1]), "{versions:?}");
    }
}
