//! Why a call to RAUC did not do what was asked.

use std::time::Duration;

use crate::{BundleFailure, Progress};

/// Why a call to RAUC did not do what was asked.
///
/// After [`Error::ServiceVanished`] and [`Error::Stalled`] nothing is known about the target slot:
/// RAUC had marked it bad before it wrote the first byte, and the primary slot is as before, since
/// RAUC touches it only after the last byte.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// Nothing owns the name `de.pengutronix.rauc` on this bus, and nothing could be started for it.
    #[error("the RAUC service is not on the bus")]
    Absent,
    /// RAUC does one thing at a time and is at something else.
    #[error("RAUC is busy with another installation")]
    Busy,
    /// The service died, or was stopped, before it gave its answer.
    #[error("the RAUC service vanished before it was done")]
    ServiceVanished,
    /// An installation reported nothing for longer than [`Limits::stall`](crate::Limits::stall).
    #[error("the installation reported nothing for {} s", limit.as_secs_f32())]
    Stalled {
        /// The limit that ran out.
        limit: Duration,
        /// What RAUC reported last.
        last: Option<Progress>,
    },
    /// A call was not answered within its limit.
    #[error("RAUC did not answer {member} within {} s", limit.as_secs_f32())]
    NoAnswer {
        /// The D-Bus member that was called.
        member: &'static str,
        /// The limit that ran out.
        limit: Duration,
    },
    /// RAUC did not accept or did not install the bundle.
    #[error("{0}")]
    Bundle(BundleFailure),
    /// RAUC refused a call for a reason that is not the bundle's.
    #[error("RAUC refused {member}: {text}")]
    Refused {
        /// The D-Bus member that was called.
        member: &'static str,
        /// RAUC's own words.
        text: String,
    },
    /// An answer did not have the shape that RAUC's interface description gives it.
    #[error("RAUC answered {member} in an unexpected shape: {what}")]
    Shape {
        /// The D-Bus member that was called.
        member: &'static str,
        /// What was missing or different.
        what: String,
    },
    /// The bus itself failed.
    #[error("the D-Bus connection failed")]
    Bus(#[from] zbus::Error),
}
