//! What the contract tests do again and again.

use std::{collections::HashMap, path::Path};

use rauc_bindings::{
    BundleFailure, Error, FailureKind, InspectArgs, InstallArgs, Installation, Installer, Progress,
    SlotStatus,
};
use zbus::zvariant::Value;

use super::{
    PATIENCE, RaucHost,
    bundles::{Gate, Recipe},
};

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("own names are UTF-8")
}

pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future)
        .await
        .unwrap_or_else(|_| panic!("{what}: not within {PATIENCE:?}"))
}

/// Installs and gives every report and the end.
pub(crate) async fn install(
    installer: &Installer,
    source: &str,
) -> (Vec<Progress>, Result<(), Error>) {
    let mut reports = Vec::new();
    let mut installation = match installer.install(source, InstallArgs::default()).await {
        Ok(installation) => installation,
        Err(error) => return (reports, Err(error)),
    };
    let end = within("the installation's end", async {
        loop {
            match installation.next().await {
                Ok(Some(progress)) => reports.push(progress),
                Ok(None) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    });
    let end = end.await;
    (reports, end)
}

pub(crate) fn failure<T: std::fmt::Debug>(result: Result<T, Error>) -> BundleFailure {
    match result {
        Err(Error::Bundle(failure)) => failure,
        other => panic!("expected a failure of the bundle, got {other:?}"),
    }
}

pub(crate) async fn inspected(host: &RaucHost, source: &str) -> FailureKind {
    let failure = failure(host.installer.inspect(source, InspectArgs::default()).await);
    println!("inspect {:?}: {}", failure.kind, failure.text);
    failure.kind
}

pub(crate) async fn installed(host: &RaucHost, source: &str) -> FailureKind {
    let failure = failure(install(&host.installer, source).await.1);
    println!("install {:?}: {}", failure.kind, failure.text);
    failure.kind
}

pub(crate) async fn slot(host: &RaucHost, name: &str) -> SlotStatus {
    let slots = host.installer.slot_status().await.expect("RAUC is idle");
    slots.into_iter().find(|slot| slot.name == name).expect("a slot of system.conf")
}

/// An order to install from a client that does not ask first whether RAUC is at something else.
pub(crate) async fn order_unasked(host: &RaucHost, source: &str) -> zbus::Result<()> {
    let none = HashMap::<&str, Value<'_>>::new();
    let (name, interface) = ("de.pengutronix.rauc", "de.pengutronix.rauc.Installer");
    let body = (source, none);
    let order =
        host.connection.call_method(Some(name), "/", Some(interface), "InstallBundle", &body);
    order.await.map(drop)
}

/// An installation that waits at a gate after it has written the slot.
pub(crate) async fn held(host: &RaucHost) -> (Gate, String, Installation) {
    let gate = Gate::new(host);
    let recipe = Recipe { post_install: gate.hook(), ..Recipe::default() };
    let source = text(&host.bundle("held", &recipe)).to_owned();
    let installation = host.installer.install(&source, InstallArgs::default()).await;
    (gate, source, installation.expect("RAUC is idle"))
}

/// Until the installation copies its image.
pub(crate) async fn copying(installation: &mut Installation) {
    within("copying", async {
        loop {
            let report = installation.next().await.expect("the gate is closed");
            if report.expect("the gate is closed").message.starts_with("Copying image") {
                return;
            }
        }
    })
    .await;
}
