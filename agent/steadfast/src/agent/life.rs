//! The loop: one event in, one decision, one entry saved, one order out.

mod orders;
mod tick;
mod witness;

use super::board::{self, Board, Running};
use super::config::{Config, Way};
use super::control::{self, Ask};
use super::evidence::Witness;
use super::report::Reporter;
use super::route::Router;
use super::wire::{Wired, policy, terms, wire};
use super::work::{Wish, Wished};
use super::{AgentError, Paths};
use crate::protocol::Request;
use std::collections::VecDeque;
use std::io::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use steadfast_adapters::checks::Checks;
use steadfast_adapters::downloads::{Downloads, Needed};
use steadfast_adapters::evidence::Start;
use steadfast_adapters::ledger_file::{Foreign, Kept, LedgerFile, sha256};
use steadfast_adapters::service_manager;
use steadfast_adapters::set_store::{self, SetStore};
use steadfast_adapters::watchdog::Watchdog;
use steadfast_core::ledger::Stamp;
use steadfast_core::window::{Clock, Window};
use steadfast_core::{
    Action, Boot, Cause, Event, Failure, Machine, OtherSlot, Slot, ThisSlot, Turn, Update, watchdog,
};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, timeout};

/// How long the boot store may take to give a slot its attempts back while the machine goes down.
const PARTING: Duration = Duration::from_secs(5);

/// Runs the agent until systemd asks it to end.
pub async fn live(paths: &Paths, config: Config, board: Board) -> Result<(), AgentError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(AgentError::Start)?;
    let (heard, mut events) = unbounded_channel();
    let (asks, mut asked) = unbounded_channel();
    let (changed, changes) = watch::channel(0);
    // What is wrong with the settings is said before the watchdog is armed or the ledger touched.
    Checks::load(&config.paths.checks)?;
    let running = Running::ask()?;
    let mut life = Life::begin(&config, (board, running.slot), heard.clone(), changed)?;
    let booted = life.booted(running);
    life.witness(&booted);
    life.turn(booted)?;
    life.clear_evidence();
    life.clear_downloads();
    control::listen(&paths.socket, asks, changes)?;
    let mut tick = interval(watchdog::period(life.deadline));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    service_manager::ready();
    loop {
        tokio::select! {
            // What a port said is heard before what somebody asks: an answer to an order that was taken back
            // must not pass for one to the next.
            biased;
            event = next(&mut events) => life.turn(event)?,
            _ = terminate.recv() => {
                life.leave();
                if service_manager::is_going_down().await {
                    life.part(&mut events).await?;
                }
                return Ok(());
            }
            _ = tick.tick() => {
                if life.ticked()?.is_break() {
                    return Ok(());
                }
            }
            ask = next(&mut asked) => life.answer(ask)?,
            () = life.reporter.moved() => life.tell_clients(),
        }
    }
}

/// The next of a queue that the loop itself keeps open.
async fn next<T>(queue: &mut UnboundedReceiver<T>) -> T {
    match queue.recv().await {
        Some(item) => item,
        None => std::future::pending().await,
    }
}

struct Life {
    machine: Machine,
    ledger: LedgerFile,
    board: Board,
    data: std::path::PathBuf,
    deadline: Duration,
    window: Option<Window>,
    image_unix_s: u64,
    watchdog: Option<Watchdog>,
    router: Router,
    wishes: UnboundedSender<Wished>,
    reporter: Reporter,
    downloads: Downloads,
    sets: SetStore,
    way: Way,
    changed: watch::Sender<u64>,
    /// The kernel's persistent store.
    pstore: std::path::PathBuf,
    /// The boots that failed and are not kept yet, the last one last.
    failed: VecDeque<Witness>,
}

impl Life {
    fn begin(
        config: &Config,
        (board, slot): (Board, Slot),
        heard: UnboundedSender<Event>,
        changed: watch::Sender<u64>,
    ) -> Result<Life, AgentError> {
        let watchdog = take_watchdog(&board);
        let opened = LedgerFile::open(&config.paths.data, &config.paths.run);
        let (ledger, last) = opened.map_err(AgentError::Ledger)?;
        let machine = match (last, ledger.foreign()) {
            (None, Some(Foreign { entries, head })) => {
                Machine::new(None, policy(config, &board), sha256).after(entries, head)
            }
            (last, _) => Machine::new(last, policy(config, &board), sha256),
        };
        let downloads = Downloads::new(&config.paths.data, board::this_boot()?);
        let sets = SetStore::new(&config.paths.data, terms(config));
        let wired = wire((config, &board), (&downloads, &sets), slot, heard)?;
        let Wired { reporter, router, wishes } = wired;
        let (data, deadline) = (config.paths.data.clone(), board.deadline);
        let window = config.window();
        let image_unix_s = board::image_made()?;
        let mut life = Life {
            machine,
            ledger,
            board,
            data,
            deadline,
            window,
            image_unix_s,
            watchdog,
            router,
            wishes,
            reporter,
            downloads,
            sets,
            way: config.fetch.way,
            changed,
            pstore: "/sys/fs/pstore".into(),
            failed: VecDeque::new(),
        };
        life.reporter.remember(&life.ledger);
        Ok(life)
    }

    /// Hears one event: decides, saves, feeds the watchdog, gives the order.
    fn turn(&mut self, event: Event) -> Result<(), AgentError> {
        let name = event.name();
        let before = self.machine.node().update.name();
        let fetched = |update: &Update| matches!(update, Update::Fetching { .. });
        let fetching = fetched(&self.machine.node().update);
        let ledger = &mut self.ledger;
        let turned = self.machine.turn(event, stamp(), |frame| ledger.append(frame));
        let Turn { order, saved, proof } = turned.map_err(AgentError::Save)?;
        self.feed(&proof);
        let Some(entry) = saved else { return Ok(()) };
        let state = self.machine.node().update.name();
        tracing::info!(event = name, state, entry, "{name}: {before} to {state}");
        self.reporter.saw(self.machine.node());
        self.announce();
        self.tell_clients();
        // What nobody waits for any more is not fetched, nor heard of.
        if fetching && !fetched(&self.machine.node().update) {
            self.router.leave_fetching();
        }
        self.clear_downloads();
        self.clear_sets();
        if let Some(order) = order {
            self.give(order);
        }
        Ok(())
    }

    /// Hands an order to its port. While the ledger is only in memory, nothing is begun that a
    /// restart would have to know about.
    fn give(&mut self, order: Action) {
        if self.ledger.kept() == Kept::Data {
            return self.router.route(order);
        }
        let unsaved_failure = || {
            let evidence = format_args!("the ledger cannot be written to /data");
            Failure::new(Cause::Write, evidence)
        };
        let unsaved = || Err(unsaved_failure());
        match order {
            Action::Stage(_) => self.router.heard(Event::Staged(Err(unsaved_failure()))),
            Action::Install { .. } => self.router.heard(Event::Installed(unsaved())),
            Action::Activate(_) => self.router.heard(Event::Activated(unsaved())),
            // A slot that was not even tried keeps what it has.
            Action::Condemn(slot) if slot != self.machine.node().booted => {
                self.router.heard(Event::Condemned(unsaved()));
            }
            order => self.router.route(order),
        }
    }

    /// What no update under way needs is removed once the entry that says so is on the disk: a cut before
    /// it must find it again.
    fn clear_downloads(&self) {
        let needed = match self.way {
            Way::Stream => Needed::Never,
            Way::Download => Needed::by(self.machine.node()),
        };
        if self.ledger.kept() == Kept::Data
            && let Err(error) = self.downloads.keep(needed)
        {
            tracing::warn!(%error, "a download that nobody needs could not be removed");
        }
    }

    /// The same for the archives of workload sets.
    fn clear_sets(&self) {
        let needed = set_store::Needed::by(self.machine.node());
        if self.ledger.kept() == Kept::Data
            && let Err(error) = self.sets.keep(&needed)
        {
            let error = steadfast_adapters::chain(&error);
            tracing::warn!(error, "a workload set that nobody needs could not be removed");
        }
    }

    /// systemd asks the agent to end, perhaps for a shutdown, which may take as long as a boot.
    fn leave(&self) {
        if let Some(watchdog) = &self.watchdog
            && let Err(error) = watchdog.set_deadline(self.board.boot_deadline)
        {
            tracing::warn!(%error, "the watchdog's deadline could not be set for the shutdown");
        }
    }

    /// Somebody takes the machine down. A trial hears of it, so that it is not taken for a failed boot.
    async fn part(&mut self, events: &mut UnboundedReceiver<Event>) -> Result<(), AgentError> {
        self.turn(Event::ShutdownAsked)?;
        let parted = async {
            while matches!(self.machine.node().update, Update::Leaving { .. }) {
                let event = next(events).await;
                let done = matches!(event, Event::Activated(_));
                self.turn(event)?;
                if done {
                    break;
                }
            }
            Ok(())
        };
        timeout(PARTING, parted).await.unwrap_or_else(|_| {
            tracing::warn!(
                "the boot store did not answer within 5 s; this end counts as a restart"
            );
            Ok(())
        })
    }

    fn feed(&mut self, proof: &watchdog::TurnCompleted) {
        if let Some(watchdog) = &mut self.watchdog
            && let Err(error) = watchdog.feed(proof)
        {
            tracing::error!(%error, "the hardware watchdog could not be fed");
        }
        service_manager::turned(proof);
    }

    /// The event that tells the core how the agent came up.
    fn booted(&self, running: Running) -> Event {
        let Running { slot, version, boot: id } = running;
        let start = match id == self.machine.node().boot {
            true => Start::SameBoot,
            false => Start::NewBoot,
        };
        let evidence = self.evidence().collect(start, self.last_reset());
        let trial = self.board.store.attempts().trial;
        let read = self.board.store.read();
        let (this, other) = read.map_or((ThisSlot::Once, OtherSlot::Unknown), |read| {
            let env = read.current.env;
            (env.running(slot, trial), env.standing(slot.other(), trial))
        });
        let set = self.sets.assigned(slot);
        Event::Booted(Boot { slot, version, id, this, other, set, evidence })
    }

    fn clock(&self) -> Clock {
        let Stamp { unix_s, boot_ms } = stamp();
        Clock { unix_s, up_s: boot_ms / 1000, image_unix_s: self.image_unix_s }
    }

    /// What an operator should know although the node goes on without it.
    fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.watchdog.is_none() {
            let device = self.board.watchdog.display();
            warnings.push(format!(
                "no hardware watchdog: {device} could not be opened, so a hung kernel is not reset"
            ));
        }
        if self.window.is_some() && !self.clock().is_set() {
            warnings.push("the clock is not set, so the window stays closed".to_owned());
        }
        if !self.ledger.has_room() {
            warnings.push("/data is full, so no update is taken".to_owned());
        }
        warnings
    }

    fn answer(&mut self, ask: Ask) -> Result<(), AgentError> {
        // Somebody may have made room since the last tick.
        self.ledger.keep_up();
        let node = self.machine.node();
        let Ask { request, answer } = ask;
        let response = match request {
            Request::Work => self.reporter.work(),
            // Whoever plans answers: a file takes a while to read.
            Request::Apply { file } => return self.wish(Wish::Apply(file.into()), answer),
            Request::Remove { name } => return self.wish(Wish::Remove(name), answer),
            Request::StopWork => return self.wish(Wish::GoDown, answer),
            Request::Status | Request::Watch => {
                let warnings = self.warnings();
                self.reporter.status(node, &self.ledger, self.board.store.read(), warnings)
            }
            Request::History => self.reporter.history(&self.ledger),
            Request::HistoryOf { version } => self.reporter.history_of(&version, &self.ledger),
            Request::Update { source, at, content, set } => {
                self.update((&source, set.as_deref()), at, content)?
            }
            Request::Confirm => self.admit(node.admits_confirm(), Event::Confirmed)?,
            // Out of a trial an operator may go in any case: what is condemned is not the fallback.
            Request::Rollback if matches!(node.update, Update::Probation { .. }) => {
                self.admit(node.admits_rollback(), Event::RollbackAsked)?
            }
            Request::Rollback => {
                self.admit_on_disk(node.admits_rollback(), Event::RollbackAsked)?
            }
            Request::Cancel => self.admit_on_disk(node.admits_cancel(), Event::CancelAsked)?,
        };
        // The client may have gone.
        let _ = answer.send(response);
        Ok(())
    }

    fn tell_clients(&self) {
        self.changed.send_modify(|count| *count += 1);
    }

    /// One line to the kernel's log, so that the console shows what the node decides.
    fn announce(&self) {
        let node = self.machine.node();
        let (state, slot) = (node.update.name(), node.booted);
        let version = node.running.as_ref().map_or("unknown", |version| version.as_str());
        let up = stamp().boot_ms as f64 / 1000.0;
        let line =
            format!("<5>steadfast: state {state} slot {slot} version {version} up {up:.1}\n");
        let opened = std::fs::File::options().write(true).open("/dev/kmsg");
        // A console that cannot be written changes nothing.
        let _ = opened.and_then(|mut file| file.write_all(line.as_bytes()));
        service_manager::status(state);
    }
}

/// Takes the watchdog over from the initramfs. A node without one goes on and says so.
fn take_watchdog(board: &Board) -> Option<Watchdog> {
    let device = board.watchdog.display().to_string();
    match Watchdog::open(&board.watchdog, board.deadline) {
        Ok(watchdog) => Some(watchdog),
        Err(error) => {
            tracing::error!(%error, device, "there is no hardware watchdog");
            None
        }
    }
}

/// Now, by both clocks.
fn stamp() -> Stamp {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let boot = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let seconds = u64::try_from(boot.tv_sec).unwrap_or(0);
    let millis = u64::try_from(boot.tv_nsec / 1_000_000).unwrap_or(0);
    Stamp { unix_s: unix.as_secs(), boot_ms: seconds * 1000 + millis }
}

#[cfg(test)]
mod tests;
