//! What the boot script chooses for every kind of content of the boot environment, asked of the real firmware.
//!
//! ```text
//! disk image, slot B a copy of A ─► content of the case ─► power on ─► the slot's marker ─► stopped ─► bytes
//!                                                                  └► rest ─► power-off ─────────────► read back
//! ```
//!
//! Always true: a slot that is there is started, or the node powers off; the copy that is written is not the one
//! that counted. A case takes seconds, because it ends where the kernel begins.

mod cases;
mod copies;

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use self::cases::{Case, cases};
use super::Bench;
use crate::disks::{self, Partition};
use crate::machine::{Disk, Machine, Parts};
use crate::marker::Marker;
use crate::timeline::{Show, Timeline};

/// From power-on to a slot's marker, or to the rest after every round, on a busy machine.
const CHOICE: Duration = Duration::from_secs(90);
/// From the rest's marker to the end of QEMU.
const POWER_OFF: Duration = Duration::from_secs(30);
/// So much of a boot partition that its file system is gone without it.
const HEAD: usize = 1 << 20;

/// A disk image with both slots, and where its parts begin.
struct Image {
    file: File,
    path: PathBuf,
    /// Where the two copies begin, in bytes.
    copies: [u64; 2],
    /// Where the boot partition of a slot begins, in bytes.
    boot: BTreeMap<&'static str, u64>,
    /// What every boot partition begins with.
    head: Vec<u8>,
}

/// Tries every case on an image of its own.
pub(super) fn run(bench: &mut Bench) -> Result<()> {
    let image = Image::new(bench)?;
    for case in cases() {
        image.put(&case)?;
        let path = choice(bench, &image.path, &case)
            .with_context(|| format!("boot environment: {}", case.name))?;
        let found = format!("{path}; {}", image.difference(&case)?);
        if found != case.wanted() {
            let kept = bench.folder.join(format!("{}.log", case.name.replace(' ', "-")));
            fs::rename(bench.folder.join("serial.log"), kept)?;
        }
        bench.claim(case.name, found, case.wanted());
        bench.say(format!("{}: {path}", case.name));
    }
    Ok(())
}

/// Powers on and returns the way to the first slot that is there, or to the rest and the power-off.
fn choice(bench: &Bench, disk: &Path, case: &Case) -> Result<String> {
    let parts =
        Parts { disk: Disk::Raw(disk.to_path_buf()), ..bench.lab.parts(&bench.folder, None)? };
    let log = bench.folder.join("serial.log");
    let timeline = Timeline::start(Show::Kept);
    let (mut machine, mut console) = Machine::start(bench.lab.qemu(), &parts, &log, &timeline)?;
    let mut path = Vec::new();
    let rests = console.wait_marker("a slot or the rest", CHOICE, |marker| match marker {
        Marker::Slot { slot, .. } => {
            let there = !case.emptied.contains(&slot.as_str());
            path.push(slot);
            there.then_some(false)
        }
        Marker::CannotLoad { slot } => {
            path.push(format!("no {slot}"));
            None
        }
        Marker::Rearm { round } => {
            path.push(format!("rearm {round}"));
            None
        }
        Marker::Resting => {
            path.push("rest".to_owned());
            Some(true)
        }
        _ => None,
    })?;
    if rests {
        console.wait_end(POWER_OFF).context("the node rests but does not power off")?;
        machine.await_end()?;
        path.push("power-off".to_owned());
    }
    Ok(path.join(", "))
}

impl Image {
    /// A copy of the first release's disk, with the files of slot A in slot B too.
    fn new(bench: &Bench) -> Result<Self> {
        let profile = &bench.lab.profile;
        ensure!(
            usize::from(u16::try_from(profile.boot.copy_size)?) == copies::SIZE,
            "the cases are for copies of {} bytes",
            copies::SIZE
        );
        let source = bench.lab.folder(&crate::variant::FIRST).join("disk.img");
        let path = bench.folder.join("disk.img");
        disks::sparse_copy(&source, &path)?;
        let partitions = disks::partitions(&path)?;
        let place = |name: &str| {
            partitions.get(name).copied().with_context(|| format!("the disk has no {name}"))
        };
        let environment = place(&profile.boot.environment)?.start;
        let (a, b) = (place(&profile.slots.a.boot)?, place(&profile.slots.b.boot)?);
        let file = OpenOptions::new().read(true).write(true).open(&path)?;
        copy_partition(&file, a, b)?;
        let mut head = vec![0; HEAD];
        file.read_exact_at(&mut head, a.start)?;
        let [first, second] = profile.boot.copy_offsets;
        Ok(Self {
            file,
            path,
            copies: [environment + first, environment + second],
            boot: BTreeMap::from([("A", a.start), ("B", b.start)]),
            head,
        })
    }

    /// Makes the image what the case says.
    fn put(&self, case: &Case) -> Result<()> {
        for (place, bytes) in self.copies.iter().zip(&case.copies) {
            self.file.write_all_at(bytes, *place)?;
        }
        for (slot, place) in &self.boot {
            let gone = vec![0; HEAD];
            let bytes = if case.emptied.contains(slot) { &gone } else { &self.head };
            self.file.write_all_at(bytes, *place)?;
        }
        Ok(())
    }

    /// Both copies as they are now: `kept`, or what they hold.
    fn difference(&self, case: &Case) -> Result<String> {
        let mut words = Vec::new();
        for (place, before) in self.copies.iter().zip(&case.copies) {
            let mut now = vec![0; copies::SIZE];
            self.file.read_exact_at(&mut now, *place)?;
            words.push(if now == *before { "kept".to_owned() } else { copies::summary(&now) });
        }
        Ok(words.join(" | "))
    }
}

fn copy_partition(file: &File, from: Partition, to: Partition) -> Result<()> {
    ensure!(from.size == to.size, "the boot partitions differ in size");
    let mut bytes = vec![0; usize::try_from(from.size)?];
    file.read_exact_at(&mut bytes, from.start)?;
    file.write_all_at(&bytes, to.start)?;
    Ok(())
}
