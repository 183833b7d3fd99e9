//! QEMU's control socket: orders to the machine, and what the machine reports by itself.
//!
//! ```text
//! lab listens ◄── QEMU connects ── greeting ── qmp_capabilities ── orders and answers, events in between
//! ```
//!
//! Events that tell something about the node (a reset, the hardware watchdog, power-off) go to the timeline as
//! they come. One order is under way at a time. Format: QEMU's docs/interop/qmp-spec.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use serde_json::{Value, json};

use crate::timeline::{Actor, Timeline};

/// How long an order may take; `savevm` writes the guest's whole memory.
const ORDER_LIMIT: Duration = Duration::from_secs(120);

/// A control connection to a running QEMU.
pub(crate) struct Qmp {
    stream: UnixStream,
    answers: Receiver<Value>,
}

/// A control socket that waits for its QEMU.
pub(crate) struct Waiting {
    connected: Receiver<std::io::Result<UnixStream>>,
}

/// Listens at `path` for the QEMU that is about to start.
pub(crate) fn listen(path: &Path) -> Result<Waiting> {
    let listener =
        UnixListener::bind(path).with_context(|| format!("no socket at {}", path.display()))?;
    let (sender, connected) = channel();
    thread::spawn(move || {
        let _ = sender.send(listener.accept().map(|(stream, _)| stream));
    });
    Ok(Waiting { connected })
}

impl Waiting {
    /// The connection, once QEMU has greeted within `limit`.
    pub(crate) fn connect(self, limit: Duration, timeline: Timeline) -> Result<Qmp> {
        let stream = self
            .connected
            .recv_timeout(limit)
            .context("QEMU did not open its control socket")??;
        let lines = BufReader::new(stream.try_clone()?);
        let (sender, answers) = channel();
        thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                let Ok(message) = serde_json::from_str::<Value>(&line) else { continue };
                if let Some(event) = message["event"].as_str() {
                    if let Some(what) = told(event, &message["data"]) {
                        timeline.note(Actor::Machine, what);
                    }
                } else if sender.send(message).is_err() {
                    break;
                }
            }
        });
        let mut qmp = Qmp { stream, answers };
        qmp.answer(limit).context("QEMU did not greet")?;
        qmp.order("qmp_capabilities", &json!({}))?;
        Ok(qmp)
    }
}

/// The timeline's words for an event; `None` for what tells nothing about the node.
fn told(event: &str, data: &Value) -> Option<&'static str> {
    match (event, data["reason"].as_str()) {
        ("WATCHDOG", _) => Some("the hardware watchdog resets the machine"),
        ("RESET", Some("guest-reset")) => Some("the machine restarts"),
        ("SHUTDOWN", Some("guest-shutdown")) => Some("the machine powers off"),
        ("GUEST_PANICKED", _) => Some("the guest reports a panic"),
        _ => None,
    }
}

impl Qmp {
    /// Gives one order and returns what QEMU returns.
    pub(crate) fn order(&mut self, name: &str, arguments: &Value) -> Result<Value> {
        let order = json!({ "execute": name, "arguments": arguments });
        self.stream
            .write_all(format!("{order}\n").as_bytes())
            .with_context(|| format!("QEMU takes no order {name}"))?;
        let answer = self.answer(ORDER_LIMIT).with_context(|| format!("QEMU order {name}"))?;
        match answer.get("return") {
            Some(value) => Ok(value.clone()),
            None => bail!("QEMU refused {name}: {}", answer["error"]["desc"]),
        }
    }

    /// Saves the whole machine, memory and disks, in its disk image under `name`.
    pub(crate) fn save(&mut self, name: &str) -> Result<()> {
        let said = self
            .order("human-monitor-command", &json!({ "command-line": format!("savevm {name}") }))?;
        match said.as_str().map(str::trim) {
            Some("") => Ok(()),
            other => bail!("the machine was not saved: {}", other.unwrap_or("no answer")),
        }
    }

    fn answer(&self, limit: Duration) -> Result<Value> {
        self.answers.recv_timeout(limit).map_err(|error| match error {
            RecvTimeoutError::Timeout => anyhow!("no answer within {} s", limit.as_secs()),
            RecvTimeoutError::Disconnected => anyhow!("QEMU is gone"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timeline::Show;

    #[test]
    fn orders_get_their_answers_and_events_get_told() {
        let folder = std::env::temp_dir().join(format!("steadfast-lab-qmp-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let path = folder.join("qmp.sock");
        let waiting = listen(&path).expect("a socket");
        let timeline = Timeline::start(Show::Kept);
        let machine = UnixStream::connect(&path).expect("it listens");
        let guest = thread::spawn(move || {
            let mut orders = BufReader::new(machine.try_clone().expect("a handle")).lines();
            let mut machine = machine;
            let mut say = |text: &str| {
                machine.write_all(format!("{text}\n").as_bytes()).expect("the lab listens");
            };
            say(r#"{"QMP": {}}"#);
            for answers in [
                &[r#"{"return": {}}"#][..],
                &[
                    r#"{"event": "WATCHDOG", "data": {"action": "reset"}}"#,
                    r#"{"return": "Error: no block device can store vmstate\r\n"}"#,
                ],
                &[r#"{"error": {"class": "GenericError", "desc": "no such thing"}}"#],
            ] {
                orders.next().expect("an order").expect("text");
                answers.iter().for_each(|answer| say(answer));
            }
        });
        let mut qmp = waiting.connect(Duration::from_secs(20), timeline.clone()).expect("greeted");
        let error = qmp.save("ready").expect_err("the machine cannot be saved").to_string();
        assert!(error.contains("no block device"), "{error}");
        assert!(timeline.first_after(0.0, "the hardware watchdog").is_some());
        let error = qmp.order("x", &json!({})).expect_err("refused").to_string();
        assert!(error.contains("no such thing"), "{error}");
        guest.join().expect("the machine's side ends");
        std::fs::remove_dir_all(folder).expect("removed");
    }
}
