//! `checks.d/*.toml`: checks that are taken have names of their own, and a mistake names its line and stays one line.

#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;
use steadfast_adapters::checks::{Checks, ChecksError};
use steadfast_fuzz::{Scratch, limited, line_is_in, parts};

fuzz_target!(|data: &[u8]| limited(data, judge));

static FIRST: LazyLock<Scratch> = LazyLock::new(|| Scratch::folder("checks"));
static AGAIN: LazyLock<Scratch> = LazyLock::new(|| Scratch::folder("again"));

fn judge(data: &[u8]) {
    let [base, product] = parts(data);
    FIRST.write("10-base.toml", base);
    FIRST.write("20-product.toml", product);
    match Checks::load(FIRST.path()) {
        Ok(checks) => own_names(base, &checks),
        Err(ChecksError::Invalid { path, line, key, because }) => {
            let text = if path.ends_with("10-base.toml") { base } else { product };
            assert!(line_is_in(text, line), "line {line}");
            assert!(!key.contains('\n') && !because.contains('\n'), "{key:?}: {because:?}");
        }
        Err(ChecksError::Unreadable { .. }) => {
            assert!(std::str::from_utf8(base).is_err() || std::str::from_utf8(product).is_err());
        }
    }
}

/// The same file a second time brings no check that is new, so it brings none at all or is refused.
fn own_names(base: &[u8], checks: &Checks) {
    AGAIN.write("10-base.toml", base);
    let alone = Checks::load(AGAIN.path()).expect("it was taken beside another file");
    AGAIN.write("20-again.toml", base);
    let twice = Checks::load(AGAIN.path());
    AGAIN.empty();
    match twice {
        Ok(twice) => assert!(twice == Checks::default() && alone == twice),
        Err(error) => {
            assert!(alone != Checks::default() && *checks != Checks::default(), "{error}")
        }
    }
}
