//! A container's probes: which to ask next and when, and what their answers say of it.
//!
//! ```text
//! process runs ─► startup probe passes ─┬─► liveness probe: too many failures in a row, and it is started again
//!                 (at once without one)  └─► readiness probe: whether it counts as ready
//! ```
//!
//! Always true: no other probe is asked before the startup probe passed; what has no probe is as well as a process that
//! runs can be. The rules are those of Kubernetes (Configure Liveness, Readiness and Startup Probes).

use crate::gate::Millis;
use crate::pod::Health;

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Whether it is up; nothing else is asked before (`startupProbe`).
    Startup,
    /// Whether it lives (`livenessProbe`).
    Liveness,
    /// Whether it can do its work (`readinessProbe`).
    Readiness,
}

/// What a probe said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    /// It passed.
    Passed,
    /// It failed, or gave no answer in time.
    Failed,
}

/// When a probe is asked, and how many answers count. Times are in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Timing {
    /// From the start of the process to the first question (`initialDelaySeconds`).
    pub delay: Millis,
    /// From one question to the next (`periodSeconds`).
    pub period: Millis,
    /// So many passes in a row count as passed, at least one (`successThreshold`).
    pub passes: u16,
    /// So many failures in a row count as failed, at least one (`failureThreshold`).
    pub failures: u16,
}

/// One probe and what it said so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Probe {
    timing: Timing,
    due: Millis,
    passed: u16,
    failed: u16,
    stands: Option<Answer>,
}

impl Probe {
    fn new(timing: Timing, start: Millis) -> Probe {
        Probe { timing, due: start + timing.delay, passed: 0, failed: 0, stands: None }
    }

    fn hear(&mut self, answer: Answer, now: Millis) {
        self.due = now.max(self.due) + self.timing.period;
        let Probe { timing, passed, failed, .. } = *self;
        (self.passed, self.failed) = match answer {
            Answer::Passed => (passed.saturating_add(1), 0),
            Answer::Failed => (0, failed.saturating_add(1)),
        };
        if self.passed >= timing.passes.max(1) {
            self.stands = Some(Answer::Passed);
        } else if self.failed >= timing.failures.max(1) {
            self.stands = Some(Answer::Failed);
        }
    }
}

/// The probes of one process, from its start to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probes {
    startup: Option<Probe>,
    liveness: Option<Probe>,
    readiness: Option<Probe>,
}

impl Probes {
    /// Those of a process that started now.
    pub fn new(start: Millis, timing: impl Fn(Kind) -> Option<Timing>) -> Probes {
        let probe = |kind| timing(kind).map(|timing| Probe::new(timing, start));
        let [startup, liveness, readiness] =
            [Kind::Startup, Kind::Liveness, Kind::Readiness].map(probe);
        Probes { startup, liveness, readiness }
    }

    /// The probe that is to be asked next, and when; none when nothing is asked any more.
    pub fn next(&self) -> Option<(Kind, Millis)> {
        let due = |kind, probe: Option<Probe>| probe.map(|probe| (kind, probe.due));
        if !self.health().live {
            return None;
        }
        if !self.started() {
            return due(Kind::Startup, self.startup);
        }
        let both = [due(Kind::Liveness, self.liveness), due(Kind::Readiness, self.readiness)];
        both.into_iter().flatten().min_by_key(|(_, due)| *due)
    }

    /// Hears what a probe said.
    pub fn hear(&mut self, kind: Kind, answer: Answer, now: Millis) {
        let probe = match kind {
            Kind::Startup => &mut self.startup,
            Kind::Liveness => &mut self.liveness,
            Kind::Readiness => &mut self.readiness,
        };
        if let Some(probe) = probe {
            probe.hear(answer, now);
        }
    }

    /// Hears that a probe could not be asked: that says nothing of the process, and it is asked in its next turn.
    pub fn put_off(&mut self, kind: Kind, now: Millis) {
        let probe = match kind {
            Kind::Startup => &mut self.startup,
            Kind::Liveness => &mut self.liveness,
            Kind::Readiness => &mut self.readiness,
        };
        if let Some(probe) = probe {
            probe.due = now.max(probe.due) + probe.timing.period;
        }
    }

    /// What the answers say of the process.
    pub fn health(&self) -> Health {
        let failed =
            |probe: Option<Probe>| probe.is_some_and(|probe| probe.stands == Some(Answer::Failed));
        let started = self.started();
        let live = !failed(self.liveness) && (started || !failed(self.startup));
        let passes = self.readiness.is_none_or(|probe| probe.stands == Some(Answer::Passed));
        Health { started, live, ready: started && live && passes }
    }

    fn started(&self) -> bool {
        self.startup.is_none_or(|probe| probe.stands == Some(Answer::Passed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Answer::{Failed, Passed};
    use Kind::{Liveness, Readiness, Startup};

    const TIMING: Timing = Timing { delay: 0, period: 10, passes: 1, failures: 3 };

    fn probes(kinds: &[(Kind, Timing)]) -> Probes {
        let of = |kind| kinds.iter().find(|(own, _)| *own == kind).map(|(_, timing)| *timing);
        Probes::new(100, of)
    }

    /// Asks as the probes want it; `said` has the answers in turn, and they are given at once.
    fn ask(probes: &mut Probes, said: &[(Kind, Answer)]) {
        for (kind, answer) in said {
            let (asked, due) = probes.next().expect("something is asked");
            assert_eq!(asked, *kind);
            probes.hear(*kind, *answer, due);
        }
    }

    #[test]
    fn what_has_no_probe_is_well_as_soon_as_it_runs() {
        let probes = probes(&[]);
        assert_eq!(probes.health(), Health { started: true, live: true, ready: true });
        assert_eq!(probes.next(), None);
    }

    #[test]
    fn nothing_else_is_asked_before_the_startup_probe_passed() {
        let mut probes = probes(&[(Startup, TIMING), (Liveness, TIMING), (Readiness, TIMING)]);
        ask(&mut probes, &[(Startup, Failed), (Startup, Failed)]);
        assert_eq!(probes.health(), Health { started: false, live: true, ready: false });
        ask(&mut probes, &[(Startup, Passed), (Liveness, Passed), (Readiness, Passed)]);
        assert_eq!(probes.health(), Health { started: true, live: true, ready: true });
        assert_ne!(probes.next().map(|(kind, _)| kind), Some(Startup), "it is not asked again");
    }

    #[test]
    fn a_startup_probe_that_fails_too_often_ends_the_process() {
        let mut probes = probes(&[(Startup, TIMING)]);
        ask(&mut probes, &[(Startup, Failed); 3]);
        assert_eq!(probes.health(), Health { started: false, live: false, ready: false });
        assert_eq!(probes.next(), None, "nobody asks a process that is to end");
    }

    #[test]
    fn only_so_many_failures_in_a_row_are_the_end_of_a_process() {
        let mut probes = probes(&[(Liveness, TIMING)]);
        for _ in 0..5 {
            ask(&mut probes, &[(Liveness, Failed), (Liveness, Failed), (Liveness, Passed)]);
            assert!(probes.health().live);
        }
        ask(&mut probes, &[(Liveness, Failed); 3]);
        assert_eq!(probes.health(), Health { started: true, live: false, ready: false });
    }

    #[test]
    fn a_process_is_ready_after_enough_passes_and_until_enough_failures() {
        let timing = Timing { passes: 2, failures: 2, ..TIMING };
        let mut probes = probes(&[(Readiness, timing)]);
        let ready = |probes: &mut Probes, answer| {
            ask(probes, &[(Readiness, answer)]);
            probes.health().ready
        };
        assert!(!probes.health().ready, "nothing is known yet");
        let said = [Passed, Failed, Passed, Passed, Failed, Passed, Failed, Failed, Passed];
        let found = said.map(|answer| ready(&mut probes, answer));
        assert_eq!(found, [false, false, false, true, true, true, true, false, false]);
        assert!(probes.health().live, "it is not started again for that");
    }

    #[test]
    fn a_probe_is_asked_after_its_delay_and_then_in_its_period() {
        let slow = Timing { delay: 5, period: 7, ..TIMING };
        let mut probes = probes(&[(Liveness, slow), (Readiness, TIMING)]);
        assert_eq!(probes.next(), Some((Readiness, 100)));
        probes.hear(Readiness, Passed, 101);
        assert_eq!(probes.next(), Some((Liveness, 105)));
        probes.hear(Liveness, Passed, 108);
        assert_eq!(probes.next(), Some((Readiness, 111)));
        probes.hear(Readiness, Passed, 111);
        assert_eq!(probes.next(), Some((Liveness, 115)), "an answer that is late moves the next");
    }

    #[test]
    fn a_probe_that_could_not_be_asked_says_nothing_and_is_asked_in_its_next_turn() {
        let mut probes = probes(&[(Liveness, TIMING)]);
        ask(&mut probes, &[(Liveness, Failed), (Liveness, Failed)]);
        for now in [120, 135] {
            probes.put_off(Liveness, now);
            assert_eq!(probes.next(), Some((Liveness, now + 10)));
            assert!(probes.health().live);
        }
        ask(&mut probes, &[(Liveness, Failed)]);
        assert!(!probes.health().live, "the failures before it count");
    }

    #[test]
    fn an_answer_of_a_probe_that_is_not_there_says_nothing() {
        let mut probes = probes(&[]);
        let before = probes;
        for kind in [Startup, Liveness, Readiness] {
            probes.hear(kind, Failed, 100);
        }
        assert_eq!(probes, before);
    }
}
