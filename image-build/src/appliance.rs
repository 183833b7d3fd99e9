//! `appliance.toml`: what every image is made of, besides the facts of its board.

use std::fs;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::places;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Appliance {
    pub(crate) packages: Packages,
    pub(crate) leave_out: LeaveOut,
    pub(crate) units: Units,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Packages {
    pub(crate) root: Vec<String>,
    pub(crate) boot: Vec<String>,
    pub(crate) busybox_links: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LeaveOut {
    pub(crate) paths: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Units {
    pub(crate) enable: Vec<String>,
    pub(crate) mask: Vec<String>,
    pub(crate) generators: Vec<String>,
    pub(crate) tmpfiles: Vec<String>,
    pub(crate) udev_rules: Vec<String>,
}

impl Appliance {
    pub(crate) fn load() -> Result<Self> {
        let path = places::own().join("appliance.toml");
        let text = fs::read_to_string(&path)
            .with_context(|| format!("{} was not read", path.display()))?;
        toml::from_str(&text).with_context(|| format!("{} was not accepted", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_in_the_tree_is_accepted_and_keeps_rauc_in_our_hands() {
        let appliance = Appliance::load().expect("the list is right");
        assert!(appliance.packages.root.iter().any(|name| name == "rauc"));
        assert!(appliance.units.mask.iter().any(|unit| unit == "rauc-mark-good.service"));
        assert!(appliance.units.mask.iter().any(|unit| unit == "getty.target"));
    }
}
