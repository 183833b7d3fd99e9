//! What a run leaves: a table for people, one JSON object for machines, JUnit XML for CI.

use std::fmt::Write as _;

use serde::Serialize;

use crate::scenario::{Claim, Outcome};
use crate::timeline::Paint;

/// A whole run.
#[derive(Debug, Serialize)]
pub(crate) struct Run<'o> {
    passed: usize,
    failed: usize,
    scenarios: &'o [Outcome],
}

impl<'o> Run<'o> {
    /// The run with these outcomes.
    pub(crate) fn new(scenarios: &'o [Outcome]) -> Self {
        let passed = scenarios.iter().filter(|outcome| outcome.passed).count();
        Self { passed, failed: scenarios.len() - passed, scenarios }
    }

    /// Whether every scenario passed.
    pub(crate) fn all_passed(&self) -> bool {
        self.failed == 0 && self.passed > 0
    }

    /// One aligned line for each scenario, what was wrong below it, and a closing count.
    pub(crate) fn table(&self, paint: Paint) -> String {
        let width = self.scenarios.iter().map(|o| o.name.len()).max().unwrap_or(0);
        let mut text = String::new();
        for outcome in self.scenarios {
            let verdict = if outcome.passed {
                paint.apply("32", "passed")
            } else {
                paint.apply("31", "FAILED")
            };
            let _ = writeln!(
                text,
                "{:<width$}  {verdict}  {:>6.1} s  {}",
                outcome.name, outcome.seconds, outcome.promise
            );
            for line in faults(outcome) {
                let _ = writeln!(text, "{:<width$}          {line}", "");
            }
        }
        let _ = write!(text, "{} passed, {} failed", self.passed, self.failed);
        text
    }

    /// JUnit XML, in the form that CI servers read (the Jenkins xUnit schema).
    pub(crate) fn junit(&self) -> String {
        let total: f64 = self.scenarios.iter().map(|outcome| outcome.seconds).sum();
        let mut text = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <testsuite name=\"steadfast-lab\" tests=\"{}\" failures=\"{}\" time=\"{total:.3}\">\n",
            self.scenarios.len(),
            self.failed
        );
        for outcome in self.scenarios {
            let _ = writeln!(
                text,
                "  <testcase classname=\"lab\" name=\"{}\" time=\"{:.3}\">",
                escaped(&outcome.name),
                outcome.seconds
            );
            if !outcome.passed {
                let why = faults(outcome).join("\n");
                let _ = writeln!(
                    text,
                    "    <failure message=\"{}\">{}</failure>",
                    escaped(why.lines().next().unwrap_or_default()),
                    escaped(&why)
                );
            }
            let lines: String = outcome
                .timeline
                .iter()
                .map(|moment| crate::timeline::line(moment, Paint::Plain) + "\n")
                .collect();
            let _ = writeln!(text, "    <system-out>{}</system-out>", escaped(&lines));
            text.push_str("  </testcase>\n");
        }
        text.push_str("</testsuite>\n");
        text
    }
}

/// What was not as promised.
fn faults(outcome: &Outcome) -> Vec<String> {
    if outcome.passed {
        return Vec::new();
    }
    let mut lines: Vec<String> = outcome
        .claims
        .iter()
        .filter(|claim| !claim.holds())
        .map(|Claim { what, found, wanted }| format!("{what} is {found}, wanted {wanted}"))
        .collect();
    if let Some(error) = &outcome.error {
        lines.extend(error.lines().map(str::to_owned));
    } else if outcome.claims.is_empty() {
        lines.push("nothing was looked at".to_owned());
    }
    lines.push(format!("serial log: {}", outcome.log.display()));
    lines
}

/// `text` for an XML attribute or element; characters that XML forbids become a replacement.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(c),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::timeline::{Actor, Moment};

    fn outcomes() -> [Outcome; 2] {
        let good = Outcome {
            name: "good-update".into(),
            promise: "It commits.".into(),
            passed: true,
            seconds: 61.25,
            error: None,
            claims: Vec::new(),
            figures: BTreeMap::new(),
            timeline: vec![Moment {
                seconds: 1.0,
                actor: Actor::Lab,
                what: "a <b> & \u{7}".into(),
            }],
            log: "out/serial.log".into(),
        };
        let bad = Outcome {
            name: "hung".into(),
            passed: false,
            claims: vec![Claim { what: "slot".into(), found: "B".into(), wanted: "A".into() }],
            error: Some("no \"shell\"\n  | last words".into()),
            ..good.clone()
        };
        [good, bad]
    }

    #[test]
    fn the_table_is_aligned_and_names_what_is_wrong() {
        let outcomes = outcomes();
        let run = Run::new(&outcomes);
        assert!(!run.all_passed());
        assert_eq!(
            run.table(Paint::Plain),
            "good-update  passed    61.2 s  It commits.\n\
             hung         FAILED    61.2 s  It commits.\n                     \
             slot is B, wanted A\n                     \
             no \"shell\"\n                       | last words\n                     \
             serial log: out/serial.log\n1 passed, 1 failed"
        );
    }

    #[test]
    fn junit_escapes_what_xml_forbids() {
        let outcomes = outcomes();
        let text = Run::new(&outcomes).junit();
        assert!(text.contains("tests=\"2\" failures=\"1\""), "{text}");
        assert!(text.contains("a &lt;b&gt; &amp; \u{fffd}"), "{text}");
        assert!(text.contains("message=\"slot is B, wanted A\""), "{text}");
        assert!(text.contains("no &quot;shell&quot;"), "{text}");
        assert_eq!(text.matches("<testcase").count(), text.matches("</testcase>").count());
    }

    #[test]
    fn json_is_one_object_with_the_counts() {
        let outcomes = outcomes();
        let json = serde_json::to_value(Run::new(&outcomes)).expect("plain data");
        assert_eq!(json["passed"], 1);
        assert_eq!(json["scenarios"][1]["claims"][0]["wanted"], "A");
        assert_eq!(json["scenarios"][0]["timeline"][0]["actor"], "lab");
    }

    #[test]
    fn an_empty_run_has_not_passed() {
        assert!(!Run::new(&[]).all_passed());
        let [good, _] = outcomes();
        let blind = [Outcome { passed: false, claims: Vec::new(), ..good }];
        assert!(Run::new(&blind).table(Paint::Plain).contains("nothing was looked at"));
    }
}
