//! Everything that a node may be given and must not take, one after the other on one node.
//!
//! ```text
//! bundles from a server, from nowhere, from a file ─► each refused, with its cause, before a byte is written
//! content altered behind a signature that holds    ─► found while it is written: failed, and no slot to boot
//! garbage on the control socket, wrong settings    ─► the agent that runs is not disturbed
//! ```

pub(super) mod bundles;

use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use anyhow::{Context, Result};

use super::Stage;
use super::refusal::{self, Standing};
use crate::places;
use crate::server::Mood;

/// Below the folder that the server serves.
const FOLDER: &str = "bad-input";
/// A question that the node answers at once.
const SHORT: Duration = Duration::from_secs(120);
/// So often the lab's nodes ask for a bundle: `limits.fetch_attempts` in `variants/every`.
const ATTEMPTS: u64 = 2;

/// Tries all of them.
pub(super) fn run(stage: &mut Stage) -> Result<()> {
    bundles::make(stage.lab, &places::lab().join(FOLDER))?;
    let mut standing = Standing::of(stage)?;
    from_a_server(stage, &mut standing)?;
    from_nowhere(stage, &mut standing)?;
    rejected(stage, &mut standing, ("no bundle", "/etc/os-release", "damaged"))?;
    altered_content(stage, &mut standing)?;
    control_socket(stage)?;
    settings(stage)
}

fn served(stage: &Stage, name: &str) -> String {
    stage.url_of(&format!("{FOLDER}/{name}"))
}

/// What a server has is wrong, or it has nothing, or it stops in the middle of an answer.
fn from_a_server(stage: &mut Stage, standing: &mut Standing) -> Result<()> {
    for (about, name, cause) in [
        ("truncated bundle", bundles::TRUNCATED, "damaged"),
        ("altered signature", bundles::FORGED, "damaged"),
        ("oversized bundle", bundles::OVERSIZED, "space"),
        ("404", "nothing-there.raucb", "source"),
    ] {
        let source = served(stage, name);
        rejected(stage, standing, (about, &source, cause))?;
    }
    let asked = stage.server().count().requests;
    stage.server().set_mood(Mood::StallAfter(2));
    let source = served(stage, bundles::TRUNCATED);
    rejected(stage, standing, ("stalling server", &source, "network"))?;
    stage.server().set_mood(Mood::Serve);
    let asked = stage.server().count().requests - asked;
    stage.claim("how often it was asked", asked, ATTEMPTS);
    Ok(())
}

/// Nobody listens at the port; no file has the name.
fn from_nowhere(stage: &mut Stage, standing: &mut Standing) -> Result<()> {
    let host = &stage.lab.qemu().host_address;
    let source = format!("http://{host}:{}/any.raucb", closed_port()?);
    rejected(stage, standing, ("unreachable server", &source, "network"))?;
    stage.about("missing file");
    let endings = stage.guest.history()?.endings.len();
    let done = stage.guest.run("steadfast update /run/no-such.raucb --watch", SHORT)?;
    let because = refusal::words(stage, &done);
    stage.claim("it names the file", because.contains("/run/no-such.raucb"), true);
    // The tool looks before it asks, so there is nothing to remember.
    let after = stage.guest.history()?.endings.len();
    stage.claim("endings in the history", after, endings);
    Ok(())
}

/// The signature covers the tree of hashes, and that is looked at block by block, while it is written.
fn altered_content(stage: &mut Stage, standing: &mut Standing) -> Result<()> {
    stage.about("altered content");
    let url = served(stage, bundles::ROTTEN);
    let file = "/data/rotten.raucb";
    stage.guest.must(&format!("busybox wget -q -O {file} {url}"), SHORT)?;
    let because = refusal::failed(stage, standing, file, "damaged")?;
    stage.say(format!("altered content: {because}"));
    stage.guest.must(&format!("rm {file}"), SHORT).map(drop)
}

/// What is offered, where it is, and why it has to be refused.
type Offer<'o> = (&'o str, &'o str, &'o str);

fn rejected(stage: &mut Stage, standing: &mut Standing, offer: Offer) -> Result<()> {
    let (about, source, cause) = offer;
    stage.about(about);
    let because = refusal::refused(stage, standing, source, cause)?;
    stage.say(format!("{about}: {because}"));
    Ok(())
}

/// Bytes that are no request: too long a one, none of them, half of one, and noise.
const GARBAGE: [&str; 4] = [
    r"printf '\xff\xff\xff\xffxxxx'",
    r"printf '\x03\0\0\0\xff\xff\xff'",
    r"printf '\x09\0\0\0\x01'",
    "head -c 100000 /dev/urandom",
];

/// The agent lets go of whoever sends them, and goes on.
fn control_socket(stage: &mut Stage) -> Result<()> {
    stage.about("garbage on the control socket");
    let process = "systemctl show -P MainPID steadfast.service";
    let let_go = "$(journalctl -o cat -u steadfast | grep -c 'let go')";
    let agent = stage.guest.must(process, SHORT)?;
    let before: usize = stage.guest.must(&format!("echo {let_go}"), SHORT)?.trim().parse()?;
    // No program of the image speaks to a socket of a path: systemd's proxy lends it a port.
    let proxy = "systemd-run -q --unit=garbage --socket-property=ListenStream=127.0.0.1:7007 \
                 /usr/lib/systemd/systemd-socket-proxyd /run/steadfast/control.sock";
    stage.guest.must(proxy, SHORT)?;
    for garbage in GARBAGE {
        // Whom the agent lets go in the middle may be told so: the count below says who was let go.
        stage.guest.run(&format!("{garbage} >/dev/tcp/127.0.0.1/7007"), SHORT)?;
    }
    let all = before + GARBAGE.len();
    let wait = format!("for i in $(seq 100); do [ {let_go} -lt {all} ] || break; sleep 0.2; done");
    let seen: usize = stage.guest.must(&format!("{wait}; echo {let_go}"), SHORT)?.trim().parse()?;
    stage.claim("clients let go", seen - before, GARBAGE.len());
    let status = stage.guest.status()?;
    stage.claim("state", status.update.state, "idle");
    let still = stage.guest.must(process, SHORT)?;
    stage.claim("process of the agent", still, agent);
    stage.guest.must("systemctl stop garbage.socket garbage.service", SHORT).map(drop)
}

/// An unknown key ends an agent before it takes anything: neither the socket nor the watchdog.
fn settings(stage: &mut Stage) -> Result<()> {
    stage.about("unknown key in the settings");
    let file = "/run/wrong.toml";
    let copy =
        format!("(cat /etc/steadfast/agent.toml; echo '[node]'; echo 'nmae = \"x\"') >{file}");
    stage.guest.must(&copy, SHORT)?;
    // One that took them would run on.
    let agent = format!("timeout 30 steadfast --socket /run/wrong.sock agent --config {file}");
    let done = stage.guest.run(&agent, SHORT)?;
    stage.claim("exit code of the agent", done.code, 1);
    let named = [file, "nmae", "line"].iter().all(|word| done.output.contains(word));
    stage.claim("the error names the file, the key and the line", named, true);
    let status = stage.guest.status()?;
    stage.claim("state of the agent that runs", status.update.state, "idle");
    Ok(())
}

/// A port of loopback at which nobody listens any more.
fn closed_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no port on loopback")?;
    Ok(listener.local_addr()?.port())
}
