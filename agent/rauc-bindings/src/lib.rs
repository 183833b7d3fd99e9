//! Typed async bindings to `de.pengutronix.rauc.Installer`, the D-Bus interface of RAUC.
//!
//! ```text
//! Installer::connect ─ install(source, args) ─> Installation ─ next() ─> Progress … Progress
//!     │                    subscribes first, then calls                     │
//!     │                                        Completed(0) ── installed <──┤
//!     │                  Completed(n), LastError ─> BundleFailure (typed) <─┤
//!     │               the name lost its owner ── Error::ServiceVanished  <──┤
//!     │              no Progress for `stall` ── Error::Stalled  <───────────┘
//!     ├─ inspect(source, args) ─> BundleInfo, or a BundleFailure
//!     ├─ mark(state, slot), primary(), slot_status()
//!     └─ operation(), last_error(), progress(), compatible(), variant(), boot_slot()
//! ```
//!
//! Always true:
//! - The signals are subscribed to before `InstallBundle` is called, and only those of the process
//!   that accepted the call count, so no `Completed` is lost and none of another life is believed.
//! - Every call has a limit ([`Limits`]), so nothing here waits for ever.
//! - A key or a state that this crate does not know never fails a call; an enum keeps it as
//!   `Unknown`.
//! - RAUC gives reasons as text only. The text is always kept, beside the kind read from it.
//!
//! Facts come from RAUC's documentation ("D-Bus API" in `docs/reference.rst`), its interface
//! description `src/de.pengutronix.rauc.Installer.xml`, and from trying RAUC 1.13.
//!
//! ```no_run
//! # async fn example() -> Result<(), rauc_bindings::Error> {
//! use rauc_bindings::{InstallArgs, Installer};
//!
//! let connection = zbus::Connection::system().await?;
//! let installer = Installer::connect(&connection).await?;
//! let mut installation = installer.install("/data/release.raucb", InstallArgs::default()).await?;
//! while let Some(progress) = installation.next().await? {
//!     println!("{:3} % {}", progress.percent, progress.message);
//! }
//! # Ok(())
//! # }
//! ```

mod args;
mod bundle;
mod bus;
mod error;
mod failure;
mod installation;
mod installer;
mod map;
mod slot;

pub use args::{Access, InspectArgs, InstallArgs, Limits};
pub use bundle::{BundleInfo, Image, NotSha256, Sha256};
pub use error::Error;
pub use failure::{BundleFailure, FailureKind, NetworkFault, SignatureFault};
pub use installation::{Installation, Progress};
pub use installer::{Installer, MarkState, Marked, Operation, SlotRef};
pub use slot::{BootStatus, SlotBundle, SlotChange, SlotState, SlotStatus, WriteStatus};
