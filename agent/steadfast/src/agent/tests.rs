use super::board::{Board, BoardError};
use std::path::Path;
use std::time::Duration;

const BOARD: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../hw-profiles/boards/qemu-arm64.toml");

#[test]
fn the_facts_of_the_board_are_the_agents() {
    let board = Board::load(Path::new(BOARD)).expect("the board of the lab");
    assert_eq!(board.compatible, "steadfast-qemu-arm64");
    let attempts = board.store.attempts();
    assert_eq!((attempts.trial, attempts.committed), (3, 8));
    let seconds = (Duration::from_secs(40), Duration::from_secs(300));
    assert_eq!((board.deadline, board.boot_deadline), seconds);
    assert_eq!(board.watchdog, Path::new("/dev/watchdog"));
    let room = format!("{:?}", board.room);
    assert!(room.contains(&(256_u64 << 20).to_string()), "{room}");
}

#[test]
fn a_board_with_another_boot_chooser_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("board.toml");
    let text = std::fs::read_to_string(BOARD).expect("readable");
    let text = text.replacen("chooser = \"steadfast\"", "chooser = \"uboot\"", 1);
    std::fs::write(&path, text).expect("writable");
    let loaded = Board::load(&path);
    assert!(matches!(loaded, Err(BoardError::Chooser)), "{loaded:?}");
}
