use super::*;
use crate::fetch::writer::{Disk, REST, STRIDE, Writer};
use tokio::time::advance;

/// A writer of a long bundle, and the offer that it is of.
fn writer(node: &Node) -> (Writer, Offer) {
    let offer = offer("http://nobody/x.raucb");
    let mut partial = node.downloads(BOOT).open(&offer).expect("writable");
    partial.comes_from(&offer.source, None, 100 << 20).expect("writable");
    (Writer::new(partial, Disk::default()), offer)
}

/// How much a power cut would leave.
fn synced(writer: &Writer) -> u64 {
    writer.partial().record().expect("it has begun").synced
}

#[tokio::test]
async fn what_a_power_cut_may_cost_is_synced_as_it_comes() {
    let node = Node::new();
    let (mut writer, _) = writer(&node);
    let chunk = vec![7; 16 << 10];
    let mut most = 0;
    while writer.length() < 3 * STRIDE {
        writer.append(&chunk).await.expect("writable");
        most = most.max(writer.length() - synced(&writer));
    }
    // What came since, and a block in memory.
    assert!((STRIDE / 2..=STRIDE + (64 << 10)).contains(&most), "{most}");
}

#[tokio::test(start_paused = true)]
async fn a_few_bytes_of_a_slow_link_are_synced_in_good_time() {
    let node = Node::new();
    let (mut writer, _) = writer(&node);
    writer.append(b"hsqs").await.expect("writable");
    assert_eq!(synced(&writer), 0);
    advance(REST).await;
    writer.append(b"more").await.expect("writable");
    assert_eq!(synced(&writer), 8);
}

/// A line of what the kernel says of the memory of this process, in bytes.
fn memory(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("the kernel says it");
    let line = status.lines().find_map(|line| line.strip_prefix(field)).expect("it is there");
    let kib: u64 = line.trim_matches(|c: char| !c.is_ascii_digit()).parse().expect("a number");
    kib << 10
}

#[tokio::test]
async fn a_long_bundle_takes_no_more_memory_than_a_short_one() {
    // What the program itself takes of memory, to have run once, is no part of it.
    let (short, node) = (Node::new(), Node::new());
    let server = Server::of(bundle(1 << 20)).await;
    assert_eq!(short.fetched(&offer(&server.url())).await, Ok(()));
    let server = Server::of(bundle(48 << 20)).await;
    // The server is in this process, and holds what it sends at once.
    server.offered().cut = 256 << 10;
    let offer = offer(&server.url());
    // "5" begins the peak anew (Linux, Documentation/filesystems/proc.rst, clear_refs).
    std::fs::write("/proc/self/clear_refs", "5").expect("it is ours");
    let before = memory("VmRSS:");
    assert_eq!(node.fetched(&offer).await, Ok(()));
    let grown = memory("VmHWM:").saturating_sub(before);
    println!("the memory grew by {} KiB", grown >> 10);
    assert!(grown < 4 << 20, "it grew by {grown} bytes");
}
