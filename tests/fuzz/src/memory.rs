//! A limit on memory: one execution that asks for too much ends as a finding.
//!
//! ```text
//! limited(data, judge) ─► baseline ─► judge ─► every allocation is held against both limits
//! ```
//!
//! libFuzzer's own `-malloc_limit_mb` works only with a sanitizer's allocator, and `-rss_limit_mb` sees only
//! memory that was written to; a length that is believed shows in neither. So the allocator itself looks.

#![allow(unsafe_code, reason = "what allocates answers for its memory itself")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::Write;
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The most that is allocated at once, in bytes. The longest frame of the control socket has 1 MiB.
const AT_ONCE: usize = 2 << 20;

/// The most that one execution holds at a time, in bytes.
const IN_ALL: usize = 16 << 20;

/// What is allocated now.
static HELD: AtomicUsize = AtomicUsize::new(0);

/// The most that may be; without limit until [`limited`] began.
static MOST: AtomicUsize = AtomicUsize::new(usize::MAX);

struct Limited;

#[global_allocator]
static LIMITED: Limited = Limited;

static BEGAN: Once = Once::new();

/// Judges one input within the limits.
pub fn limited(data: &[u8], judge: fn(&[u8])) {
    BEGAN.call_once(|| {
        // A panic is a finding already, and telling of it takes memory.
        let tell = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            MOST.store(usize::MAX, Relaxed);
            tell(panic);
        }));
    });
    MOST.store(HELD.load(Relaxed) + IN_ALL, Relaxed);
    judge(data);
    MOST.store(usize::MAX, Relaxed);
}

/// Takes `size` bytes into account. Without a panic, which would itself allocate.
fn claim(size: usize) {
    let held = HELD.fetch_add(size, Relaxed) + size;
    let most = MOST.load(Relaxed);
    if most != usize::MAX && (size > AT_ONCE || held > most) {
        MOST.store(usize::MAX, Relaxed);
        let _ = writeln!(
            std::io::stderr(),
            "limit: an allocation of {size} bytes; {AT_ONCE} at once and {IN_ALL} in all are allowed"
        );
        std::process::abort();
    }
}

fn release(size: usize) {
    HELD.fetch_sub(size, Relaxed);
}

// SAFETY: every call goes to the system's allocator with the caller's own arguments.
unsafe impl GlobalAlloc for Limited {
    // SAFETY: the caller keeps to the trait.
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        claim(layout.size());
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    // SAFETY: the caller keeps to the trait.
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        claim(layout.size());
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    // SAFETY: the caller keeps to the trait.
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        claim(size);
        release(layout.size());
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(block, layout, size) }
    }

    // SAFETY: the caller keeps to the trait.
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        release(layout.size());
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(block, layout) }
    }
}
