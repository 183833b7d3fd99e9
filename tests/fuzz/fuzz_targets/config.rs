//! `agent.toml`: settings that are taken make sense, and those that are not name a line.

#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;
use steadfast::agent::config::{Config, ConfigError};
use steadfast_core::gate::{Gate, Rule};
use steadfast_fuzz::{Scratch, limited, line_is_in};

fuzz_target!(|data: &[u8]| limited(data, judge));

static SCRATCH: LazyLock<Scratch> = LazyLock::new(|| Scratch::folder("config"));

fn judge(data: &[u8]) {
    match Config::load(&SCRATCH.write("agent.toml", data)) {
        Ok(config) => makes_sense(&config),
        Err(ConfigError::Syntax { line, .. } | ConfigError::Value { line, .. }) => {
            assert!(line_is_in(data, line), "line {line}");
        }
        Err(ConfigError::Read { .. }) => assert!(std::str::from_utf8(data).is_err()),
    }
}

/// What every reader of the settings relies on.
fn makes_sense(config: &Config) {
    let Config { gate, window, limits, streaming, paths, .. } = config;
    assert!(gate.deadline_s > gate.soak_s);
    assert!(limits.fetch_attempts > 0 && limits.commit_attempts > 0 && limits.stall_s > 0);
    assert!(streaming.tls_ca.as_ref().is_none_or(|path| path.is_file()));
    assert_eq!(config.window().is_some(), window.reboot.is_some());
    if let Some(window) = config.window() {
        assert!(window.from < 24 * 60 && window.until < 24 * 60);
    }
    for path in [&paths.data, &paths.run, &paths.checks] {
        assert!(path.is_absolute(), "{} is somewhere else for every caller", path.display());
    }
    let millis = |seconds: u32| u64::from(seconds) * 1000;
    let rule = Rule { soak: millis(gate.soak_s), deadline: millis(gate.deadline_s) };
    let gate = Gate::new(rule, 0, []).expect("no check is not too many");
    assert!(gate.verdict(rule.deadline).is_some(), "a verdict comes at the deadline");
}
