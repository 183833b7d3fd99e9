//! The `de.pengutronix.rauc.Installer` interface, method by method.

use std::fmt;

use zbus::Connection;

use crate::{
    BundleFailure, BundleInfo, Error, InspectArgs, InstallArgs, Installation, Limits, Progress,
    SlotStatus,
    bus::{Bus, Call, body},
    installation::Subscription,
    map::Map,
    slot::words,
};

words! {
    /// What RAUC is doing (property `Operation`).
    Operation {
        /// Nothing.
        Idle = "idle",
        /// An installation is running.
        Installing = "installing",
    }
}

/// What [`Installer::mark`] does to a slot (argument `state` of `Mark`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MarkState {
    /// May be booted.
    Good,
    /// May not be booted.
    Bad,
    /// Is booted next.
    Active,
}

/// Which slot [`Installer::mark`] means (argument `slot_identifier` of `Mark`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlotRef<'a> {
    /// The slot that the system was booted from.
    Booted,
    /// The other one; RAUC refuses this where there is more than one.
    Other,
    /// By full name, for example `rootfs.1`.
    Named(&'a str),
}

/// What [`Installer::mark`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marked {
    /// Full name of the slot that was marked.
    pub slot: String,
    /// RAUC's own words, for example `marked slot rootfs.1 as bad`.
    pub message: String,
}

impl fmt::Display for MarkState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Good => "good",
            Self::Bad => "bad",
            Self::Active => "active",
        })
    }
}

impl fmt::Display for SlotRef<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Booted => "booted",
            Self::Other => "other",
            Self::Named(name) => name,
        })
    }
}

/// RAUC on a bus.
#[derive(Debug, Clone)]
pub struct Installer {
    bus: Bus,
    limits: Limits,
}

impl Installer {
    /// Reaches RAUC on `connection`, normally the system bus; it is started where the bus can.
    ///
    /// [`Error::Absent`] when there is no RAUC service.
    pub async fn connect(connection: &Connection) -> Result<Self, Error> {
        Self::connect_within(connection, Limits::default()).await
    }

    /// The same with other limits.
    pub async fn connect_within(connection: &Connection, limits: Limits) -> Result<Self, Error> {
        let bus = Bus { connection: connection.clone() };
        bus.ping(limits.answer).await?;
        Ok(Self { bus, limits })
    }

    /// The same service with other limits.
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// Installs the bundle at `source`, an absolute path or an `http(s)` URL (`InstallBundle`).
    ///
    /// Comes back as soon as RAUC has accepted the order; the end comes from the [`Installation`].
    /// RAUC cannot be told to stop: dropping the [`Installation`] leaves it running.
    ///
    /// [`Error::Busy`] when another installation is running.
    pub async fn install(&self, source: &str, args: InstallArgs) -> Result<Installation, Error> {
        let subscription = Subscription::open(&self.bus).await?;
        // Asked first, because RAUC 1.13 calls itself idle from the moment that it refuses a
        // second installation, although the first one is still running.
        if self.operation().await? == Operation::Installing {
            return Err(Error::Busy);
        }
        let call = Call::method("InstallBundle", self.limits.answer);
        let accepted = self.bus.call(call, &(source, args.dict())).await?;
        subscription.follow(&accepted, source, self.limits)
    }

    /// The installation that is running already, begun by somebody else or by an earlier life of
    /// the caller, or none. It does not say which bundle it is.
    pub async fn running(&self) -> Result<Option<Installation>, Error> {
        let subscription = Subscription::open(&self.bus).await?;
        let (value, message) = self.bus.property("Operation", self.limits.answer).await?;
        let operation = crate::map::text(&value).map(Operation::from);
        match operation {
            Some(Operation::Installing) => subscription.follow(&message, "", self.limits).map(Some),
            // It may call itself idle although it is not, see `install`; then a refusal says what it does.
            _ if matches!(self.primary().await, Err(Error::Busy)) => {
                subscription.follow(&message, "", self.limits).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Verifies the signature of the bundle at `source` and reads its manifest (`InspectBundle`).
    ///
    /// Does not compare the compatible or the version, and reads no payload of a verity bundle.
    pub async fn inspect(&self, source: &str, args: InspectArgs) -> Result<BundleInfo, Error> {
        let call = Call::method("InspectBundle", self.limits.inspect);
        match self.bus.call(call, &(source, args.dict())).await {
            Ok(message) => BundleInfo::read(&body::<Map>("InspectBundle", &message)?),
            Err(Error::Refused { text, member }) if text.starts_with("Unsupported key") => {
                Err(Error::Refused { text, member })
            }
            Err(Error::Refused { text, .. }) => {
                Err(Error::Bundle(BundleFailure::read(source, text)))
            }
            Err(error) => Err(error),
        }
    }

    /// Marks a slot in the boot chooser (`Mark`).
    pub async fn mark(&self, state: MarkState, slot: SlotRef<'_>) -> Result<Marked, Error> {
        let call = Call::method("Mark", self.limits.answer);
        let message = self.bus.call(call, &(state.to_string(), slot.to_string())).await?;
        let (slot, message) = body("Mark", &message)?;
        Ok(Marked { slot, message })
    }

    /// Every slot of system.conf, in no particular order (`GetSlotStatus`).
    pub async fn slot_status(&self) -> Result<Vec<SlotStatus>, Error> {
        let call = Call::method("GetSlotStatus", self.limits.answer);
        let message = self.bus.call(call, &()).await?;
        let slots: Vec<(String, Map)> = body("GetSlotStatus", &message)?;
        Ok(slots.into_iter().map(|(name, map)| SlotStatus::read(name, &map)).collect())
    }

    /// Full name of the slot that the boot chooser tries first (`GetPrimary`).
    pub async fn primary(&self) -> Result<String, Error> {
        let call = Call::method("GetPrimary", self.limits.answer);
        body("GetPrimary", &self.bus.call(call, &()).await?)
    }

    /// What RAUC says it is doing (property `Operation`).
    pub async fn operation(&self) -> Result<Operation, Error> {
        self.bus.text("Operation", self.limits.answer).await.map(Operation::from)
    }

    /// Why the last installation failed; empty after one that did not (property `LastError`).
    pub async fn last_error(&self) -> Result<String, Error> {
        self.bus.text("LastError", self.limits.answer).await
    }

    /// How far the running or the last installation came (property `Progress`).
    pub async fn progress(&self) -> Result<Progress, Error> {
        let (value, _) = self.bus.property("Progress", self.limits.answer).await?;
        Progress::read(&value).ok_or_else(|| Error::Shape {
            member: "Progress",
            what: format!("a value of type {}", value.value_signature()),
        })
    }

    /// The system that bundles must be for (property `Compatible`).
    pub async fn compatible(&self) -> Result<String, Error> {
        self.bus.text("Compatible", self.limits.answer).await
    }

    /// The system's variant, empty when there is none (property `Variant`).
    pub async fn variant(&self) -> Result<String, Error> {
        self.bus.text("Variant", self.limits.answer).await
    }

    /// What the system was booted from: the bootname when the kernel command line has `rauc.slot`,
    /// else the root device (property `BootSlot`).
    pub async fn boot_slot(&self) -> Result<String, Error> {
        self.bus.text("BootSlot", self.limits.answer).await
    }
}
