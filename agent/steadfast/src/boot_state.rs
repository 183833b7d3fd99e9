//! RAUC's custom boot backend (RAUC reference, "bootloader-custom-backend"), and the boot
//! environment in plain sight.
//!
//! RAUC calls it as `get-primary`, `set-primary NAME`, `get-state NAME`, `set-state NAME good|bad`
//! and `get-current`; exit 0 is success and the answer is one word on standard output. It works
//! without the agent, on the same bytes.

use crate::agent::board::{Board, booted_slot};
use crate::protocol::BootStatus;
use std::path::Path;
use std::process::ExitCode;
use steadfast_adapters::boot_store::BootStore;
use steadfast_core::Slot;

/// The board's profile on the node.
const BOARD: &str = "/etc/steadfast/board.toml";

/// Answers one call.
pub fn run(arguments: &[String]) -> ExitCode {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let Some(call) = Call::parse(&words) else {
        eprintln!(
            "usage    steadfast boot-state get-primary | set-primary SLOT | get-state SLOT | \
             set-state SLOT good|bad | get-current | show [--json]"
        );
        return ExitCode::from(2);
    };
    match answer(call) {
        Ok(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("error    the boot state was not {}\nbecause  {why}", call.asked());
            ExitCode::FAILURE
        }
    }
}

/// One call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    GetPrimary,
    SetPrimary(Slot),
    GetState(Slot),
    SetGood(Slot),
    SetBad(Slot),
    GetCurrent,
    Show,
    ShowJson,
}

impl Call {
    fn parse(words: &[&str]) -> Option<Call> {
        Some(match words {
            ["get-primary"] => Call::GetPrimary,
            ["set-primary", slot] => Call::SetPrimary(Slot::from_name(slot)?),
            ["get-state", slot] => Call::GetState(Slot::from_name(slot)?),
            ["set-state", slot, "good"] => Call::SetGood(Slot::from_name(slot)?),
            ["set-state", slot, "bad"] => Call::SetBad(Slot::from_name(slot)?),
            ["get-current"] => Call::GetCurrent,
            ["show"] => Call::Show,
            ["show", "--json"] => Call::ShowJson,
            _ => return None,
        })
    }

    fn asked(self) -> &'static str {
        match self {
            Call::SetPrimary(_) | Call::SetGood(_) | Call::SetBad(_) => "changed",
            _ => "read",
        }
    }
}

fn answer(call: Call) -> Result<String, String> {
    let words = |error: &dyn std::error::Error| steadfast_adapters::chain(error);
    if call == Call::GetCurrent {
        return booted_slot().map(|slot| slot.to_string()).map_err(|error| words(&error));
    }
    let board = Board::load(Path::new(BOARD)).map_err(|error| words(&error))?;
    with_store(call, &board.store)
}

fn with_store(call: Call, store: &BootStore) -> Result<String, String> {
    let words = |error| steadfast_adapters::chain(&error);
    let attempts = store.attempts();
    let changed = match call {
        Call::SetPrimary(slot) => store.change(|env| env.activated(slot, attempts.trial)),
        // RAUC's "good" takes no attempt away from a slot that has more.
        Call::SetGood(slot) => {
            store.change(|env| env.good(slot, attempts.trial.max(env.left[slot as usize])))
        }
        Call::SetBad(slot) => store.change(|env| env.bad(slot)),
        Call::GetPrimary | Call::GetState(_) | Call::GetCurrent | Call::Show | Call::ShowJson => {
            return store.read().map_err(words).and_then(|snapshot| {
                let env = &snapshot.current.env;
                Ok(match call {
                    Call::GetPrimary => env.primary().ok_or("no slot may boot")?.to_string(),
                    Call::GetState(slot) if env.is_good(slot) => "good".to_owned(),
                    Call::GetState(_) => "bad".to_owned(),
                    Call::ShowJson => {
                        let status = BootStatus::from(&snapshot);
                        serde_json::to_string(&status).map_err(|error| error.to_string())?
                    }
                    _ => shown(&BootStatus::from(&snapshot)),
                })
            });
        }
    };
    changed.map(|_| String::new()).map_err(words)
}

fn shown(boot: &BootStatus) -> String {
    let primary = boot.primary.as_deref().unwrap_or("none");
    format!(
        "primary  {primary}\norder    {}\nleft     A {}, B {}\nrearms   {}\nwritten  {} times\ncopies   {}",
        boot.order.join(" "),
        boot.left.A,
        boot.left.B,
        boot.rearms,
        boot.sequence,
        boot.copies.join(", "),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use steadfast_adapters::boot_store::{Attempts, Place};

    fn store(folder: &Path) -> BootStore {
        let device = folder.join("ubootenv");
        std::fs::write(&device, vec![0; 1 << 20]).expect("writable");
        let place = Place { device, offsets: [0, 0x80000], lock: folder.join("lock") };
        BootStore::new(place, Attempts { trial: 3, committed: 8 })
    }

    fn called(store: &BootStore, words: &str) -> Result<String, String> {
        let words: Vec<&str> = words.split(' ').collect();
        with_store(Call::parse(&words).expect("a call"), store)
    }

    fn env(store: &BootStore) -> steadfast_core::boot_env::BootEnv {
        store.read().expect("readable").current.env
    }

    #[test]
    fn what_rauc_activates_is_on_trial_and_what_it_marks_good_loses_no_attempt() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = store(folder.path());
        store.change(|env| env.committed(Slot::A, 8)).expect("writable");
        called(&store, "set-primary B").expect("it works");
        assert_eq!((env(&store).left, env(&store).primary()), ([8, 3], Some(Slot::B)));
        called(&store, "set-state A good").expect("it works");
        assert_eq!((env(&store).left, env(&store).primary()), ([8, 3], Some(Slot::B)));
        called(&store, "set-state B bad").expect("it works");
        assert_eq!((env(&store).left, env(&store).primary()), ([8, 0], Some(Slot::A)));
        called(&store, "set-state B good").expect("it works");
        assert_eq!((env(&store).left, env(&store).primary()), ([8, 3], Some(Slot::A)));
    }

    #[test]
    fn where_no_slot_may_boot_none_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = store(folder.path());
        called(&store, "set-state A bad").expect("it works");
        called(&store, "set-state B bad").expect("it works");
        assert_eq!(called(&store, "get-primary"), Err("no slot may boot".to_owned()));
        assert_eq!(called(&store, "get-state A").as_deref(), Ok("bad"));
        assert!(called(&store, "show").expect("it works").starts_with("primary  none\n"));
    }

    #[test]
    fn a_change_that_was_not_written_is_not_reported_as_done() {
        let folder = tempfile::tempdir().expect("a folder");
        let place = Place {
            device: "/dev/full".into(),
            offsets: [0, 0x80000],
            lock: folder.path().join("lock"),
        };
        let store = BootStore::new(place, Attempts { trial: 3, committed: 8 });
        for words in ["set-primary B", "set-state A bad", "set-state B bad"] {
            let why = called(&store, words).expect_err("nothing can be written");
            assert!(why.contains("could not be written"), "{why}");
            let call = Call::parse(&words.split(' ').collect::<Vec<_>>()).expect("a call");
            assert_eq!(call.asked(), "changed");
        }
        assert_eq!(Call::GetPrimary.asked(), "read");
    }

    #[test]
    fn show_names_each_slot_with_its_own_attempts() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = store(folder.path());
        store.change(|env| env.committed(Slot::B, 8)).expect("writable");
        let shown = called(&store, "show").expect("it works");
        assert!(shown.contains("order    B A\nleft     A 3, B 8\n"), "{shown}");
    }

    /// The calls of one install by RAUC 1.13 with `activate-installed=false`, and of an activation.
    #[test]
    fn the_calls_of_an_install_leave_the_target_bad_until_it_is_activated() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = store(folder.path());
        let call = |words: &[&str]| {
            with_store(Call::parse(words).expect("a call"), &store).expect("it works")
        };
        assert_eq!(call(&["get-primary"]), "A");
        call(&["set-state", "B", "bad"]);
        assert_eq!((call(&["get-state", "B"]), call(&["get-primary"])), ("bad".into(), "A".into()));
        call(&["set-primary", "B"]);
        assert_eq!(call(&["get-primary"]), "B");
        assert_eq!(
            (call(&["get-state", "A"]), call(&["get-state", "B"])),
            ("good".into(), "good".into())
        );
        assert!(call(&["show", "--json"]).contains("\"primary\":\"B\""));
    }

    #[test]
    fn what_rauc_does_not_say_is_misuse() {
        for words in [
            &[][..],
            &["get-primary", "A"],
            &["set-state", "A"],
            &["set-state", "A", "booted"],
            &["get-state", "C"],
        ] {
            assert_eq!(Call::parse(words), None, "{words:?}");
        }
    }
}
