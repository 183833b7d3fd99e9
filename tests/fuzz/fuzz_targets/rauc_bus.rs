//! RAUC's answers over a real D-Bus connection: whatever it says, verifying and installing end with an event, and
//! nothing is called whole that RAUC did not name.

#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;
use steadfast_adapters::rauc::{Rauc, RaucAction};
use steadfast_core::{
    At, Bundle, Digest, Event, Failure, Inspected, Offer, Port, Slot, VerifiedBundle, Version,
};
use steadfast_fuzz::{Bus, DIGEST, Scratch, Script, limited};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;

/// Longer than libFuzzer lets one input take, so that waiting is a finding.
const STALL: Duration = Duration::from_secs(600);

fuzz_target!(|data: &[u8]| limited(data, judge));

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_current_thread().enable_all().build().expect("a runtime"));

static BUS: LazyLock<Bus> = LazyLock::new(|| Bus::listen(Scratch::folder("bus").path()));

fn judge(data: &[u8]) {
    let Some((order, bytes)) = data.split_first() else { return };
    let source = if order & 2 == 0 { "/data/1.raucb" } else { "http://server/1.raucb" };
    let source = source.try_into().expect("short");
    let offer = Offer { source, at: At::Now, content: None, set: None };
    let action = match order & 1 {
        0 => RaucAction::Verify(offer),
        _ => RaucAction::Install { offer, bundle: verified(), target: Slot::B, set: None },
    };
    let script = Arc::new(Mutex::new(Script::new(bytes)));
    match RUNTIME.block_on(ordered(action, Arc::clone(&script))) {
        Event::Verified(Ok(Inspected { bundle, .. })) => {
            assert_eq!(Version::new(bundle.version.as_str()).as_ref(), Some(&bundle.version));
        }
        Event::Installed(Ok(())) => {
            let script = script.lock().unwrap_or_else(PoisonError::into_inner);
            assert!(script.has_named_the_bundle(), "RAUC's record names another bundle or none");
        }
        Event::Verified(Err(failure)) | Event::Installed(Err(failure)) => short(&failure),
        event => panic!("{event:?} is no answer to this order"),
    }
}

async fn ordered(action: RaucAction, script: Arc<Mutex<Script>>) -> Event {
    let bus = &*BUS;
    let mut rauc = Rauc::new(STALL, None, watch::channel(None).0);
    tokio::select! {
        event = rauc.perform(action) => event,
        () = bus.serve(script) => panic!("the bus went on for ever and ended"),
    }
}

fn short(failure: &Failure) {
    assert!(failure.evidence.len() <= 160 && !failure.evidence.contains(char::is_control));
}

/// Only the core makes a verified bundle; what is read from a ledger is one.
fn verified() -> VerifiedBundle {
    let version = Version::new("1.2.0").expect("a version");
    let digest = Digest::from_hex(DIGEST).expect("64 digits");
    let bytes = postcard::to_allocvec(&Bundle { version, digest }).expect("short");
    postcard::from_bytes(&bytes).expect("a bundle")
}
