//! The kinds of content, and what the boot script has to make of each.

use super::copies::{blank, broken, copy, torn, with};

/// One content of the boot environment.
pub(super) struct Case {
    /// What is special about it.
    pub(super) name: &'static str,
    /// The bytes of the two copies.
    pub(super) copies: [Vec<u8>; 2],
    /// Slots whose boot partition is empty.
    pub(super) emptied: &'static [&'static str],
    path: &'static str,
    after: [&'static str; 2],
}

impl Case {
    /// The way that the boot script has to go, and both copies afterwards.
    pub(super) fn wanted(&self) -> String {
        format!("{}; {}", self.path, self.after.join(" | "))
    }
}

fn case(
    name: &'static str,
    copies: [Vec<u8>; 2],
    path: &'static str,
    after: [&'static str; 2],
) -> Case {
    Case { name, copies, emptied: &[], path, after }
}

/// Every case.
pub(super) fn cases() -> Vec<Case> {
    [which_copy(), which_slot(), no_slot()].into_iter().flatten().collect()
}

/// Which of the two copies counts; the other one is written.
fn which_copy() -> Vec<Case> {
    let usual = || copy("3", "A B", "3", "3");
    let other = |seq| copy(seq, "B A", "3", "3");
    let (defaults, from_usual) = (["1 [A B] 2 3 0", "kept"], ["4 [A B] 2 3 0", "kept"]);
    vec![
        case(
            "second copy newer",
            [copy("4", "A B", "2", "3"), copy("5", "A B", "1", "3")],
            "A",
            ["6 [A B] 0 3 0", "kept"],
        ),
        case(
            "first copy newer",
            [copy("10", "A B", "2", "3"), copy("f", "A B", "1", "3")],
            "A",
            ["kept", "11 [A B] 1 3 0"],
        ),
        case(
            "equal sequence",
            [copy("4", "A B", "2", "3"), copy("4", "A B", "1", "3")],
            "A",
            ["kept", "5 [A B] 1 3 0"],
        ),
        case(
            "first copy broken",
            [broken(copy("9", "A B", "3", "3")), other("5")],
            "B",
            ["6 [B A] 3 2 0", "kept"],
        ),
        case(
            "second copy broken",
            [other("9"), broken(copy("a", "A B", "3", "3"))],
            "B",
            ["kept", "a [B A] 3 2 0"],
        ),
        case("both copies broken", [broken(other("9")), broken(other("5"))], "A", defaults),
        case("never written", [blank(), blank()], "A", defaults),
        case(
            "second copy torn",
            [copy("4", "A B", "2", "3"), torn(copy("5", "A B", "1", "3"))],
            "A",
            ["kept", "5 [A B] 1 3 0"],
        ),
        case("no SEQ", [with(&[("BOOT_ORDER", "B A")]), blank()], "A", defaults),
        case("SEQ no number", [other("zz"), usual()], "A", from_usual),
        case("SEQ at its end", [other("ffffffff"), usual()], "A", from_usual),
        case("SEQ at its limit", [other("f0000000"), usual()], "A", from_usual),
    ]
}

/// Which slot is tried first.
fn which_slot() -> Vec<Case> {
    let missing = |emptied, case| Case { emptied, ..case };
    vec![
        case(
            "first slot used up",
            [copy("4", "A B", "0", "2"), blank()],
            "B",
            ["kept", "5 [A B] 0 1 0"],
        ),
        case(
            "unknown name",
            [copy("4", "X B A", "3", "3"), blank()],
            "B",
            ["kept", "5 [X B A] 3 2 0"],
        ),
        case(
            "a command in the order",
            [copy("4", "A;reset B", "1", "1"), blank()],
            "B",
            ["kept", "5 [A;reset B] 1 0 0"],
        ),
        case(
            "too many attempts",
            [copy("4", "A B", "10", "1"), blank()],
            "A",
            ["kept", "5 [A B] 7 1 0"],
        ),
        missing(
            &["B"],
            case(
                "first slot missing",
                [copy("4", "B A", "3", "3"), blank()],
                "B, no B, A",
                ["6 [B A] 2 2 0", "5 [B A] 3 2 0"],
            ),
        ),
        missing(
            &["A"],
            case(
                "slot A missing",
                [copy("4", "A B", "3", "3"), blank()],
                "A, no A, B",
                ["6 [A B] 2 2 0", "5 [A B] 2 3 0"],
            ),
        ),
    ]
}

/// No slot may boot: rounds of fresh attempts, then the rest.
fn no_slot() -> Vec<Case> {
    let fresh = ["6 [A B] 0 1 1", "5 [A B] 1 1 1"];
    let limit = [
        ("SEQ", "4"),
        ("BOOT_ORDER", "A B"),
        ("BOOT_A_LEFT", "0"),
        ("BOOT_B_LEFT", "0"),
        ("REARMS", "3"),
    ];
    let both_missing = case(
        "both slots missing",
        [copy("4", "A B", "2", "1"), blank()],
        "A, no A, B, no B, rearm 1, A, no A, B, no B, rearm 2, A, no A, B, no B, \
         rearm 3, A, no A, B, no B, rest, power-off",
        ["10 [A B] 0 0 0", "f [A B] 0 0 3"],
    );
    vec![
        case(
            "none left",
            [copy("4", "B A", "0", "0"), copy("3", "A B", "3", "3")],
            "rearm 1, B",
            ["6 [B A] 1 0 1", "5 [B A] 1 1 1"],
        ),
        case("only unknown names", [copy("4", "X Y", "3", "3"), blank()], "rearm 1, A", fresh),
        case("counts no numbers", [copy("4", "A B", "zz", "-1"), blank()], "rearm 1, A", fresh),
        case("empty order", [copy("4", "", "1", "1"), blank()], "rearm 1, A", fresh),
        case(
            "rounds used up",
            [with(&limit), blank()],
            "rest, power-off",
            ["kept", "5 [A B] 0 0 0"],
        ),
        Case { emptied: &["A", "B"], ..both_missing },
    ]
}
