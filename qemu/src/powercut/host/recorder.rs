//! A disk that writes down every write and flush, for a node on this machine.
//!
//! ```text
//! ext4, RAUC, boot store ─► loop device of each partition ─► one file (FUSE) ─► qemu-storage-daemon ─┬─► disk.img
//!                            one write at a time                                                     └─► writes.log
//! ```
//!
//! Always true: what a file system syncs is a flush in the record, behind everything that it syncs (the kernel's
//! Documentation/block/writeback_cache_control.rst; the loop driver passes a flush on as an fsync, and the FUSE export
//! as a flush). The record is that of the QEMU lane.
//!
//! The loop devices write synchronously, so that FUSE has one write in flight: up to QEMU 9.2 the export reads the next
//! request into the buffer of the one that is still being written (block/export/fuse.c, `fuse_write`). A record that
//! was hit by that is no copy of its disk, and is refused.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::super::log::WriteLog;
use super::apart::done;
use crate::disks::Partition;

/// The largest write, in KiB: real disks tear between smaller pieces than a kernel would send.
const PIECE_KIB: u32 = 4;

/// A disk that is being recorded.
pub(super) struct Recorder {
    daemon: PathBuf,
    log: PathBuf,
    devices: BTreeMap<String, PathBuf>,
}

impl Recorder {
    /// Records what is written to these partitions of `disk` in `log`; `seat` is a folder of the lane's tmpfs.
    pub(super) fn start(
        disk: &Path,
        log: &Path,
        partitions: &BTreeMap<String, Partition>,
        seat: &Path,
    ) -> Result<Self> {
        let (file, daemon) = (seat.join("disk"), seat.join("recorder.pid"));
        File::create(&file)?;
        File::create(log)?;
        let node = |name: &str, path: &Path| {
            format!("driver=file,cache.no-flush=on,node-name={name},filename={}", path.display())
        };
        let recorder = "driver=blklogwrites,node-name=recorded,file=image,log=log,log-sector-size=512,\
                        log-super-update-interval=1";
        let export = format!(
            "type=fuse,id=disk,node-name=recorded,writable=on,mountpoint={}",
            file.display()
        );
        done(
            Command::new("qemu-storage-daemon")
                .args(["--blockdev", &node("image", disk), "--blockdev", &node("log", log)])
                .args(["--blockdev", recorder, "--export", &export, "--daemonize", "--pidfile"])
                .arg(&daemon),
        )?;
        let mut recorder = Self { daemon, log: log.to_owned(), devices: BTreeMap::new() };
        for (name, Partition { start, size }) in partitions {
            let device = done(
                Command::new("losetup")
                    .args(["--find", "--show", "--direct-io=off", "--offset", &start.to_string()])
                    .args(["--sizelimit", &size.to_string()])
                    .arg(&file),
            )?;
            let device = PathBuf::from(device);
            recorder.devices.insert(name.clone(), device.clone());
            let number = device.file_name().context("a loop device has a name")?;
            let queue = Path::new("/sys/class/block").join(number).join("queue/max_sectors_kb");
            fs::write(&queue, PIECE_KIB.to_string())
                .with_context(|| queue.display().to_string())?;
        }
        Ok(recorder)
    }

    /// The partitions' devices.
    pub(super) fn devices(&self) -> &BTreeMap<String, PathBuf> {
        &self.devices
    }

    /// How many entries the record has.
    pub(super) fn position(&self) -> Result<usize> {
        let mut head = [0; 24];
        File::open(&self.log)?.read_exact(&mut head).context("the record has no head yet")?;
        let count: [u8; 8] = head[16..].try_into().expect("eight bytes");
        Ok(usize::try_from(u64::from_le_bytes(count))?)
    }

    /// Writes `bytes` at `at` of a partition, past every cache, and without a flush: as firmware does.
    pub(super) fn put(&self, partition: &str, at: u64, bytes: &[u8]) -> Result<()> {
        let device = self.devices.get(partition).context("the disk has no such partition")?;
        let content = self.daemon.with_file_name("put");
        fs::write(&content, bytes)?;
        ensure!(at.is_multiple_of(512) && bytes.len().is_multiple_of(512), "no whole sectors");
        done(
            Command::new("dd")
                .arg(format!("if={}", content.display()))
                .arg(format!("of={}", device.display()))
                .args([&format!("bs={}", bytes.len()), "oflag=direct,seek_bytes", "conv=notrunc"])
                .arg(format!("seek={at}")),
        )
        .map(drop)
    }

    /// Ends the record; everything that was written is in it.
    pub(super) fn finish(mut self) -> Result<()> {
        self.end()
    }

    fn end(&mut self) -> Result<()> {
        for device in std::mem::take(&mut self.devices).values() {
            done(Command::new("losetup").arg("--detach").arg(device))?;
        }
        let Ok(process) = fs::read_to_string(&self.daemon) else { return Ok(()) };
        fs::remove_file(&self.daemon)?;
        // It closes its export first, so its end is the end of the mount.
        let wait = "kill \"$1\" && while kill -0 \"$1\" 2>/dev/null; do sleep 0.02; done";
        done(Command::new("sh").args(["-c", wait, "sh", process.trim()])).map(drop)
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

/// Proves on a disk of its own that what a program syncs on ext4 lies in the record before a flush, and what it does
/// not sync need not: without that, a cut would show nothing.
pub(super) fn prove(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    let (disk, log) = (folder.join("proof.img"), folder.join("proof.log"));
    File::create(&disk)?.set_len(32 << 20)?;
    done(Command::new("/sbin/mke2fs").args(["-q", "-t", "ext4"]).arg(&disk))?;
    let whole = Partition { start: 0, size: 32 << 20 };
    let recorder = Recorder::start(&disk, &log, &[("whole".to_owned(), whole)].into(), folder)?;
    let device = recorder.devices["whole"].clone();
    let mut child = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-ec", SYNCED, "sh"])
        .arg(&device)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("unshare does not start")?;
    let mut said = String::new();
    let output = child.stdout.take().context("it has an output")?;
    BufReader::new(output).read_line(&mut said)?;
    let position = recorder.position()?;
    drop(child.stdin.take());
    ensure!(child.wait()?.success() && said == "synced\n", "ext4 was not mounted: {said}");
    recorder.finish()?;
    let log = WriteLog::open(&log)?;
    let has = |word: &str| -> Result<Option<usize>> {
        for (number, entry) in log.entries[..position].iter().enumerate() {
            let Some(write) = &entry.write else { continue };
            let bytes = log.bytes(write, write.length)?;
            if bytes.windows(word.len()).any(|found| found == word.as_bytes()) {
                return Ok(Some(number));
            }
        }
        Ok(None)
    };
    let synced = has("what is synced")?.context("what was synced is not in the record")?;
    ensure!(
        log.entries[synced..position].iter().any(|entry| entry.flush),
        "what was synced was not flushed"
    );
    ensure!(has("what is not")?.is_none(), "what was not synced is in the record all the same");
    Ok(())
}

/// One file that is synced and one that is not; then it waits.
const SYNCED: &str = "mount -t ext4 \"$1\" /mnt; echo what is synced >/mnt/one; echo what is not >/mnt/other; \
                      sync --data /mnt/one; echo synced; read end || true";

#[cfg(test)]
mod tests {
    use super::super::apart;
    use super::*;

    /// Where the lane cannot run, `cargo verify` leaves it out by name.
    #[test]
    fn what_a_file_system_syncs_is_a_flush_in_the_record() {
        if let Some(lacking) = apart::lacking() {
            eprintln!("not tried: {lacking}");
            return;
        }
        let folder =
            std::env::temp_dir().join(format!("steadfast-host-proof-{}", std::process::id()));
        let proven = prove(&folder);
        fs::remove_dir_all(&folder).expect("removed");
        proven.expect("it is proven");
    }
}
