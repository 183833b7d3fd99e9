use super::*;

#[test]
fn a_pod_is_told_with_its_containers() {
    played(|| async {
        let text = one("a", "  initContainers:\n  - name: setup\n    image: i:2\n");
        let play = Play::begin(Played::default(), plan(&text));
        play.until(1).await;
        let Heard::Failed(why) = play.heard("a") else { panic!("setup runs") };
        assert_eq!(why, "setup is not done yet");
        play.node.end("a", "setup", 0);
        play.until(2).await;
        let shown = play.shown();
        let pod = &shown.pods[0];
        assert_eq!((pod.phase.as_str(), pod.ready, pod.required), ("running", true, true));
        assert_eq!(
            (pod.because.as_ref(), pod.manifest.as_ref().map(String::len)),
            (None, Some(64))
        );
        let told = pod.containers.iter().map(|it| {
            (
                it.name.as_str(),
                it.role.as_str(),
                it.image.as_str(),
                it.state.as_str(),
                it.pid,
                it.exit,
            )
        });
        let wanted = [
            ("setup", "init", "i:2", "ended", None, Some(0)),
            ("core", "main", "i:1", "running", Some(2), None),
        ];
        assert_eq!(told.collect::<Vec<_>>(), wanted);
    });
}

#[test]
fn a_container_that_waits_is_told_with_how_it_ended_and_when_it_is_started_again() {
    played(|| async {
        let play = Play::begin(Played::default(), plan(&one("a", "")));
        play.until(1).await;
        play.node.end("a", "core", 1);
        play.until(2).await;
        let words = "no camera at /dev/video0".to_owned();
        play.node.0.borrow_mut().words.insert("core".to_owned(), words);
        play.node.end("a", "core", 137);
        play.until(3).await;
        let shown = play.shown();
        let core = &shown.pods[0].containers[0];
        assert_eq!((core.state.as_str(), core.exit, core.restarts), ("ended", Some(137), 1));
        assert_eq!(core.reason.as_deref(), Some("out of memory"));
        assert_eq!(core.again_unix_s, Some(2_000_012));
        let Heard::Failed(why) = play.heard("a") else { panic!("it waits") };
        assert_eq!(
            why,
            "core exited with code 137: out of memory; it said: no camera at /dev/video0"
        );
    });
}

#[test]
fn pods_that_are_planned_are_told_of_before_anybody_looked() {
    played(|| async {
        let play = Play::begin(Played::default(), plan(&one("a", "")));
        assert!(matches!(play.heard("a"), Heard::Failed(_)));
        assert_eq!(play.shown().pods[0].containers[0].state, "waiting");
    });
}

#[test]
fn a_pod_whose_old_containers_still_run_is_not_ready() {
    played(|| async {
        let node = Played::default();
        let play = Play::begin(node.clone(), plan(&one("a", "")));
        play.until(1).await;
        node.0.borrow_mut().down = Some("down".to_owned());
        node.0.borrow().changed.notify_one();
        play.until(2).await;
        play.plan.send_replace(plan(&one("a", "    command: [b]\n")));
        play.until(3).await;
        assert!(!play.shown().pods[0].ready, "what runs is not what is wanted");
    });
}
