//! `steadfast exec`: a program in a container of a pod, beside the container's own.
//!
//! It asks containerd itself, so that it helps where the agent does not.

use super::{NotDone, chain};
use crate::agent::config::Config;
use crate::cli::ExecArgs;
use std::error::Error;
use std::io::{self, Write};
use steadfast_adapters::containerd::{
    Containerd, ContainerdError, FoundContainer, Places, Process, Stream,
};
use steadfast_core::pod::Role;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::LocalSet;

/// Runs the program; the answer is its exit code. Ctrl-C ends it.
pub(super) fn run(args: &ExecArgs) -> Result<u8, NotDone> {
    let what = format!("nothing was run in pod {}", args.pod);
    let because = |error: &dyn Error| not_done(&what, chain(error));
    let config = Config::load(&args.config).map_err(|error| because(&error))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| because(&error))?;
    let places = Places {
        socket: config.paths.containerd,
        root: config.paths.containerd_root,
        run: config.paths.run,
        cgroups: "/sys/fs/cgroup".into(),
    };
    let done = LocalSet::new().block_on(&runtime, async {
        let containerd = Containerd::new(places);
        let found = containerd.find().await.map_err(|error| because(&error))?;
        let id = chosen(args, &found).map_err(|reason| not_done(&what, vec![reason]))?;
        executed(&containerd, &id, &args.command).await.map_err(|error| because(&error))
    });
    // Whoever closed the pipe knows; nothing waits for a reader.
    runtime.shutdown_background();
    done
}

fn not_done(what: &str, because: Vec<String>) -> NotDone {
    NotDone { what: what.to_owned(), because, node: "as it was; nothing changed".into() }
}

/// The container that is meant: it has to run.
fn chosen(args: &ExecArgs, found: &[FoundContainer]) -> Result<String, String> {
    let runs = |it: &&FoundContainer| matches!(it.process, Process::Running { .. });
    let mut own: Vec<&FoundContainer> =
        found.iter().filter(|it| it.mark.pod == args.pod.as_str()).filter(runs).collect();
    own.sort_by_key(|it| (it.mark.role != Role::Main, it.mark.position));
    if own.is_empty() {
        let mut pods: Vec<&str> =
            found.iter().filter(runs).map(|it| it.mark.pod.as_str()).collect();
        pods.dedup();
        return Err(format!("no container of it runs; there run: {}", listed(&pods)));
    }
    let meant = match &args.container {
        None => own.first(),
        Some(name) => own.iter().find(|it| it.mark.container == *name),
    };
    let names: Vec<&str> = own.iter().map(|it| it.mark.container.as_str()).collect();
    let name = args.container.as_deref().unwrap_or_default();
    meant
        .map(|it| it.id.clone())
        .ok_or_else(|| format!("no container {name} of it runs; there run: {}", listed(&names)))
}

fn listed(names: &[&str]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

async fn executed(
    containerd: &Containerd,
    id: &str,
    command: &[String],
) -> Result<u8, ContainerdError> {
    let mut interrupt = signal(SignalKind::interrupt()).ok();
    let interrupted = async {
        match &mut interrupt {
            Some(interrupt) => drop(interrupt.recv().await),
            None => std::future::pending().await,
        }
    };
    let code = containerd.exec_heard(id, command, interrupted, pass_on).await?;
    Ok(u8::try_from(code).unwrap_or(u8::MAX))
}

/// What cannot be written is lost to whoever does not read.
fn pass_on(stream: Stream, said: &[u8]) {
    let _ = match stream {
        Stream::Out => io::stdout().write_all(said).and_then(|()| io::stdout().flush()),
        Stream::Error => io::stderr().write_all(said),
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::SystemTime;
    use steadfast_adapters::containerd::{Mark, container_id};
    use steadfast_core::Digest;

    fn found(pod: &str, container: &str, role: Role) -> FoundContainer {
        let mark = Mark {
            pod: pod.try_into().expect("short"),
            container: container.to_owned(),
            position: if role == Role::Main { 1 } else { 0 },
            role,
            manifest: Digest::ZERO,
            restarts: 0,
            boot: [0; 16],
        };
        let process = Process::Running { pid: 1, started: SystemTime::UNIX_EPOCH };
        FoundContainer { id: container_id(pod, container), mark, process }
    }

    fn meant(pod: &str, container: Option<&str>) -> Result<String, String> {
        let args = ExecArgs {
            pod: pod.to_owned(),
            container: container.map(str::to_owned),
            command: vec!["true".to_owned()],
            config: "/nowhere".into(),
        };
        let ended = FoundContainer { process: Process::None, ..found("old", "core", Role::Main) };
        let all =
            [found("web", "beside", Role::Sidecar), found("web", "server", Role::Main), ended];
        chosen(&args, &all)
    }

    #[test]
    fn without_a_name_the_main_container_is_meant() {
        assert_eq!(meant("web", None), Ok(container_id("web", "server")));
        assert_eq!(meant("web", Some("beside")), Ok(container_id("web", "beside")));
    }

    #[test]
    fn what_does_not_run_is_refused_with_what_does() {
        let told = meant("old", None).expect_err("it does not run");
        assert_eq!(told, "no container of it runs; there run: web");
        let told = meant("web", Some("core")).expect_err("there is none");
        assert_eq!(told, "no container core of it runs; there run: server, beside");
    }
}
