//! What holds without a containerd; what needs one is in `tests/containerd_contract.rs`.

use super::*;
use tokio::net::UnixListener;
use tokio::time::timeout;

#[tokio::test(start_paused = true)]
async fn a_containerd_that_lets_in_and_says_nothing_is_not_waited_for_for_ever() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name| folder.path().join(name);
    let socket = path("socket");
    let listener = UnixListener::bind(&socket).expect("an own folder is writable");
    let containerd = Containerd::new(Places {
        socket,
        root: path("root"),
        run: path("run"),
        cgroups: path("cg"),
    });
    for _ in 0..2 {
        let found = timeout(Duration::from_secs(100), containerd.find()).await;
        let found = found.expect("it comes back");
        assert!(matches!(found, Err(ContainerdError::Silent { .. })), "{found:?}");
    }
    drop(listener);
}
