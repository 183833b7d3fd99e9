//! Runs the checks side by side until the gate has its verdict.

use super::systemd::{SystemBus, Units};
use super::{Check, Checks, Kind, command, net};
use crate::http::Client;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;
use steadfast_core::gate::{Gate, Heard, Millis, Rule, Watched};
use steadfast_core::{Event, Port};
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
        ChecksPort { checks, rule, http, units: SystemBus::default(), watched }
    }
}

impl<U> ChecksPort<U> {
    /// The same port, which asks these units.
    pub fn with_units<V: Units>(self, units: V) -> ChecksPort<V> {
        let ChecksPort { checks, rule, http, watched, units: _ } = self;
        ChecksPort { checks, rule, http, units, watched }
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

    fn gate(&self) -> Gate {
        let checks = self.checks.0.iter().map(|check| (check.name.clone(), check.weight));
        Gate::new(self.rule, 0, checks).expect("Checks::load takes no more than a gate holds")
    }
}

impl<U: Units> Port for ChecksPort<U> {
    type Action = Judge;

    async fn perform(&mut self, Judge: Judge) -> Event {
        let port = &*self;
        let start = Instant::now();
        let mut gate = port.gate();
        let mut runs: Vec<Run<'_>> = Vec::new();
        for check in 0..port.checks.0.len() {
            runs.push(Box::pin(port.run(check, start)));
        }
        loop {
            port.watched.send_replace(gate.checks().to_vec());
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
                () = sleep(look) => {}
            }
        }
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
