//! Running a program in a container beside its own.

use super::connection::{CALL, ours};
use super::error::{ContainerdError, or_absent};
use super::{Containerd, id_of};
use containerd_client::services::v1::{
    DeleteProcessRequest, ExecProcessRequest, GetContainerRequest, KillRequest, StartRequest,
    WaitRequest,
};
use prost_types::Any;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::{Value, json};
use std::fs::{DirBuilder, remove_file};
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::{OpenOptions, Receiver};
use tokio::time::timeout;

const SIGKILL: u32 = 9;
/// How long the kernel may take to end it.
const KILL: Duration = Duration::from_secs(5);
/// How much is kept of what it says, in bytes: the end.
const KEPT: usize = 4096;
/// What containerd calls the specification of a process (typeurl of `specs.Process`).
const PROCESS: &str = "types.containerd.io/opencontainers/runtime-spec/1/Process";

/// How a program ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Executed {
    /// Its exit code.
    pub code: u32,
    /// The end of what it said on both of its streams, at most 4 KiB.
    pub output: String,
}

impl Containerd {
    /// Runs a program in a running container, as the container's own is run. At the limit it is ended by SIGKILL, and
    /// has the exit code 137.
    pub async fn exec(
        &self,
        id: &str,
        command: &[String],
        limit: Duration,
    ) -> Result<Executed, ContainerdError> {
        let process = self.process_of(id, command).await?;
        let exec = unique();
        let pipe = Pipe::make(&self.places.run, &exec)?;
        let mut reader = pipe.open()?;
        let mut said = Vec::new();
        let run = Run { id, exec: &exec, pipe: &pipe.0 };
        let code = {
            let done = self.executed(&run, process, limit);
            tokio::select! {
                biased;
                never = keep_reading(&mut reader, &mut said) => match never {},
                code = done => code,
            }
        };
        drain(&mut reader, &mut said);
        Ok(Executed { code: code?, output: String::from_utf8_lossy(&said).into_owned() })
    }

    async fn executed(
        &self,
        run: &Run<'_>,
        process: Value,
        limit: Duration,
    ) -> Result<u32, ContainerdError> {
        let mut tasks = self.connection.client().await?.tasks();
        let pipe = run.pipe.display().to_string();
        let spec = Any { type_url: PROCESS.to_owned(), value: process.to_string().into_bytes() };
        let request = ExecProcessRequest {
            container_id: run.id.to_owned(),
            stdout: pipe.clone(),
            stderr: pipe,
            spec: Some(spec),
            exec_id: run.exec.to_owned(),
            ..ExecProcessRequest::default()
        };
        self.connection.call("set a program up", tasks.exec(ours(request))).await?;
        let code = self.started_and_ended(run, limit).await;
        let (container_id, exec_id) = (run.id.to_owned(), run.exec.to_owned());
        let deleted = tasks.delete_process(ours(DeleteProcessRequest { container_id, exec_id }));
        let deleted = or_absent(self.connection.call("forget a program", deleted).await.map(drop));
        code.and_then(|code| deleted.map(|()| code))
    }

    async fn started_and_ended(
        &self,
        run: &Run<'_>,
        limit: Duration,
    ) -> Result<u32, ContainerdError> {
        let mut tasks = self.connection.client().await?.tasks();
        let (container_id, exec_id) = (run.id.to_owned(), run.exec.to_owned());
        let request = StartRequest { container_id, exec_id };
        self.connection.call("run a program", tasks.start(ours(request))).await?;
        if let Ok(ended) = timeout(limit, self.ended(run, limit + CALL)).await {
            return ended;
        }
        let (container_id, exec_id) = (run.id.to_owned(), run.exec.to_owned());
        let request = KillRequest { container_id, exec_id, signal: SIGKILL, all: false };
        or_absent(self.connection.call("end a program", tasks.kill(ours(request))).await)?;
        match timeout(KILL, self.ended(run, KILL + CALL)).await {
            Ok(ended) => ended,
            Err(_) => Err(ContainerdError::Unkillable),
        }
    }

    async fn ended(&self, run: &Run<'_>, limit: Duration) -> Result<u32, ContainerdError> {
        let mut tasks = self.connection.client().await?.tasks();
        let (container_id, exec_id) = (run.id.to_owned(), run.exec.to_owned());
        let ended = tasks.wait(ours(WaitRequest { container_id, exec_id }));
        let ended = self.connection.long_call("wait for a program", limit, ended).await;
        ended.map(|ended| ended.exit_status)
    }

    /// The container's own process, with another command.
    async fn process_of(&self, id: &str, command: &[String]) -> Result<Value, ContainerdError> {
        let mut containers = self.connection.client().await?.containers();
        let got = containers.get(ours(GetContainerRequest { id: id.to_owned() }));
        let got = self.connection.call("show a container", got).await?;
        let none = ContainerdError::Answer("the container's specification");
        let spec = got.container.and_then(|container| container.spec);
        let Some(Any { value, .. }) = spec else { return Err(none) };
        let spec: Value = serde_json::from_slice(&value).unwrap_or_default();
        let Some(process) = spec.get("process").filter(|it| it.is_object()) else {
            return Err(none);
        };
        let mut process = process.clone();
        process["args"] = json!(command);
        process["terminal"] = json!(false);
        Ok(process)
    }
}

/// One run of a program.
struct Run<'r> {
    id: &'r str,
    exec: &'r str,
    pipe: &'r Path,
}

/// A name that no other program of this container has.
fn unique() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_nanos();
    format!("exec-{}", id_of(format!("{} {now} {count}", std::process::id()).as_bytes()))
}

/// A named pipe, away when it is dropped.
struct Pipe(PathBuf);

impl Pipe {
    fn make(run: &Path, name: &str) -> Result<Pipe, ContainerdError> {
        let folder = run.join("exec");
        let path = folder.join(name);
        let failed = |source| ContainerdError::File { path: path.clone(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(failed)?;
        mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)
            .map_err(|error| failed(error.into()))?;
        Ok(Pipe(path))
    }

    /// Open for writing as well: so its end is not reached before the shim has opened it.
    fn open(&self) -> Result<Receiver, ContainerdError> {
        let opened = OpenOptions::new().read_write(true).open_receiver(&self.0);
        opened.map_err(|source| ContainerdError::File { path: self.0.clone(), source })
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        // What is left in /run is gone with the boot.
        let _ = remove_file(&self.0);
    }
}

/// Reads for as long as it is let: the shim must not wait for a reader.
async fn keep_reading(reader: &mut Receiver, said: &mut Vec<u8>) -> std::convert::Infallible {
    let mut chunk = [0; 4096];
    loop {
        match reader.read(&mut chunk).await {
            Ok(count) => keep(said, &chunk[..count]),
            Err(_) => std::future::pending().await,
        }
    }
}

/// What is in the pipe and was not read yet.
fn drain(reader: &mut Receiver, said: &mut Vec<u8>) {
    let mut chunk = [0; 4096];
    loop {
        match reader.try_read(&mut chunk) {
            Ok(0) => return,
            Ok(count) => keep(said, &chunk[..count]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}

/// The end of it all.
fn keep(said: &mut Vec<u8>, more: &[u8]) {
    said.extend_from_slice(more);
    let before = said.len().saturating_sub(KEPT);
    said.drain(..before);
}
