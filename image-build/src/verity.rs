//! Packs a root file system and appends its hash tree, so that every read is checked against one root hash.
//!
//! ```text
//! | squashfs, padded to 4096 | hash tree |      root hash, salt and sizes -> slot.env -> kernel command line
//! ```

use std::fs::{self, OpenOptions};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use hw_profile::Profile;

use crate::digest;
use crate::disk::MIB;
use crate::host::Tool;

const BLOCK: u64 = 4096;

/// How the root is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Compression {
    /// Small: what ships.
    Zstd,
    /// Quick to make, half as big again.
    Lz4,
}

/// What dm-verity needs to open the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verity {
    pub(crate) data_blocks: u64,
    pub(crate) root_hash: String,
    pub(crate) salt: String,
}

impl Verity {
    /// The word on the kernel command line: data blocks, first hash block, root hash, salt.
    pub(crate) fn argument(&self) -> String {
        let Self { data_blocks, root_hash, salt } = self;
        format!("steadfast.verity={data_blocks}:{data_blocks}:{root_hash}:{salt}")
    }
}

/// How to pack.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Packing {
    pub(crate) compression: Compression,
    pub(crate) level: u32,
    pub(crate) epoch: u64,
}

/// Packs `root` into the squashfs `out`; gives its size.
pub(crate) fn pack(root: &Path, out: &Path, packing: Packing) -> Result<u64> {
    let epoch = packing.epoch.to_string();
    let tool = Tool::new("mksquashfs").arg(root).arg(out);
    let tool = match packing.compression {
        Compression::Zstd => {
            tool.args(["-comp", "zstd", "-Xcompression-level", &packing.level.to_string()])
        }
        Compression::Lz4 => tool.args(["-comp", "lz4"]),
    };
    tool.args(["-all-root", "-noappend", "-no-xattrs", "-quiet", "-no-progress"])
        .args(["-mkfs-time", &epoch, "-all-time", &epoch])
        .run()?;
    Ok(fs::metadata(out)?.len())
}

/// Appends the hash tree to `image` and gives what opens it.
pub(crate) fn append_hash_tree(image: &Path) -> Result<Verity> {
    let file = OpenOptions::new().write(true).open(image)?;
    let size = fs::metadata(image)?.len().next_multiple_of(BLOCK);
    file.set_len(size)?;
    drop(file);
    // A function of the content: the same content has the same hash tree.
    let salt = digest::of_file(image)?;
    let data_blocks = size / BLOCK;
    let report = Tool::new("veritysetup")
        .args(["format", "--no-superblock", "--hash=sha256"])
        .arg(format!("--data-blocks={data_blocks}"))
        .arg(format!("--hash-offset={size}"))
        .arg(format!("--salt={salt}"))
        .arg(image)
        .arg(image)
        .text()?;
    let root_hash = root_hash(&report).context("veritysetup named no root hash")?;
    Ok(Verity { data_blocks, root_hash, salt })
}

fn root_hash(report: &str) -> Option<String> {
    let line = report.lines().find_map(|line| line.strip_prefix("Root hash:"))?;
    Some(line.trim().to_owned()).filter(|hash| hash.len() == 64)
}

/// Fails when the image does not fit its partition or, packed for shipping, its budget.
pub(crate) fn check_size(
    profile: &Profile,
    packed: u64,
    whole: u64,
    packing: Packing,
) -> Result<()> {
    let room = u64::from(profile.disk.root_mib) * MIB;
    ensure!(
        whole <= room,
        "the root image was not accepted: {} MiB do not fit the partition's {} MiB",
        whole.div_ceil(MIB),
        profile.disk.root_mib
    );
    let budget = u64::from(profile.limits.root_image_mib) * MIB;
    ensure!(
        packing.compression != Compression::Zstd || packed <= budget,
        "the root image was not accepted: {} MiB are over limits.root_image_mib = {}",
        packed.div_ceil(MIB),
        profile.limits.root_image_mib
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::chown;
    use std::path::PathBuf;

    use crate::board::tests::profile;
    use crate::places::{self, Scratch};

    #[test]
    fn the_argument_is_what_the_initramfs_reads() {
        let verity = Verity { data_blocks: 7, root_hash: "a".repeat(64), salt: "b".repeat(64) };
        let (hash, salt) = ("a".repeat(64), "b".repeat(64));
        assert_eq!(verity.argument(), format!("steadfast.verity=7:7:{hash}:{salt}"));
        let init = fs::read_to_string(places::own().join("boot/init")).expect("init is there");
        assert!(init.contains("$(word steadfast.verity)"));
        assert!(init.contains("IFS=: read -r blocks start hash salt"));
    }

    #[test]
    fn the_root_hash_is_read_from_the_report() {
        let hash = "c".repeat(64);
        assert_eq!(root_hash(&format!("UUID: \nRoot hash:      \t{hash}\n")), Some(hash));
        assert_eq!(root_hash("Root hash: short\n"), None);
    }

    #[test]
    fn an_image_over_its_budget_is_refused() {
        let profile = profile();
        let mut packing = Packing { compression: Compression::Zstd, level: 9, epoch: 0 };
        let (fits, over) = (64 << 20, (64 << 20) + 1);
        assert!(check_size(&profile, fits, fits, packing).is_ok());
        assert!(check_size(&profile, over, over, packing).is_err());
        packing.compression = Compression::Lz4;
        assert!(check_size(&profile, over, over, packing).is_ok());
        assert!(check_size(&profile, over, (256 << 20) + 1, packing).is_err());
    }

    /// A folder with files of another owner, of this moment.
    fn tree(scratch: &Scratch) -> PathBuf {
        let root = scratch.join("root");
        fs::create_dir_all(root.join("etc")).expect("the folder is ours");
        for name in ["etc/hostname", "zeros", "readme"] {
            fs::write(root.join(name), name.repeat(3000)).expect("the folder is ours");
            // Whoever is not root owns them already.
            drop(chown(root.join(name), Some(1000), Some(1000)));
        }
        root
    }

    #[test]
    fn the_same_files_give_the_same_image_at_any_time_and_belong_to_root() {
        let packing = Packing { compression: Compression::Zstd, level: 9, epoch: 86_400 };
        let images = ["squashfs-1", "squashfs-2"].map(|name| {
            let scratch = Scratch::of_test(name);
            let (root, image) = (tree(&scratch), scratch.join("image"));
            let date = if name.ends_with('1') { "--date=@1000" } else { "--date=@2000" };
            Tool::new("touch").arg(date).arg(root.join("zeros")).run().expect("it is ours");
            pack(&root, &image, packing).expect("mksquashfs packs it");
            let made = Tool::new("unsquashfs").arg("-stat").arg(&image).text();
            let made = made.expect("it is a squashfs");
            assert!(made.contains("time Fri Jan  2 00:00:00 1970"), "{made}");
            let list = Tool::new("unsquashfs").args(["-lln", "-UTC"]).arg(&image).text();
            (fs::read(&image).expect("it was made"), list.expect("it is a squashfs"))
        });
        let list = &images[0].1;
        assert_eq!(
            list.matches(" 0/0 ").count(),
            list.matches("1970-01-02 00:00").count(),
            "{list}"
        );
        assert!(list.matches(" 0/0 ").count() >= 5 && !list.contains("1000"), "{list}");
        assert!(images[0].0 == images[1].0, "two packings of the same files differ");
    }

    #[test]
    fn the_hash_tree_guards_every_block_under_the_root_hash_alone() {
        let scratch = Scratch::of_test("verity");
        let image = scratch.join("image");
        // Not a whole number of blocks: the rest is padded, and nothing is cut off.
        let content: Vec<u8> = (0..3 * BLOCK + 100).map(|at| (at % 251) as u8).collect();
        fs::write(&image, &content).expect("the folder is ours");
        let verity = append_hash_tree(&image).expect("veritysetup appends it");
        assert_eq!(verity.data_blocks, 4);
        let whole = fs::read(&image).expect("it is there");
        assert_eq!(whole[..content.len()], content);
        let hashes = format!("--hash-offset={}", 4 * BLOCK);
        let holds = |root_hash: &str| {
            let tool =
                Tool::new("veritysetup").args(["verify", "--no-superblock", "--hash=sha256"]);
            let tool = tool.args(["--data-blocks=4", &hashes, &format!("--salt={}", verity.salt)]);
            tool.arg(&image).arg(&image).arg(root_hash).run().is_ok()
        };
        assert!(holds(&verity.root_hash) && !holds(&"0".repeat(64)));
        for at in [0, 3 * BLOCK as usize + 50] {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            fs::write(&image, damaged).expect("it is ours");
            assert!(!holds(&verity.root_hash), "a changed byte at {at} passes");
        }
        fs::write(&image, &content).expect("it is ours");
        assert_eq!(append_hash_tree(&image).expect("again"), verity, "the same content");
    }
}
