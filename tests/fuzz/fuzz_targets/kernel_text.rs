//! What the kernel and the image say of themselves: the command line, os-release, the boot id.

#![no_main]

use libfuzzer_sys::fuzz_target;
use std::cmp::Ordering;
use std::sync::LazyLock;
use steadfast::agent::board::{slot_of, version_of};
use steadfast_adapters::system::boot_id;
use steadfast_core::Version;
use steadfast_core::window::Window;
use steadfast_fuzz::{Scratch, limited, parts};

fuzz_target!(|data: &[u8]| limited(data, judge));

static SCRATCH: LazyLock<Scratch> = LazyLock::new(|| Scratch::folder("kernel"));

fn judge(data: &[u8]) {
    let [command_line, os_release, id] = parts(data);
    let [command_line, os_release] = [command_line, os_release].map(String::from_utf8_lossy);
    if let Some(slot) = slot_of(&command_line) {
        let word = format!("rauc.slot={slot}");
        assert!(command_line.split_whitespace().any(|it| it == word));
    }
    if let Some(version) = version_of(&os_release) {
        assert_eq!(Version::new(version.as_str()).as_ref(), Some(&version));
        let line = os_release.lines().find(|line| line.starts_with("IMAGE_VERSION="));
        assert!(line.is_some_and(|line| line.contains(version.as_str())));
    }
    if let Ok(found) = boot_id(&SCRATCH.write("boot_id", id)) {
        let digits: String = found.iter().map(|byte| format!("{byte:02x}")).collect();
        let text = String::from_utf8_lossy(id).trim().replace('-', "");
        assert_eq!(digits, text.to_ascii_lowercase());
    }
    ordered(&command_line, &os_release);
}

/// Versions have an order, whichever two they are.
fn ordered(one: &str, other: &str) {
    let _ = Window::parse(one);
    let (Some(one), Some(other)) = (Version::new(one), Version::new(other)) else { return };
    assert_eq!(one.precedence(&one), Ordering::Equal);
    assert_eq!(one.precedence(&other), other.precedence(&one).reverse());
}
