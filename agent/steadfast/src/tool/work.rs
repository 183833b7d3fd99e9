//! `steadfast work`: the pods of the node; `work apply` and `work remove` on nodes where something is tried by hand.

use super::client::{self, ClientError};
use super::output::{Console, Line, Tone};
use super::{NotDone, ToolError, chain};
use crate::cli::{ApplyArgs, RemoveArgs, StopPodsArgs, WorkArgs, WorkCommand};
use crate::protocol::Request;
use crate::protocol::work::{ContainerStatus, PodStatus, RuntimeStatus, Work};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// How often it is looked whether something still runs.
const LOOK: Duration = Duration::from_millis(200);

/// Shows the pods, or gives an order about them.
pub(super) fn run(
    socket: &Path,
    args: &WorkArgs,
    console: &mut Console<'_>,
) -> Result<(), ToolError> {
    match &args.command {
        None => show(socket, args, console),
        Some(WorkCommand::Apply(args)) => apply(socket, args, console),
        Some(WorkCommand::Remove(args)) => remove(socket, args, console),
    }
}

fn show(socket: &Path, args: &WorkArgs, console: &mut Console<'_>) -> Result<(), ToolError> {
    let work = client::work(socket)
        .map_err(|error| NotDone::unanswered("the agent could not be asked", &error))?;
    match args.json {
        true => console.json(&work)?,
        false => console.print(&lines(&work, console.now))?,
    }
    Ok(())
}

/// Each pod with its containers.
fn lines(work: &Work, now: u64) -> Vec<Line> {
    let mut lines: Vec<Line> = down(&work.runtime).into_iter().collect();
    if work.pods.is_empty() {
        lines.push(Line::new("pods", "none"));
        return lines;
    }
    let names = work.pods.iter().flat_map(|pod| {
        let own = pod.containers.iter().map(|it| it.name.chars().count() + 2);
        own.chain([pod.name.chars().count()])
    });
    let width = names.max().unwrap_or(0);
    for pod in &work.pods {
        lines.push(Line::new("pod", pod_line(pod, width)).toned(tone(pod)));
        let containers = pod.containers.iter();
        lines.extend(containers.map(|it| Line::new("", container_line(it, width, now))));
    }
    lines
}

/// The pods in `steadfast status`: a line for each.
pub(super) fn summary(work: &Work) -> Vec<Line> {
    let width = work.pods.iter().map(|pod| pod.name.chars().count()).max().unwrap_or(0);
    let pods = work.pods.iter().enumerate().map(|(at, pod)| {
        let label = if at == 0 { "work" } else { "" };
        Line::new(label, pod_line(pod, width)).toned(tone(pod))
    });
    let down = down(&work.runtime).filter(|_| !work.pods.is_empty());
    down.into_iter().chain(pods).collect()
}

fn down(runtime: &RuntimeStatus) -> Option<Line> {
    let because = runtime.because.as_deref().filter(|_| runtime.state == "down")?;
    Some(Line::new("runtime", format!("down: {because}")).toned(Tone::Bad))
}

fn tone(pod: &PodStatus) -> Tone {
    if pod.ready || pod.phase == "ending" { Tone::Plain } else { Tone::Warn }
}

fn pod_line(pod: &PodStatus, width: usize) -> String {
    let PodStatus { name, phase, because, .. } = pod;
    let more = match (pod.ready, because) {
        (true, _) if phase == "running" => "ready",
        (false, Some(because)) => because,
        _ => "",
    };
    format!("{name:width$}  {phase:9}  {more}").trim_end().to_owned()
}

fn container_line(container: &ContainerStatus, width: usize, now: u64) -> String {
    let ContainerStatus { name, role, image, state, .. } = container;
    let name = format!("  {name}");
    let role = if role == "main" { String::new() } else { role.clone() };
    let mut more = vec![role, image.clone()];
    more.extend(container.pid.map(|pid| format!("pid {pid}")));
    more.extend(container.exit.map(|code| format!("exit {code}")));
    more.extend(container.reason.clone());
    let again = container.again_unix_s.map(|then| then.saturating_sub(now));
    more.extend(again.map(|seconds| format!("again in {seconds} s")));
    if container.restarts > 0 {
        more.push(format!("restarted {} in a row", times(container.restarts)));
    }
    more.retain(|part| !part.is_empty());
    format!("{name:width$}  {state:9}  {}", more.join(", ")).trim_end().to_owned()
}

fn times(count: u8) -> String {
    if count == 1 { "once".to_owned() } else { format!("{count} times") }
}

fn apply(socket: &Path, args: &ApplyArgs, console: &mut Console<'_>) -> Result<(), ToolError> {
    let what = format!("{} was not applied", args.file.display());
    let file = whole(&args.file).map_err(|because| NotDone {
        what: what.clone(),
        because: vec![because],
        node: "not asked; nothing changed".into(),
    })?;
    let given = client::patiently(socket, &Request::Apply { file });
    given.map_err(|error| not_done(what, &error))?;
    accepted(console, "its pods are started")
}

fn remove(socket: &Path, args: &RemoveArgs, console: &mut Console<'_>) -> Result<(), ToolError> {
    let name = args.file.file_name().unwrap_or(args.file.as_os_str());
    let name = name.to_string_lossy().into_owned();
    let what = format!("{name} was not removed");
    let given = client::patiently(socket, &Request::Remove { name });
    given.map_err(|error| not_done(what, &error))?;
    accepted(console, "its pods are taken down")
}

fn accepted(console: &mut Console<'_>, what: &str) -> Result<(), ToolError> {
    console.print(&[Line::new("accepted", what), Line::new("follow", "steadfast work")])?;
    Ok(())
}

/// The whole path: the agent has another folder.
fn whole(file: &Path) -> Result<String, String> {
    let path: PathBuf = std::path::absolute(file).map_err(|error| error.to_string())?;
    path.into_os_string().into_string().map_err(|_| "its path is not UTF-8".to_owned())
}

fn not_done(what: String, error: &ClientError) -> NotDone {
    match error {
        ClientError::Refused(_) => NotDone {
            what,
            because: chain(error),
            node: "what ran goes on running; nothing changed".into(),
        },
        error if error.may_have_been_heard() => NotDone {
            what: "it is not known whether the order was taken".into(),
            because: chain(error),
            node: "see steadfast work".into(),
        },
        error => NotDone::unanswered(what, error),
    }
}

/// Stops all pods and waits until nothing of them runs, for the shutdown.
pub(super) fn stop(
    socket: &Path,
    args: &StopPodsArgs,
    console: &mut Console<'_>,
) -> Result<(), ToolError> {
    let begun = Instant::now();
    let what = "the pods were not stopped";
    client::order(socket, &Request::StopWork).map_err(|error| NotDone::unanswered(what, &error))?;
    loop {
        let work = client::work(socket).map_err(|error| NotDone::unanswered(what, &error))?;
        let running = running(&work);
        if running.is_empty() {
            let took = begun.elapsed().as_secs_f64();
            console.print(&[Line::new("stopped", format!("nothing runs, after {took:.1} s"))])?;
            return Ok(());
        }
        if begun.elapsed() >= Duration::from_secs(args.within.into()) {
            let because = format!("after {} s there still run {}", args.within, running.join(", "));
            let node = "the machine goes down all the same".into();
            return Err(NotDone { what: what.into(), because: vec![because], node }.into());
        }
        thread::sleep(LOOK);
    }
}

fn running(work: &Work) -> Vec<String> {
    let containers = work
        .pods
        .iter()
        .flat_map(|pod| pod.containers.iter().map(move |container| (pod, container)));
    let running = containers.filter(|(_, container)| container.state == "running");
    running.map(|(pod, container)| format!("{}/{}", pod.name, container.name)).collect()
}

#[cfg(test)]
mod tests;
