//! What the last end left behind: records of the kernel and the line of the agent's end, whatever they hold, are a
//! cause with one short line, and are gone once they were saved.

#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;
use steadfast_adapters::evidence::{Evidence, Start};
use steadfast_adapters::watchdog::LastReset;
use steadfast_core::Cause;
use steadfast_fuzz::{Scratch, limited, parts};

fuzz_target!(|data: &[u8]| limited(data, judge));

static PSTORE: LazyLock<Scratch> = LazyLock::new(|| Scratch::folder("pstore"));
static DATA: LazyLock<Scratch> = LazyLock::new(|| Scratch::folder("evidence"));

fn judge(data: &[u8]) {
    let Some((how, rest)) = data.split_first() else { return };
    let [first, second, exit] = parts(rest);
    PSTORE.write("dmesg-ramoops-0", first);
    PSTORE.write("dmesg-ramoops-1", second);
    let evidence =
        Evidence { pstore: PSTORE.path().to_owned(), agent_exit: DATA.write("agent", exit) };
    let start = if how & 1 == 0 { Start::NewBoot } else { Start::SameBoot };
    let reset = if how & 2 == 0 { LastReset::Other } else { LastReset::ByWatchdog };
    if let Some(found) = evidence.collect(start, reset) {
        assert!(!found.evidence.is_empty() && !found.evidence.contains(char::is_control));
        let known = [Cause::Panic, Cause::Watchdog, Cause::AgentCrashed];
        assert!(known.contains(&found.cause), "{found:?}");
        assert!(start == Start::NewBoot || found.cause != Cause::Panic, "{found:?} is no news");
    }
    evidence.clear();
    assert_eq!(evidence.collect(start, LastReset::Other), None);
}
