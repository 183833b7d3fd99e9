//! What was given back of a log file, and where its first whole line begins: in an attribute of the file itself.
//!
//! Why there: it goes with the file, and nothing has to be cleaned up after it. A file system without attributes only
//! loses what they are for: whoever follows a log may then begin it anew after a cut, and a part of a line may be first.

use std::fs::File;

const NAME: &str = "user.steadfast.given";

/// What is missing in front of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Given {
    /// How many bytes were given back since the file was made.
    pub(super) bytes: u64,
    /// Where the first whole line begins, in bytes from where the file begins now.
    pub(super) first: u64,
}

impl Given {
    /// As the file says it; nothing where it says nothing.
    pub(super) fn of(file: &File) -> Given {
        let mut value = [0; 64];
        let length = rustix::fs::fgetxattr(file, NAME, &mut value);
        let text = length.ok().and_then(|length| std::str::from_utf8(&value[..length]).ok());
        let numbers = text.and_then(|text| text.split_once(' '));
        let given = numbers.and_then(|(bytes, first)| {
            Some(Given { bytes: bytes.parse().ok()?, first: first.parse().ok()? })
        });
        given.unwrap_or_default()
    }

    /// Says it, where the file system can.
    pub(super) fn record(self, file: &File) {
        let value = format!("{} {}", self.bytes, self.first);
        let _ =
            rustix::fs::fsetxattr(file, NAME, value.as_bytes(), rustix::fs::XattrFlags::empty());
    }
}
