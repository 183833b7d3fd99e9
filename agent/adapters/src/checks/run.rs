//! Runs the checks side by side until the gate has its verdict.

use super::systemd::{SystemBus, Units};
use super::{Check, Checks, Kind, Workload, command, net};
use crate::http::Client;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;
use steadfast_core::gate::{Gate, Heard, Millis, Rule, Subject, Watched};
use steadfast_core::{Cause, Event, Failure, Port, Verdict, text};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// The order to judge the running system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judge;

/// Runs the checks and reports what the gate finds.
pub struct ChecksPort<U = SystemBus> {
    checks: Checks,
    rule: Rule,
    http: Client,
    units: U,
    workloads: watch::Receiver<Option<Vec<Workload>>>,
    watched: watch::Sender<Vec<Watched>>,
}

/// What one run of a check said, and when that run was due.
struct Answer {
    check: usize,
    due: Instant,
    heard: Heard,
}

type Run<'a> = Pin<Box<dyn Future<Output = Answer> + 'a>>;

impl ChecksPort {
    /// A port that judges by this rule and publishes the checks after each answer.
    pub fn new(
        checks: Checks,
        rule: Rule,
        http: Client,
        watched: watch::Sender<Vec<Watched>>,
    ) -> ChecksPort {
        let (units, workloads) = (SystemBus::default(), watch::channel(Some(Vec::new())).1);
        ChecksPort { checks, rule, http, units, workloads, watched }
    }
}

impl<U> ChecksPort<U> {
    /// The same port, which asks these units.
    pub fn with_units<V: Units>(self, units: V) -> ChecksPort<V> {
        let ChecksPort { checks, rule, http, workloads, watched, units: _ } = self;
        ChecksPort { checks, rule, http, units, workloads, watched }
    }

    /// The same port, which judges these workloads, too: those that are there as soon as any are told of.
    pub fn with_workloads(
        self,
        workloads: watch::Receiver<Option<Vec<Workload>>>,
    ) -> ChecksPort<U> {
        ChecksPort { workloads, ..self }
    }
}

impl<U: Units> ChecksPort<U> {
    /// One run of a check, as soon as it is due.
    async fn run(&self, check: usize, due: Instant) -> Answer {
        sleep_until(due).await;
        Answer { check, due, heard: self.ask(&self.checks.0[check]).await }
    }

    pub(super) async fn ask(&self, check: &Check) -> Heard {
        let limit = check.timeout;
        let mut last = command::LastLine::default();
        let asked = async {
            match &check.kind {
                Kind::Systemd(unit) => self.units.ask(unit).await,
                Kind::Command { program, arguments } => {
                    command::run(program, arguments, &mut last).await
                }
                Kind::Http { url, status } => net::http(&self.http, url, *status, limit).await,
                Kind::Tcp(address) => net::tcp(address).await,
            }
        };
        match timeout(limit, asked).await {
            Ok(heard) => heard,
            Err(_) => Heard::Failed(last.after(format_args!("not done within {limit:?}"))),
        }
    }

    fn gate(&self, workloads: &[Workload]) -> Gate {
        let checks = self.checks.0.iter();
        let checks = checks.map(|check| (Subject::Check(check.name.clone()), check.weight));
        let workloads = workloads.iter().map(|it| (Subject::Workload(it.name.clone()), it.weight));
        Gate::new(self.rule, 0, checks.chain(workloads))
            .expect("Checks::load and the node's door take no more than a gate holds")
    }

    /// Tells the gate what has become of the workloads that it watches.
    fn observe(&self, gate: &mut Gate, now: Millis, workloads: &[Workload]) {
        let first = self.checks.0.len();
        for at in first..gate.watched().len() {
            let watched = &gate.watched()[at];
            let found = workloads.iter().find(|it| it.name == *watched.subject.name());
            let gone = || Heard::Failed(text(format_args!("it is not wanted any more")));
            let heard = found.map_or_else(gone, |workload| workload.heard.clone());
            // Hearing again what is known is no break of the soak time.
            if heard != watched.heard {
                gate.observe(now, at, heard);
            }
        }
    }
}

impl<U: Units> Port for ChecksPort<U> {
    type Action = Judge;

    async fn perform(&mut self, Judge: Judge) -> Event {
        let mut workloads = self.workloads.clone();
        let port = &*self;
        let start = Instant::now();
        let limit = Duration::from_millis(port.rule.deadline);
        let known = timeout(limit, workloads.wait_for(Option::is_some)).await;
        let Some(first) = known.ok().and_then(|known| known.ok()?.clone()) else {
            let evidence =
                format_args!("it was not known before the deadline which pods should run");
            return Event::Judged(Verdict::Unhealthy(Failure::new(Cause::Deadline, evidence)));
        };
        let mut gate = port.gate(&first);
        port.observe(&mut gate, 0, &first);
        let mut runs: Vec<Run<'_>> = Vec::new();
        for check in 0..port.checks.0.len() {
            runs.push(Box::pin(port.run(check, start)));
        }
        loop {
            port.watched.send_replace(gate.watched().to_vec());
            let now = millis(start);
            if let Some(verdict) = gate.verdict(now) {
                return Event::Judged(verdict);
            }
            let look = Duration::from_millis(gate.next_look().saturating_sub(now));
            tokio::select! {
                // What a check said at the last moment counts.
                biased;
                Answer { check, due, heard } = next(&mut runs) => {
                    gate.observe(millis(start), check, heard);
                    // A run that took longer than its interval is followed at once.
                    let due = (due + port.checks.0[check].interval).max(Instant::now());
                    runs[check] = Box::pin(port.run(check, due));
                }
                () = moved(&mut workloads) => {
                    // While a set is read anew, what was known of it stands.
                    if let Some(now) = &*workloads.borrow() {
                        port.observe(&mut gate, millis(start), now);
                    }
                }
                () = sleep(look) => {}
            }
        }
    }
}

/// Comes back when something was told of a workload.
async fn moved(workloads: &mut watch::Receiver<Option<Vec<Workload>>>) {
    if workloads.changed().await.is_err() {
        // Nobody runs any: there is no news.
        std::future::pending().await
    }
}

/// The next answer of any run.
async fn next(runs: &mut [Run<'_>]) -> Answer {
    poll_fn(|context| {
        for run in runs.iter_mut() {
            if let Poll::Ready(answer) = run.as_mut().poll(context) {
                return Poll::Ready(answer);
            }
        }
        Poll::Pending
    })
    .await
}

fn millis(start: Instant) -> Millis {
    Millis::try_from(start.elapsed().as_millis()).expect("584 million years have not passed")
}
