//! What the agent relies on in containerd, held against a real one: Debian's, with runc and its shim.

mod containerd_host;

use std::fs;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant, SystemTime};

use containerd_host::{Host, IMAGE, image, signal, until};
use steadfast_adapters::chain;
use steadfast_adapters::containerd::{End, Process};
use steadfast_adapters::workload_set::Archive;

/// Runs until it is ended.
const WAIT: &str = "echo up; exec /bin/busybox sleep 3600";

#[tokio::test]
async fn a_container_of_a_set_runs_and_its_end_is_found_with_its_words() {
    let host = Host::start().await;
    let image = host.image().await;
    let before = SystemTime::now();
    host.run(&image, "core", "echo one; echo two >&2; cat /etc/release; exit 3").await;
    let End { code, at, ran, out_of_memory } = host.end("core").await;
    assert_eq!((code, out_of_memory), (3, false));
    host.says("core", &["one", "two", "upper"]).await;
    assert!(at + Duration::from_millis(1) >= before && at <= SystemTime::now(), "{at:?}");
    assert!(ran < Duration::from_secs(30), "{ran:?}");
    let found = host.found("core").await.expect("it is there");
    assert_eq!(found.mark, host.job(&image, "core", "").mark, "what it was made for is told");
}

#[tokio::test]
async fn what_has_ended_keeps_no_shim_and_is_known_to_the_next_agent() {
    let host = Host::start().await;
    let image = host.image().await;
    host.run(&image, "core", "exit 7").await;
    let end = host.end("core").await;
    until("its shim is gone", async || host.shims().is_empty()).await;
    host.restart().await;
    assert_eq!(host.process("core").await, Some(Process::Ended(end)));
}

#[tokio::test]
async fn a_container_goes_on_while_containerd_crashes_and_its_end_is_not_missed() {
    let host = Host::start().await;
    let image = host.image().await;
    host.run(&image, "core", WAIT).await;
    host.run(&image, "other", WAIT).await;
    let (core, other) = (host.pid("core").await, host.pid("other").await);
    host.crash();
    assert!(host.containerd.find().await.is_err(), "it is told that nobody answers");
    signal(other, "-KILL");
    host.restart().await;
    assert_eq!(host.pid("core").await, core, "it was not touched");
    assert_eq!(host.end("other").await.code, 137);
    host.containerd.stop(&host.id("core"), Duration::ZERO).await.expect("it can be ended");
    assert_eq!(host.end("core").await.code, 137);
}

#[tokio::test]
async fn a_process_that_ignores_its_signal_is_ended_after_its_grace_period() {
    let host = Host::start().await;
    let image = host.image().await;
    host.run(&image, "deaf", "trap '' TERM; echo up; while :; do /bin/busybox sleep 1; done").await;
    host.run(
        &image,
        "hears",
        "trap 'exit 5' TERM; echo up; while :; do /bin/busybox sleep 0.1; done",
    )
    .await;
    for name in ["deaf", "hears"] {
        until("it has set its trap", async || host.said(name).contains("up")).await;
    }
    host.containerd.stop(&host.id("hears"), Duration::from_secs(60)).await.expect("it ends");
    assert_eq!(host.end("hears").await.code, 5, "it had its time");
    let begun = Instant::now();
    host.containerd.stop(&host.id("deaf"), Duration::from_secs(1)).await.expect("it ends");
    assert!(begun.elapsed() >= Duration::from_secs(1), "its time was cut short");
    assert_eq!(host.end("deaf").await.code, 137);
    host.containerd.stop(&host.id("deaf"), Duration::ZERO).await.expect("it has ended already");
    host.containerd.stop(&host.id("nobody"), Duration::ZERO).await.expect("it was never there");
}

#[tokio::test]
async fn of_what_cannot_be_started_nothing_is_left() {
    let host = Host::start().await;
    let image = host.image().await;
    let mut job = host.job(&image, "core", "");
    job.spec["process"]["args"] = serde_json::json!(["/no/such/program"]);
    let error = host.containerd.start(&job).await.expect_err("there is no such program");
    assert!(chain(&error).contains("/no/such/program"), "{}", chain(&error));
    assert_eq!(host.found("core").await, None);
    until("its shim is gone", async || host.shims().is_empty()).await;
    host.run(&image, "core", "exit 0").await;
    assert_eq!(host.end("core").await.code, 0, "the same container can be started");
}

#[tokio::test]
async fn a_container_that_is_started_again_takes_the_place_of_the_one_before() {
    let host = Host::start().await;
    let image = host.image().await;
    host.run(&image, "core", "echo first > /tmp-file; exit 1").await;
    host.end("core").await;
    host.run(&image, "core", WAIT).await;
    let first = host.pid("core").await;
    host.run(&image, "core", "cat /tmp-file; exec /bin/busybox sleep 3600").await;
    until("it has spoken", async || host.said("core").contains("No such file")).await;
    assert_ne!(host.pid("core").await, first);
    assert_eq!(host.containerd.find().await.expect("it answers").len(), 1);
}

#[tokio::test]
async fn a_removed_container_leaves_nothing_whatever_state_it_was_in() {
    let host = Host::start().await;
    let image = host.image().await;
    host.run(&image, "running", WAIT).await;
    host.run(&image, "ended", "exit 0").await;
    host.end("ended").await;
    for name in ["running", "ended", "never"] {
        host.containerd.remove(&host.id(name)).await.expect("it is removed");
    }
    assert_eq!(host.containerd.find().await.expect("it answers"), []);
    until("no shim is left", async || host.shims().is_empty()).await;
    let left = fs::read_dir(host.path("root/io.containerd.snapshotter.v1.overlayfs/snapshots"));
    // The two layers of the image.
    until("the collector was there", async || left.as_ref().is_ok()).await;
    let count = || {
        let all = fs::read_dir(host.path("root/io.containerd.snapshotter.v1.overlayfs/snapshots"));
        all.expect("a folder").count()
    };
    until("only the image's layers are left", async || count() == 2).await;
}

#[tokio::test]
async fn the_containers_of_a_pod_share_one_shim() {
    let host = Host::start().await;
    let image = host.image().await;
    host.run(&image, "one", WAIT).await;
    host.run(&image, "two", WAIT).await;
    assert_eq!(host.shims().len(), 1);
    host.containerd.remove(&host.id("one")).await.expect("it is removed");
    assert!(matches!(host.process("two").await, Some(Process::Running { .. })));
}

#[tokio::test]
async fn a_program_in_a_container_is_heard_and_ends_in_time() {
    let host = Host::start().await;
    let image = host.image().await;
    host.run(&image, "core", WAIT).await;
    let exec = async |script: &str, limit: u64| {
        let command = ["/bin/busybox", "sh", "-c", script].map(str::to_owned);
        host.containerd.exec(&host.id("core"), &command, Duration::from_secs(limit)).await
    };
    let done = exec("echo out; echo err >&2; exit 4", 60).await.expect("it runs");
    // The shim copies each stream by itself.
    let mut lines: Vec<_> = done.output.lines().collect();
    lines.sort_unstable();
    assert_eq!((done.code, lines), (4, vec!["err", "out"]));
    let done = exec("i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done", 60).await;
    let done = done.expect("it runs");
    assert_eq!((done.code, done.output.len()), (0, 4096));
    assert!(done.output.ends_with("line 19999\n"), "{}", done.output);
    let begun = Instant::now();
    let done = exec("echo begun; exec /bin/busybox sleep 3600", 1).await.expect("it was run");
    assert_eq!((done.code, done.output.as_str()), (137, "begun\n"));
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    let (id, none) = (host.id("core"), ["/none".to_owned()]);
    let error = host.containerd.exec(&id, &none, Duration::from_secs(60)).await;
    let error = error.expect_err("there is no such program");
    assert!(chain(&error).contains("/none"), "{}", chain(&error));
    let pipes = fs::read_dir(host.path("run/exec")).expect("a folder").count();
    assert_eq!(pipes, 0, "no pipe is left");
    assert!(matches!(host.process("core").await, Some(Process::Running { .. })), "it goes on");
}

#[tokio::test]
async fn an_end_is_told_at_once_and_programs_beside_it_are_not() {
    let host = Host::start().await;
    let image = host.image().await;
    host.containerd.changed().await;
    host.run(&image, "core", WAIT).await;
    // Its start.
    host.containerd.changed().await;
    let command = ["/bin/busybox", "true"].map(str::to_owned);
    let done = host.containerd.exec(&host.id("core"), &command, Duration::from_secs(60)).await;
    assert_eq!(done.expect("it runs").code, 0);
    signal(host.pid("core").await, "-KILL");
    let begun = Instant::now();
    tokio::time::timeout(containerd_host::PATIENCE, host.containerd.changed()).await.expect("told");
    assert!(matches!(host.process("core").await, Some(Process::Ended(_))), "nothing else was told");
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn an_image_is_here_only_as_a_whole_and_is_brought_in_once() {
    let host = Host::start().await;
    assert_eq!(host.containerd.image(IMAGE).await.expect("it answers"), None);
    let first = host.image().await;
    assert_eq!(first.config.env, Some(vec!["PATH=/bin".to_owned()]));
    assert_eq!(host.containerd.image(IMAGE).await.expect("it answers"), Some(first.clone()));
    let layers = host.containerd.layers(&first).await.expect("they are there");
    let release = layers.iter().find_map(|it| fs::read_to_string(it.join("etc/release")).ok());
    assert_eq!((layers.len(), release.as_deref()), (2, Some("upper\n")));
    // Without the archive there is nothing to bring in again.
    fs::remove_file(host.path("set.tar")).expect("it is ours");
    host.restart().await;
    assert_eq!(host.containerd.image(IMAGE).await.expect("it answers"), Some(first));
    host.containerd.keep_images(&Default::default()).await.expect("it is forgotten");
    assert_eq!(host.containerd.image(IMAGE).await.expect("it answers"), None);
}

#[tokio::test]
async fn what_was_cut_off_while_it_was_brought_in_is_gone_on_with() {
    let host = Host::start().await;
    let archive = Arc::new(Archive::open(&image::set(&host.path(""))).expect("a set"));
    let mut cuts = 0;
    for polls in [2, 5, 8, 12, 17, 25, 40] {
        let mut import = Box::pin(host.containerd.import(Arc::clone(&archive), IMAGE));
        let mut left = polls;
        let done = poll_fn(|context| {
            left -= 1;
            match left {
                0 => Poll::Ready(None),
                _ => import.as_mut().poll(context).map(Some),
            }
        });
        cuts += u32::from(done.await.is_none());
        drop(import);
        host.restart().await;
    }
    assert!(cuts >= 3, "it was cut off {cuts} times only");
    let image = host.image().await;
    host.run(&image, "core", "cat /etc/release").await;
    assert_eq!(host.end("core").await.code, 0);
    host.says("core", &["upper"]).await;
}

#[tokio::test]
async fn a_damaged_archive_is_refused_and_nothing_of_it_counts() {
    let host = Host::start().await;
    let path = image::set(&host.path(""));
    let mut bytes = fs::read(&path).expect("a set");
    let at = bytes.windows(6).position(|it| it == b"upper\n").expect("it is in the upper layer");
    bytes[at] = b'U';
    fs::write(&path, bytes).expect("it is ours");
    let archive = Arc::new(Archive::open(&path).expect("its table of contents is whole"));
    let error = host.containerd.import(archive, IMAGE).await.expect_err("it is damaged");
    assert!(chain(&error).contains("damaged or was altered"), "{}", chain(&error));
    assert_eq!(host.containerd.image(IMAGE).await.expect("it answers"), None);
    fs::remove_file(&path).expect("it is ours");
    host.image().await;
}

#[tokio::test]
async fn an_image_whose_layers_are_lost_is_not_here_and_is_brought_in_again() {
    let host = Host::start().await;
    let image = host.image().await;
    host.crash();
    let lost = "io.containerd.snapshotter.v1.overlayfs";
    fs::remove_dir_all(host.path("root").join(lost)).expect("it is ours");
    host.restart().await;
    let again = host.image().await;
    assert_eq!(again, image);
    host.run(&again, "core", "cat /etc/release").await;
    assert_eq!(host.end("core").await.code, 0);
    host.says("core", &["upper"]).await;
}
