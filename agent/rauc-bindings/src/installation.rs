//! A running installation, from the accepted order to its end.
//!
//! ```text
//! subscribe ─ InstallBundle accepted ─> Progress* ─> Completed(code) ─> LastError when code != 0
//!                    │                     │
//!      only signals of this sender,   silence > stall ─> Stalled
//!      and only later ones, count     name changes its owner ─> ServiceVanished
//! ```
//!
//! Always true: the end is reached once and stays the same; `next` may be cancelled at any point.

use std::{collections::HashMap, time::Duration};

use futures_util::{FutureExt, StreamExt};
use tokio::time::Instant;
use zbus::{
    MatchRule, Message, MessageStream,
    message::{Sequence, Type},
    names::OwnedUniqueName,
    zvariant::{OwnedValue, Value},
};

use crate::{
    BundleFailure, Error, Limits,
    bus::{Bus, INSTALLER, NAME, PATH, PROPERTIES},
    map::bare,
};

/// How many signals may wait unread; the connection stops reading when more come. RAUC sends a few
/// for each step and one for each percent.
const QUEUE: usize = 1024;

/// What RAUC reports while it installs (property `Progress`; "Processing Progress Data" in
/// `docs/using.rst`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// 0 to 100 over the whole installation. A failed one ends at 100 too.
    pub percent: u8,
    /// The step, for example `Copying image to rootfs.1`.
    pub message: String,
    /// Nesting depth of the step; 1 is the outermost.
    pub depth: u32,
}

impl Progress {
    pub(crate) fn read(value: &Value<'_>) -> Option<Self> {
        let Value::Structure(fields) = bare(value) else { return None };
        let [Value::I32(percent), Value::Str(message), Value::I32(depth)] = fields.fields() else {
            return None;
        };
        Some(Self {
            percent: u8::try_from((*percent).clamp(0, 100)).expect("0 to 100 fits"),
            message: message.to_string(),
            depth: u32::try_from(*depth).unwrap_or_default(),
        })
    }
}

/// The signals that tell of an installation, subscribed to before there is one.
pub(crate) struct Subscription {
    bus: Bus,
    changes: MessageStream,
    completed: MessageStream,
    owners: MessageStream,
}

impl Subscription {
    pub(crate) async fn open(bus: &Bus) -> Result<Self, Error> {
        let signal = || MatchRule::builder().msg_type(Type::Signal);
        let completed = signal().path(PATH)?.interface(INSTALLER)?.member("Completed")?.build();
        let changes = signal()
            .path(PATH)?
            .interface(PROPERTIES)?
            .member("PropertiesChanged")?
            .add_arg(INSTALLER)?
            .build();
        let owners = signal()
            .sender("org.freedesktop.DBus")?
            .interface("org.freedesktop.DBus")?
            .member("NameOwnerChanged")?
            .add_arg(NAME)?
            .build();
        let open = |rule| MessageStream::for_match_rule(rule, &bus.connection, Some(QUEUE));
        Ok(Self {
            bus: bus.clone(),
            owners: open(owners).await?,
            completed: open(completed).await?,
            changes: open(changes).await?,
        })
    }

    /// Follows the installation that `accepted` tells of.
    pub(crate) fn follow(
        self,
        accepted: &Message,
        source: &str,
        limits: Limits,
    ) -> Result<Installation, Error> {
        let owner = accepted.header().sender().map(|name| name.to_owned().into());
        Ok(Installation {
            owner: owner.ok_or(zbus::Error::MissingField)?,
            since: accepted.recv_position(),
            source: source.to_owned(),
            deadline: Instant::now() + limits.stall,
            limits,
            signals: self,
            last: None,
            stage: Stage::Running,
        })
    }
}

/// A running installation.
///
/// It must be polled or dropped: its signals wait in the connection's queues.
pub struct Installation {
    signals: Subscription,
    /// The process that accepted the order.
    owner: OwnedUniqueName,
    /// The place of its acceptance in the connection's order of messages.
    since: Sequence,
    source: String,
    limits: Limits,
    deadline: Instant,
    last: Option<Progress>,
    stage: Stage,
}

enum Stage {
    Running,
    /// `Completed` came with this code; the reason is still to be read.
    Completed(i32),
    Ended(Result<(), Error>),
}

enum Signal {
    Change(Option<zbus::Result<Message>>),
    Completed(Option<zbus::Result<Message>>),
    Owner(Option<zbus::Result<Message>>),
    Silence,
}

impl Installation {
    /// The next progress report, or `None` when the bundle is installed.
    ///
    /// The percentage never falls. Cancel safe. After the end it gives the same end again.
    pub async fn next(&mut self) -> Result<Option<Progress>, Error> {
        loop {
            match &self.stage {
                Stage::Ended(end) => return end.clone().map(|()| None),
                Stage::Completed(code) => {
                    let end = self.end(*code).await;
                    self.stage = Stage::Ended(end);
                }
                Stage::Running => {
                    if let Some(progress) = self.turn().await {
                        return Ok(Some(progress));
                    }
                }
            }
        }
    }

    /// Waits for the end.
    pub async fn finish(mut self) -> Result<(), Error> {
        while self.next().await?.is_some() {}
        Ok(())
    }

    /// The last progress report that [`next`](Self::next) gave.
    pub fn last(&self) -> Option<&Progress> {
        self.last.as_ref()
    }

    /// One signal, or the silence that is too long. The order is RAUC's: reports, end, exit.
    async fn turn(&mut self) -> Option<Progress> {
        let signal = tokio::select! {
            biased;
            message = self.signals.changes.next() => Signal::Change(message),
            message = self.signals.completed.next() => Signal::Completed(message),
            message = self.signals.owners.next() => Signal::Owner(message),
            () = tokio::time::sleep_until(self.deadline) => Signal::Silence,
        };
        match signal {
            Signal::Change(Some(Ok(message))) => return self.reported(&message),
            Signal::Completed(Some(Ok(message))) => self.completed(&message),
            Signal::Owner(Some(Ok(message))) => self.owner_changed(&message),
            Signal::Silence => {
                let last = self.last.clone();
                self.stage = Stage::Ended(Err(Error::Stalled { limit: self.limits.stall, last }));
            }
            Signal::Change(broken) | Signal::Completed(broken) | Signal::Owner(broken) => {
                let error = match broken {
                    Some(Err(error)) => error,
                    _ => zbus::Error::Failure("the connection was closed".into()),
                };
                self.stage = Stage::Ended(Err(Error::Bus(error)));
            }
        }
        None
    }

    /// Whether the process that accepted the order sent this, and after it had accepted.
    fn is_ours(&self, message: &Message) -> bool {
        message.header().sender().is_some_and(|sender| *sender == self.owner)
            && message.recv_position() > self.since
    }

    fn reported(&mut self, message: &Message) -> Option<Progress> {
        if !self.is_ours(message) {
            return None;
        }
        let body = message.body();
        let (_, changed, _): (String, HashMap<String, OwnedValue>, Vec<String>) =
            body.deserialize().ok()?;
        let progress = Progress::read(changed.get("Progress")?)?;
        self.deadline = Instant::now() + self.limits.stall;
        self.last = Some(progress.clone());
        Some(progress)
    }

    fn completed(&mut self, message: &Message) {
        if !self.is_ours(message) {
            return;
        }
        self.stage = match message.body().deserialize::<i32>() {
            Ok(code) => Stage::Completed(code),
            Err(error) => {
                Stage::Ended(Err(Error::Shape { member: "Completed", what: error.to_string() }))
            }
        };
    }

    fn owner_changed(&mut self, message: &Message) {
        let body = message.body();
        let Ok((_, _, new)) = body.deserialize::<(&str, &str, &str)>() else { return };
        if message.recv_position() < self.since || new == self.owner.as_str() {
            return;
        }
        // A service that ended its work and left at once has sent its end before it left.
        while let Some(Some(Ok(message))) = self.signals.completed.next().now_or_never() {
            self.completed(&message);
        }
        if matches!(self.stage, Stage::Running) {
            self.stage = Stage::Ended(Err(Error::ServiceVanished));
        }
    }

    async fn end(&self, code: i32) -> Result<(), Error> {
        if code == 0 {
            return Ok(());
        }
        let limit: Duration = self.limits.answer;
        let mut text = self.signals.bus.text("LastError", limit).await?;
        if text.is_empty() {
            text = format!("RAUC ended with code {code} and gave no reason");
        }
        Err(Error::Bundle(BundleFailure::read(&self.source, text)))
    }
}

#[cfg(test)]
mod tests {
    use zbus::zvariant::StructureBuilder;

    use super::*;

    fn report(percent: i32, depth: i32) -> Value<'static> {
        StructureBuilder::new()
            .add_field(percent)
            .add_field("Copying image")
            .add_field(depth)
            .build()
            .expect("three fields")
            .into()
    }

    #[test]
    fn progress_stays_within_its_range() {
        let read = |percent, depth| Progress::read(&report(percent, depth)).expect("three fields");
        assert_eq!(
            read(40, 2),
            Progress { percent: 40, message: "Copying image".into(), depth: 2 }
        );
        assert_eq!((read(-1, -1).percent, read(-1, -1).depth), (0, 0));
        assert_eq!(read(900, 1).percent, 100);
    }

    #[test]
    fn progress_of_another_shape_is_no_progress() {
        assert_eq!(Progress::read(&Value::from("half")), None);
    }
}
