//! Pods on a node: they run as their manifests say, outlive what ends around them, and leave nothing behind.
//!
//! ```text
//! set ─► applied ─► as told ─► limits ─► agent killed ─► containerd stopped ─► a process killed
//!                                                                                    │
//!                   nothing is left ◄─ removed ◄─ all there again ◄─ reboot ◄────────┘
//! ```
//!
//! Always true: what the tool says is held against what the kernel and containerd say; the lab waits for what it wants
//! to see, never for a time.

pub(super) mod release;
mod view;

use std::time::Duration;

use anyhow::{Context, Result};

use super::{Stage, story};
use crate::pods;
use crate::work::{Work, container_id};
use view::{ask, await_work, holds, said};

/// A question that the node answers at once.
const SHORT: Duration = Duration::from_secs(120);
/// From the order until pods are ready, on a busy machine.
const READY: Duration = Duration::from_secs(300);
/// How long a process may take to end at a shutdown, in seconds, whatever its grace period says (PARTING of the agent).
const STOP_S: f64 = 20.0;
/// What else a shutdown and the firmware may take until a slot is tried, in seconds.
const SHUTDOWN_S: f64 = 25.0;
/// From the end of a process to the next one of the container, in seconds: the first restart has no back-off.
const RESTART_S: f64 = 60.0;
/// What is kept of the output of a container, in KiB, at most.
const LOG_KIB: u64 = 12 << 10;
/// Where the guest keeps what it is given.
const GIVEN: &str = "/data/lab";
/// The pod with several containers.
const WORKER: &str = "worker";
/// The pods of which nothing is wrong, in order.
const READY_PODS: [&str; 6] = ["chatty", "forky", "probes", "stubborn", "web", WORKER];

/// The whole story, on one node.
pub(super) fn run(stage: &mut Stage) -> Result<()> {
    applied(stage)?;
    as_told(stage)?;
    limits(stage)?;
    outlive(stage)?;
    started_again(stage)?;
    restarted(stage)?;
    removed(stage)
}

/// A set, and a manifest beside it, are taken and come to be ready.
fn applied(stage: &mut Stage) -> Result<()> {
    stage.about("apply");
    stage.guest.must(&format!("mkdir -p {GIVEN}"), SHORT)?;
    for file in [pods::SET, pods::ALONE] {
        let url = stage.url_of(&format!("{}/{file}", pods::FOLDER));
        stage.guest.must(&format!("wget -q -O {GIVEN}/{file} {url}"), SHORT)?;
    }
    let ordered = stage.now();
    for file in [pods::SET, pods::ALONE] {
        stage.say(format!("applies {file}"));
        stage.guest.must(&format!("steadfast work apply {GIVEN}/{file}"), READY)?;
    }
    let work = all_ready(stage)?;
    let took = stage.now() - ordered;
    stage.figure("apply_to_ready_s", took);
    stage.claim("state of the runtime", &work.runtime.state, "up");
    stage.claim("reason of the runtime", work.runtime.because.unwrap_or_default(), "");
    Ok(())
}

/// Waits until every pod is ready of which nothing is wrong.
fn all_ready(stage: &mut Stage) -> Result<Work> {
    await_work(stage, "all good pods to be ready", READY, |work| work.ready() == READY_PODS)
}

/// The kernel, containerd and the containers themselves say what the tool says.
fn as_told(stage: &mut Stage) -> Result<()> {
    stage.about("as told");
    let work = ask(stage)?;
    let containers = [("web", "server"), (WORKER, "main"), (WORKER, "beside"), ("probes", "main")];
    let tasks = said(stage, "ctr -n steadfast tasks ls")?;
    for (pod, container) in containers {
        let pid = pid(&work, pod, container)?;
        let group = said(stage, &format!("cat /proc/{pid}/cgroup"))?;
        stage.claim("cgroup", group, format!("0::/steadfast/{pod}/{container}"));
        let id = container_id(pod, container);
        let task = tasks.lines().find(|line| line.starts_with(&id)).unwrap_or_default();
        let task: Vec<_> = task.split_whitespace().skip(1).collect();
        stage.claim("containerd's task", task.join(" "), format!("{pid} RUNNING"));
    }
    let first = work.container(WORKER, "first").context("the init container is not told")?;
    stage.claim("the init container", &first.state, "ended");
    stage.claim("its exit code", first.exit.unwrap_or(u32::MAX), 0);
    let role = |name| work.container(WORKER, name).map_or("none", |it| it.role.as_str());
    stage.claim("roles", ["first", "beside", "main"].map(role).join(" "), "init sidecar main");
    web(stage, pid(&work, "web", "server")?)?;
    worker(stage, pid(&work, WORKER, "main")?)?;
    stage.about("bad pods");
    let dead = |work: &Work| ["hog", "crashing"].iter().all(|pod| exits(work, pod).is_some());
    let work = await_work(stage, "the bad pods to end", READY, dead)?;
    stage.claim("exit code of hog", exits(&work, "hog").unwrap_or(0), 137);
    let reason = work.container("hog", "main").and_then(|it| it.reason.clone());
    holds(stage, "reason of hog", &reason.unwrap_or_default(), "memory");
    stage.claim("exit code of crashing", exits(&work, "crashing").unwrap_or(0), 3);
    Ok(())
}

/// What only the image and the manifest of `web` can have said.
fn web(stage: &mut Stage, pid: u32) -> Result<()> {
    stage.about("web");
    let page = said(stage, "wget -q -O - http://127.0.0.1:8080/index.html")?;
    stage.claim("page", page, "steadfast");
    let facts = "sed -n 's/^\\(Uid\\|CapEff\\|NoNewPrivs\\|Seccomp\\):[[:space:]]*\\([^[:space:]]*\\).*/\\2/p'";
    let facts = said(stage, &format!("{facts} /proc/{pid}/status"))?;
    let facts = facts.split_whitespace().collect::<Vec<_>>().join(" ");
    stage.claim("user, capabilities, privileges, seccomp", facts, "1000 0000000000000000 1 2");
    // The mount at the root, of mountinfo (Documentation/filesystems/proc.rst, 3.5).
    let root = "sed -n 's/^[0-9]* [0-9]* [0-9:]* [^ ]* \\/ \\(r[ow]\\),.*/\\1/p'";
    let root = said(stage, &format!("{root} /proc/{pid}/mountinfo"))?;
    stage.claim("mount of its root", root, "ro");
    let inside = said(stage, "steadfast exec web -- cat /www/index.html")?;
    stage.claim("exec", inside, "steadfast");
    let code = stage.guest.run("steadfast exec web -- false", SHORT)?.code;
    stage.claim("exit code of an exec", code, 1);
    let log = said(stage, "steadfast logs web")?;
    holds(stage, "log", &log, "response:200");
    stage.about("chatty");
    let last = said(stage, "steadfast logs chatty | tail -n 1")?;
    stage.claim("last line", last, "the last line");
    Ok(())
}

/// What volumes and variables brought into `worker`.
fn worker(stage: &mut Stage, pid: u32) -> Result<()> {
    stage.about("worker");
    let log = said(stage, "steadfast logs worker")?;
    holds(stage, "log", &log, "hello from the set, interval 1, 17 bytes of a secret");
    let mode = said(stage, &format!("stat -L -c %a /proc/{pid}/root/run/secret/password"))?;
    stage.claim("mode of the secret", mode, "400");
    let fast = format!(
        "sed -n 's/.* \\/fast .* - \\(tmpfs\\) .*\\(size=[^,]*\\).*/\\1 \\2/p' /proc/{pid}/mountinfo"
    );
    let fast = said(stage, &fast)?;
    stage.claim("volume in memory", fast, "tmpfs size=1024k");
    let shared = "cat /data/steadfast/pods/worker/*/volumes/shared/begun";
    let shared = said(stage, shared)?;
    stage.claim("the init container wrote", shared.parse::<u64>().is_ok(), true);
    Ok(())
}

/// What the manifests limit is set in the kernel.
fn limits(stage: &mut Stage) -> Result<()> {
    stage.about("limits");
    for (file, wanted) in [
        ("web/server/memory.max", "33554432"),
        ("web/server/cpu.max", "50000 100000"),
        ("worker/main/memory.max", "25165824"),
        ("worker/main/cpu.max", "20000 100000"),
        ("worker/pids.max", "32"),
        ("forky/pids.max", "12"),
        ("probes/main/memory.max", "max"),
    ] {
        let found = said(stage, &format!("cat /sys/fs/cgroup/steadfast/{file}"))?;
        stage.claim(file, found, wanted);
    }
    let count = said(stage, "cat /sys/fs/cgroup/steadfast/forky/pids.current")?;
    let count: u32 = count.parse().context("pids.current has no number")?;
    stage.claim("processes of forky are within 12", count <= 12 && count > 1, true);
    Ok(())
}

/// Neither the agent's end nor containerd's touches a process of a pod.
fn outlive(stage: &mut Stage) -> Result<()> {
    let before = ask(stage)?.processes(&READY_PODS);
    stage.about("agent killed");
    stage.say("kills the agent");
    let agent = "systemctl show -P MainPID steadfast.service";
    let was = said(stage, agent)?;
    stage.guest.must(&format!("kill -9 {was}"), SHORT)?;
    // It is started again by systemd, and answers from READY on.
    let again = format!("until p=$({agent}); [ $p != 0 ] && [ $p != {was} ]; do sleep 0.2; done");
    stage.guest.must(&format!("{again}; systemctl start steadfast.service"), SHORT)?;
    let after = all_ready(stage)?.processes(&READY_PODS);
    stage.claim("processes and restarts", format!("{after:?}"), format!("{before:?}"));
    stage.about("containerd stopped");
    stage.say("stops containerd");
    stage.guest.must("systemctl stop containerd.service", SHORT)?;
    let down = |work: &Work| work.runtime.state == "down";
    let work = await_work(stage, "the runtime to be told as down", SHORT, down)?;
    stage.claim("a reason is given", work.runtime.because.is_some_and(|it| !it.is_empty()), true);
    let page = said(stage, "wget -q -O - http://127.0.0.1:8080/index.html")?;
    stage.claim("page without containerd", page, "steadfast");
    stage.guest.must("systemctl start containerd.service", SHORT)?;
    let up = |work: &Work| work.runtime.state == "up" && work.ready() == READY_PODS;
    let after = await_work(stage, "the runtime to be up", READY, up)?.processes(&READY_PODS);
    stage.claim("processes and restarts", format!("{after:?}"), format!("{before:?}"));
    Ok(())
}

/// A container whose process dies has another one at once, also when containerd is another one than at its start.
fn started_again(stage: &mut Stage) -> Result<()> {
    stage.about("process killed");
    let before = pid(&ask(stage)?, "web", "server")?;
    stage.say("kills the process of web");
    let killed = stage.now();
    stage.guest.must(&format!("kill -9 {before}"), SHORT)?;
    let another = |work: &Work| {
        let server = work.container("web", "server");
        server.is_some_and(|it| it.pid.is_some_and(|pid| pid != before) && it.restarts == 1)
    };
    let work = await_work(stage, "another process of web", SHORT, another)?;
    let took = stage.now() - killed;
    stage.figure("killed_to_running_s", took);
    stage.claim("it is there within its back-off", took < RESTART_S, true);
    let crashes = work.container("crashing", "main").map_or(0, |it| it.restarts);
    stage.claim("crashing was started again", crashes > 0, true);
    all_ready(stage).map(drop)
}

/// After a restart of the node, which a pod that does not end holds up no longer than the limit, the pods are back.
fn restarted(stage: &mut Stage) -> Result<()> {
    stage.about("reboot");
    let slot = story::before(stage)?.slot;
    let before = ask(stage)?.processes(&[WORKER]);
    let ordered = stage.now();
    stage.guest.reboot()?;
    stage.guest.await_boot(&slot)?;
    let timeline = stage.guest.timeline().clone();
    let chosen = timeline.first_after(ordered, &format!("slot {slot}"));
    let took = chosen.context("the boot script did not say which slot it tries")? - ordered;
    stage.figure("shutdown_with_stubborn_s", took);
    stage.claim("a stubborn pod was waited for to its limit", took >= STOP_S, true);
    stage.claim("and not longer", took <= STOP_S + SHUTDOWN_S, true);
    let booted = stage.now();
    let after = all_ready(stage)?.processes(&[WORKER]);
    let took = stage.now() - booted;
    stage.figure("shell_to_ready_s", took);
    stage.claim("containers of worker that run", after.len(), before.len());
    let page = said(stage, "wget -q -O - http://127.0.0.1:8080/index.html")?;
    stage.claim("page", page, "steadfast");
    let begun = said(stage, "ls /data/steadfast/pods/worker | wc -l")?;
    stage.claim("folders of worker", begun, "1");
    let kept = said(stage, "du -sk /data/steadfast/logs/chatty | cut -f 1")?;
    let kept: u64 = kept.parse().context("du printed no size")?;
    stage.say(format!("of 16 MiB that chatty said in two starts, {kept} KiB are kept"));
    stage.claim("its log is bounded", kept <= LOG_KIB, true);
    Ok(())
}

/// What is removed leaves no container, snapshot, cgroup, mount, folder or process.
fn removed(stage: &mut Stage) -> Result<()> {
    stage.about("remove");
    let stubborn = pid(&ask(stage)?, "stubborn", "main")?;
    for file in [pods::ALONE, pods::SET] {
        stage.say(format!("removes {file}"));
        // In the background: `stubborn` has ten minutes to end.
        let remove = format!("steadfast work remove {GIVEN}/{file} >/run/remove.out 2>&1");
        stage.guest.must(&format!("({remove} &)"), SHORT)?;
    }
    let alone = |work: &Work| work.pods.iter().all(|pod| pod.name == "stubborn");
    await_work(stage, "all pods but stubborn to be gone", READY, alone)?;
    stage.guest.must(&format!("kill -9 {stubborn}"), SHORT)?;
    await_work(stage, "all pods to be gone", READY, |work| work.pods.is_empty())?;
    for (what, command) in [
        ("containers", "ctr -n steadfast containers ls -q"),
        ("tasks", "ctr -n steadfast tasks ls -q"),
        ("writable snapshots", "ctr -n steadfast snapshots ls | grep Active"),
        ("cgroups", "find /sys/fs/cgroup/steadfast -mindepth 1 -type d 2>/dev/null"),
        ("mounts", "grep -e /run/steadfast/pods -e ^overlay -e /run/containerd/ /proc/mounts"),
        ("folders", "ls /data/steadfast/pods /run/steadfast/pods 2>/dev/null | grep -v :"),
        ("shims", "grep -l containerd-shim /proc/[0-9]*/comm 2>/dev/null"),
    ] {
        // Shims end and cgroups go a moment after their last process.
        let gone = format!(
            "n=0; while [ -n \"$({command})\" ] && [ $n -lt 50 ]; do n=$((n+1)); sleep 0.2; done"
        );
        let left = said(stage, &format!("{gone}; {command} | wc -w"))?;
        stage.claim(&format!("{what} that are left"), left, "0");
    }
    Ok(())
}

/// The process of a container that runs.
fn pid(work: &Work, pod: &str, container: &str) -> Result<u32> {
    let found = work.container(pod, container).and_then(|it| it.pid);
    found.with_context(|| format!("{pod}/{container} has no process"))
}

/// The exit code of a pod's main container, once it has ended.
fn exits(work: &Work, pod: &str) -> Option<u32> {
    work.container(pod, "main").and_then(|it| it.exit)
}
