//! Copies of the boot environment as the boot script and the agent write them, and as a broken disk leaves them.
//!
//! Written anew here, from the format alone (U-Boot, `env import -c`): the lab must not share a mistake with the
//! agent.

use std::collections::BTreeMap;

/// Bytes of a copy, with its checksum.
pub(super) const SIZE: usize = 4096;

/// A whole copy with the usual variables and `REARMS=0`.
pub(super) fn copy(seq: &str, order: &str, a_left: &str, b_left: &str) -> Vec<u8> {
    with(&[
        ("SEQ", seq),
        ("BOOT_ORDER", order),
        ("BOOT_A_LEFT", a_left),
        ("BOOT_B_LEFT", b_left),
        ("REARMS", "0"),
    ])
}

/// A whole copy with these variables.
pub(super) fn with(variables: &[(&str, &str)]) -> Vec<u8> {
    let mut data = Vec::with_capacity(SIZE - 4);
    for (name, value) in variables {
        data.extend_from_slice(format!("{name}={value}\0").as_bytes());
    }
    data.resize(SIZE - 4, 0);
    let mut bytes = checksum(&data).to_le_bytes().to_vec();
    bytes.extend(data);
    bytes
}

/// The same copy with one bit turned.
pub(super) fn broken(mut copy: Vec<u8>) -> Vec<u8> {
    copy[20] ^= 0x10;
    copy
}

/// The same copy, of which only the first sector was written over erased flash.
pub(super) fn torn(mut copy: Vec<u8>) -> Vec<u8> {
    copy[512..].fill(0xff);
    copy
}

/// Nothing was ever written.
pub(super) fn blank() -> Vec<u8> {
    vec![0; SIZE]
}

/// `SEQ [BOOT_ORDER] BOOT_A_LEFT BOOT_B_LEFT REARMS`, or `damaged`.
pub(super) fn summary(bytes: &[u8]) -> String {
    let Some(variables) = variables(bytes) else { return "damaged".to_owned() };
    let value = |name| variables.get(name).map_or("none", String::as_str);
    format!(
        "{} [{}] {} {} {}",
        value("SEQ"),
        value("BOOT_ORDER"),
        value("BOOT_A_LEFT"),
        value("BOOT_B_LEFT"),
        value("REARMS")
    )
}

fn variables(bytes: &[u8]) -> Option<BTreeMap<String, String>> {
    let (sum, data) = bytes.split_first_chunk::<4>()?;
    if u32::from_le_bytes(*sum) != checksum(data) {
        return None;
    }
    let lines = data.split(|byte| *byte == 0).take_while(|line| !line.is_empty());
    lines
        .map(|line| {
            let (name, value) = std::str::from_utf8(line).ok()?.split_once('=')?;
            Some((name.to_owned(), value.to_owned()))
        })
        .collect()
}

/// CRC-32 as zlib computes it.
fn checksum(data: &[u8]) -> u32 {
    !data.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| {
            if sum & 1 == 1 { (sum >> 1) ^ 0xedb8_8320 } else { sum >> 1 }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_zlibs() {
        assert_eq!(checksum(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn a_copy_is_read_back_and_a_damaged_one_is_not() {
        let good = copy("1f", "B A", "3", "0");
        assert_eq!(good.len(), SIZE);
        assert_eq!(summary(&good), "1f [B A] 3 0 0");
        for bad in [broken(good.clone()), torn(good)] {
            assert_eq!(summary(&bad), "damaged");
        }
    }
}
