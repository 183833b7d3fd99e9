use super::*;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

/// Tells the process that this test starts what to fetch, and where to.
const CHILD: &str = "STEADFAST_TEST_DOWNLOAD";

/// The life of the agent that is killed: it says how far it is until it is.
async fn be_killed(folder: &Path, url: &str) {
    let node = Node::new();
    let downloads = Downloads::new(folder, BOOT).leaving(0);
    let mut port = node.port(BOOT).downloading(downloads, node.progress.clone());
    let mut told = node.told.clone();
    tokio::select! {
        event = port.perform(Fetch { offer: offer(url), attempt: 1 }) => panic!("{event:?}"),
        () = async {
            while told.changed().await.is_ok() {
                println!("{:?}", *told.borrow_and_update());
            }
        } => {}
    }
}

#[tokio::test]
async fn an_agent_that_is_killed_goes_on_with_what_it_had_written() {
    if let Ok(told) = std::env::var(CHILD) {
        let (folder, url) = told.split_once(' ').expect("as it is told below");
        return be_killed(Path::new(folder), url).await;
    }
    for (boot, least) in [(BOOT, (7 << 20) - (128 << 10)), (NEXT_BOOT, 4 << 20)] {
        let (node, body) = (Node::new(), bundle(9 << 20));
        let server = Server::of(body.clone()).await;
        server.offered().stalls = 7 << 20;
        let told = format!("{} {}", node.folder.path().display(), server.url());
        let agent = tokio::task::spawn_blocking(move || killed_at("7 of 9 MiB", &told));
        agent.await.expect("it was killed");
        server.offered().stalls = usize::MAX;
        let offer = offer(&server.url());
        assert_eq!(node.fetched_in(boot, &offer).await, Ok(()));
        assert!(node.bundle(&offer) == body);
        let first = server.sent().last().expect("it went on").start;
        assert!((least..=7 << 20).contains(&first), "it went on from {first}");
    }
}

/// Starts this test as an agent, and kills it once it says this.
fn killed_at(word: &str, told: &str) {
    let name = std::thread::current().name().map(str::to_owned);
    let name = name.filter(|name| name.contains("::")).unwrap_or_else(|| {
        "fetch::download::tests::kill::an_agent_that_is_killed_goes_on_with_what_it_had_written"
            .into()
    });
    let test = std::env::current_exe().expect("a test has a program");
    let mut agent = Command::new(test)
        .args(["--exact", &name, "--nocapture"])
        .env(CHILD, told)
        .stdout(Stdio::piped())
        .spawn()
        .expect("a test can be started again");
    let said = BufReader::new(agent.stdout.take().expect("it is piped"));
    let reached = said.lines().map_while(Result::ok).any(|line| line.contains(word));
    agent.kill().expect("it runs until it is killed");
    agent.wait().expect("it was ours");
    assert!(reached, "it ended before it said {word}");
}
