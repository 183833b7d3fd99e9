//! One input that stands for several texts or files.

/// What stands between two parts. It is in no UTF-8 text.
const BETWEEN: u8 = 0xff;

/// The first `N` parts of an input; those that are not there are empty.
pub fn parts<const N: usize>(data: &[u8]) -> [&[u8]; N] {
    let mut parts = data.splitn(N, |byte| *byte == BETWEEN);
    std::array::from_fn(|_| parts.next().unwrap_or_default())
}

/// Whether `line`, counted from one, is a line of the text or the one after its end.
pub fn line_is_in(text: &[u8], line: usize) -> bool {
    let ends = text.iter().filter(|byte| **byte == b'\n').count();
    (1..=ends + 1).contains(&line)
}
