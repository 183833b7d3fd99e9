//! Running a program in a container beside its own.

use super::connection::{CALL, ours};
use super::error::{ContainerdError, or_absent};
use super::{Containerd, unique};
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
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::{OpenOptions, Receiver};
use tokio::time::{sleep, timeout};

const SIGKILL: u32 = 9;
/// How long the kernel may take to end it.
const KILL: Duration = Duration::from_secs(5);
/// Nobody waits longer for a program.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 3600);
/// How much is kept of what it says, in bytes: the end.
const KEPT: usize = 4096;
/// How much is read at once, in bytes.
const CHUNK: usize = 4096;
/// How much a pipe holds, in bytes (pipe(7)).
const PIPE: usize = 64 << 10;
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

/// Where a program says something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Its standard output.
    Out,
    /// Its standard error.
    Error,
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
        let mut said = Vec::new();
        let heard = |_, more: &[u8]| keep(&mut said, more);
        let code = self.exec_heard(id, command, sleep(limit), heard).await?;
        Ok(Executed { code, output: String::from_utf8_lossy(&said).into_owned() })
    }

    /// The same, for whoever wants to hear all that it says as it says it, and ends it when `until` comes. It has no
    /// input and no terminal.
    pub async fn exec_heard(
        &self,
        id: &str,
        command: &[String],
        until: impl Future<Output = ()>,
        mut heard: impl FnMut(Stream, &[u8]),
    ) -> Result<u32, ContainerdError> {
        let process = self.process_of(id, command).await?;
        let exec = unique("exec");
        let (out, error) = (Pipe::make(&self.places.run, &exec)?, format!("{exec}-error"));
        let error = Pipe::make(&self.places.run, &error)?;
        let (mut out_reader, mut error_reader) = (out.open()?, error.open()?);
        let run = Run { id, exec: &exec, out: &out.0, error: &error.0 };
        let readers = (&mut out_reader, &mut error_reader);
        let code = hear_until(self.executed(&run, process, until), readers, &mut heard).await;
        drain(&mut out_reader, |more| heard(Stream::Out, more));
        drain(&mut error_reader, |more| heard(Stream::Error, more));
        code
    }

    async fn executed(
        &self,
        run: &Run<'_>,
        process: Value,
        until: impl Future<Output = ()>,
    ) -> Result<u32, ContainerdError> {
        let mut tasks = self.connection.client().await?.tasks();
        let spec = Any { type_url: PROCESS.to_owned(), value: process.to_string().into_bytes() };
        let request = ExecProcessRequest {
            container_id: run.id.to_owned(),
            stdout: run.out.display().to_string(),
            stderr: run.error.display().to_string(),
            spec: Some(spec),
            exec_id: run.exec.to_owned(),
            ..ExecProcessRequest::default()
        };
        self.connection.call("set a program up", tasks.exec(ours(request))).await?;
        let code = self.started_and_ended(run, until).await;
        let (container_id, exec_id) = (run.id.to_owned(), run.exec.to_owned());
        let deleted = tasks.delete_process(ours(DeleteProcessRequest { container_id, exec_id }));
        let deleted = or_absent(self.connection.call("forget a program", deleted).await.map(drop));
        code.and_then(|code| deleted.map(|()| code))
    }

    async fn started_and_ended(
        &self,
        run: &Run<'_>,
        until: impl Future<Output = ()>,
    ) -> Result<u32, ContainerdError> {
        let mut tasks = self.connection.client().await?.tasks();
        let (container_id, exec_id) = (run.id.to_owned(), run.exec.to_owned());
        let request = StartRequest { container_id, exec_id };
        self.connection.call("run a program", tasks.start(ours(request))).await?;
        tokio::select! {
            biased;
            ended = self.ended(run, LONGEST) => return ended,
            () = until => {}
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
    out: &'r Path,
    error: &'r Path,
}

/// Passes on what is said until it is done. That is looked at first: a program that never falls silent has its limit, too.
async fn hear_until<T>(
    done: impl Future<Output = T>,
    (out, error): (&mut Receiver, &mut Receiver),
    heard: &mut impl FnMut(Stream, &[u8]),
) -> T {
    tokio::pin!(done);
    let (mut from_out, mut from_error) = ([0; CHUNK], [0; CHUNK]);
    loop {
        tokio::select! {
            biased;
            done = &mut done => return done,
            count = out.read(&mut from_out) => {
                heard(Stream::Out, &from_out[..count.unwrap_or(0)]);
            }
            count = error.read(&mut from_error) => {
                heard(Stream::Error, &from_error[..count.unwrap_or(0)]);
            }
        }
    }
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

/// What is in the pipe and was not read yet: not more than it holds, for somebody may go on writing.
fn drain(reader: &mut Receiver, mut heard: impl FnMut(&[u8])) {
    let mut chunk = [0; CHUNK];
    for _ in 0..PIPE / CHUNK {
        match reader.try_read(&mut chunk) {
            Ok(0) => return,
            Ok(count) => heard(&chunk[..count]),
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    #[tokio::test]
    async fn a_program_that_never_falls_silent_has_its_limit_too() {
        let folder = tempfile::tempdir().expect("a folder");
        let pipe = |name| Pipe::make(folder.path(), name).expect("a pipe");
        let (out, error) = (pipe("out"), pipe("error"));
        let mut readers = (out.open().expect("open"), error.open().expect("open"));
        // What a pipe that is always full is to its reader.
        let enough = Arc::new(AtomicBool::new(false));
        let (stop, path) = (Arc::clone(&enough), out.0.clone());
        let writer = std::thread::spawn(move || {
            let mut pipe = std::fs::OpenOptions::new().write(true).open(path).expect("open");
            while !stop.load(Ordering::Relaxed) {
                std::io::Write::write_all(&mut pipe, &[b'y'; CHUNK]).expect("somebody reads");
            }
        });
        readers.0.readable().await.expect("it says something");
        let mut count = 0_usize;
        let done = std::future::ready(7);
        let heard = &mut |_, said: &[u8]| count += said.len();
        let code = hear_until(done, (&mut readers.0, &mut readers.1), heard).await;
        enough.store(true, Ordering::Relaxed);
        drain(&mut readers.0, |_| {});
        drop(readers);
        // The reader's own end kept it from failing; now it may.
        let _ = writer.join();
        assert_eq!((code, count), (7, 0), "what is done is seen before more is read");
    }
}
