//! What an image is for: a product, or a developer's bench.

/// What an image is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Variant {
    /// No way in but the agent's socket; keys of the maker.
    Production,
    /// A root shell on the serial console; throwaway keys when none are given.
    Development,
}

impl Variant {
    pub(crate) fn from_flag(dev: bool) -> Self {
        if dev { Self::Development } else { Self::Production }
    }

    /// `VARIANT_ID` in os-release.
    pub(crate) fn id(self) -> &'static str {
        match self {
            Self::Production => "production",
            Self::Development => "dev",
        }
    }
}
