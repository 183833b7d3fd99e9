//! What pods can ask of their node.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use steadfast_adapters::manifest::Facts;

/// An address that is nobody's (RFC 5737): on the way to it the node's own address shows, and nothing is sent.
const ELSEWHERE: (Ipv4Addr, u16) = (Ipv4Addr::new(192, 0, 2, 1), 9);

/// The facts of now.
pub(super) fn of_this_node(name: &str) -> Facts {
    let ip = address().unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    Facts { node_name: name.to_owned(), host_ip: ip, pod_ip: ip }
}

/// The node's address on the way to others; a node without a network has none.
fn address() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect(ELSEWHERE).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

/// The node's memory in bytes (proc(5), `MemTotal`).
pub(super) fn memory() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    kib(&text).saturating_mul(1024)
}

fn kib(text: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_of_a_node_is_read_in_bytes() {
        assert_eq!(kib("MemFree: 1 kB\nMemTotal:        1004564 kB\n"), 1_004_564);
        assert_eq!(kib(""), 0);
        assert!(memory() > 1 << 20, "this machine has more than a mebibyte");
    }
}
