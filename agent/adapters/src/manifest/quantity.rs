//! Quantities as Kubernetes writes them: `500m`, `1.5`, `64Mi`, `1e3`.
//!
//! Always true: a quantity is computed in whole numbers, never in floating point; what is finer than the unit it is
//! asked for in is rounded up, as in Kubernetes.

use super::read::{At, Taken};

/// Thousandths of a core (`cpu`), at least 0, rounded up.
pub(super) fn cores(at: At<'_>) -> Taken<u64> {
    scaled(&at, 3)
}

/// Bytes (`memory`, `ephemeral-storage`, `sizeLimit`).
///
/// Less than a byte is refused: `128m` is meant as 128 megabytes by everybody who writes it.
pub(super) fn bytes(at: At<'_>) -> Taken<u64> {
    match at.written()?.ends_with(['m', 'u', 'n']) {
        true => Err(at.refuse("is in parts of a byte: M is megabytes and Mi is mebibytes")),
        false => scaled(&at, 0),
    }
}

/// The quantity times 10 to the power of `scale`.
fn scaled(at: &At<'_>, scale: i32) -> Taken<u64> {
    let written = at.written()?;
    let because = "has to be a quantity that is not negative, such as 500m, 1.5, 64Mi or 1e3";
    parse(written, scale).ok_or_else(|| at.refuse(because))
}

fn parse(written: &str, scale: i32) -> Option<u64> {
    let written = written.strip_prefix('+').unwrap_or(written);
    let end = written.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(written.len());
    let (number, suffix) = written.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.len() + fraction.len() == 0 || fraction.contains('.') || number.len() > 30 {
        return None;
    }
    let digits: u128 = format!("{whole}{fraction}").parse().ok()?;
    let (power, binary) = of_suffix(suffix)?;
    let power = power + scale - i32::try_from(fraction.len()).ok()?;
    let shifted = digits.checked_mul(1 << binary)?;
    let value = match u32::try_from(power) {
        Ok(up) => shifted.checked_mul(10u128.checked_pow(up)?)?,
        Err(_) if shifted == 0 => 0,
        Err(_) => match 10u128.checked_pow(power.unsigned_abs()) {
            Some(down) => shifted.div_ceil(down),
            None => 1,
        },
    };
    // Kubernetes keeps quantities in 64 bits with a sign.
    u64::try_from(value).ok().filter(|value| *value <= i64::MAX.unsigned_abs())
}

/// A suffix as a power of ten and a power of two.
fn of_suffix(suffix: &str) -> Option<(i32, u32)> {
    let decimal = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"];
    let binary = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    if let Some(at) = decimal.iter().position(|known| *known == suffix) {
        return Some((3 * i32::try_from(at).ok()? - 9, 0));
    }
    if let Some(at) = binary.iter().position(|known| *known == suffix) {
        return Some((0, 10 * (u32::try_from(at).ok()? + 1)));
    }
    let exponent = suffix.strip_prefix(['e', 'E'])?;
    let digits = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
    let short = (1..=2).contains(&digits.len()) && digits.bytes().all(|c| c.is_ascii_digit());
    short.then(|| exponent.parse().ok())?.map(|power: i32| (power, 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantity_is_what_kubernetes_takes_it_for() {
        let plain = |written| parse(written, 0);
        for (written, value) in [
            ("0", 0),
            ("+5", 5),
            ("1k", 1_000),
            ("1Ki", 1_024),
            ("64Mi", 67_108_864),
            ("1.5Gi", 1_610_612_736),
            (".5Ki", 512),
            ("1.Ki", 1_024),
            ("2G", 2_000_000_000),
            ("3T", 3_000_000_000_000),
            ("1Ti", 1_099_511_627_776),
            ("1P", 1_000_000_000_000_000),
            ("1Pi", 1_125_899_906_842_624),
            ("1E", 1_000_000_000_000_000_000),
            ("1Ei", 1_152_921_504_606_846_976),
            ("1e3", 1_000),
            ("12E2", 1_200),
            ("15e-1", 2),
            ("1.0000001", 2),
            ("100m", 1),
            ("9223372036854775807", 9_223_372_036_854_775_807),
        ] {
            assert_eq!(plain(written), Some(value), "{written}");
        }
    }

    #[test]
    fn cores_are_counted_in_thousandths_and_rounded_up() {
        for (written, value) in
            [("1", 1_000), ("250m", 250), ("0.1", 100), ("1500u", 2), ("1n", 1), ("0n", 0)]
        {
            assert_eq!(parse(written, 3), Some(value), "{written}");
        }
    }

    #[test]
    fn what_is_no_quantity_is_none() {
        for written in [
            "",
            ".",
            "-1",
            "1 Mi",
            "1mi",
            "1MB",
            "Mi",
            "1.2.3",
            "1e",
            "1e1000",
            "1e99",
            "0x10",
            "1Kii",
            "9223372036854775808",
            "16Ei",
            "٣",
            "1_000",
            "1e+",
            "++1",
            "NaN",
        ] {
            assert_eq!(parse(written, 0), None, "{written}");
        }
    }
}
