use super::*;

fn start(name: &str, restarts: u8) -> Did {
    Did::Start(name.to_owned(), restarts)
}

fn orders(node: &Played) -> Vec<Did> {
    node.did().into_iter().filter(|did| !matches!(did, Did::Clean(_))).collect()
}

#[test]
fn what_is_planned_is_started_and_what_is_planned_no_more_is_taken_down() {
    played(|| async {
        let play = Play::begin(Played::default(), plan(&(one("a", "") + &one("b", ""))));
        play.until(1).await;
        assert_eq!(orders(&play.node), [start("a/core", 0), start("b/core", 0)]);
        play.plan.send_replace(plan(&one("b", "")));
        play.until(2).await;
        let down = [Did::Stop("a/core".to_owned(), 30), Did::Remove("a/core".to_owned())];
        assert_eq!(orders(&play.node)[2..], down);
        assert!(play.shown().pods.iter().all(|pod| pod.name == "b"), "{:?}", play.shown());
    });
}

#[test]
fn what_is_found_running_is_adopted_and_not_touched() {
    played(|| async {
        let node = Played::default();
        let first = Play::begin(node.clone(), plan(&one("a", "")));
        first.until(1).await;
        // Another agent comes up beside the same runtime.
        let second = Play::begin(node.clone(), plan(&one("a", "")));
        second.until(200).await;
        assert_eq!(orders(&node), [start("a/core", 0)]);
        assert_eq!((node.pid("a", "core"), second.heard("a")), (Some(1), Heard::Passed));
    });
}

#[test]
fn a_pod_with_another_manifest_is_ended_by_its_old_one_and_made_anew() {
    played(|| async {
        let old = one("a", "").replace("spec:", "spec:\n  terminationGracePeriodSeconds: 7");
        let play = Play::begin(Played::default(), plan(&old));
        play.until(1).await;
        play.plan.send_replace(plan(&one("a", "    command: [b]\n")));
        play.until(2).await;
        let stop = Did::Stop("a/core".to_owned(), 7);
        let anew = [stop, Did::Remove("a/core".to_owned()), start("a/core", 0)];
        assert_eq!(orders(&play.node)[1..], anew);
    });
}

#[test]
fn a_container_that_crashes_is_back_at_once_and_then_after_longer_pauses() {
    played(|| async {
        let play = Play::begin(Played::default(), plan(&one("a", "")));
        for second in [1, 2, 30, 80] {
            play.until(second).await;
            play.node.end("a", "core", 3);
        }
        play.until(200).await;
        let starts = play.node.did_at().into_iter().filter_map(|(second, did)| match did {
            Did::Start(_, restarts) => Some((second, restarts)),
            _ => None,
        });
        assert_eq!(starts.collect::<Vec<_>>(), [(0, 0), (1, 1), (12, 2), (50, 3), (120, 4)]);
    });
}

#[test]
fn what_cannot_be_started_is_tried_again_and_holds_up_nothing_else() {
    played(|| async {
        let node = Played::default();
        let broken = "the image i:1 is not on this node".to_owned();
        node.0.borrow_mut().broken.insert("core".to_owned(), broken);
        let two = one("a", "  - name: side\n    image: i:2\n");
        let play = Play::begin(node.clone(), plan(&(two + &one("b", ""))));
        play.until(29).await;
        let starts = |of: &str| {
            let did = node.did_at();
            let own = did.into_iter().filter(|(_, did)| *did == start(of, 0));
            own.map(|(second, _)| second).collect::<Vec<_>>()
        };
        assert_eq!((starts("a/core"), starts("a/side")), (vec![0, 10], vec![0]));
        let Heard::Failed(why) = play.heard("a") else { panic!("it is not ready") };
        assert_eq!(why, "core is not started yet: the image i:1 is not on this node");
        node.0.borrow_mut().broken.clear();
        play.until(31).await;
        assert_eq!((starts("a/core"), play.heard("a")), (vec![0, 10, 30], Heard::Passed));
    });
}

#[test]
fn a_runtime_that_is_down_is_told_and_loses_nothing() {
    played(|| async {
        let play = Play::begin(Played::default(), plan(&one("a", "")));
        play.until(1).await;
        play.node.0.borrow_mut().down = Some("containerd does not answer".to_owned());
        play.node.0.borrow().changed.notify_one();
        play.until(20).await;
        let shown = play.shown();
        assert_eq!(shown.runtime.state, "down");
        assert_eq!(shown.runtime.because.as_deref(), Some("containerd does not answer"));
        assert!(matches!(play.heard("a"), Heard::Failed(_)));
        play.node.0.borrow_mut().down = None;
        play.until(30).await;
        assert_eq!((play.heard("a"), play.shown().runtime.state.as_str()), (Heard::Passed, "up"));
        assert_eq!(orders(&play.node), [start("a/core", 0)]);
    });
}

#[test]
fn when_the_machine_goes_down_what_runs_is_stopped_and_nothing_is_started_or_removed() {
    played(|| async {
        let play = Play::begin(Played::default(), plan(&one("a", "")));
        play.until(1).await;
        let mut down = plan(&one("a", ""));
        down.mode = Mode::GoDown;
        play.plan.send_replace(down);
        play.until(100).await;
        let stop = Did::Stop("a/core".to_owned(), 20);
        assert_eq!(orders(&play.node), [start("a/core", 0), stop], "in less than its own 30 s");
    });
}

#[test]
fn what_no_pod_needs_is_cleaned_once_after_each_change() {
    played(|| async {
        let play = Play::begin(Played::default(), plan(&one("a", "")));
        play.until(100).await;
        play.plan.send_replace(Plan { set: SlotSet::Read, ..Plan::default() });
        play.until(200).await;
        let cleans = play.node.did().into_iter().filter_map(|did| match did {
            Did::Clean(keep) => Some(keep),
            _ => None,
        });
        assert_eq!(cleans.collect::<Vec<_>>(), [vec!["a".to_owned()], vec![]]);
    });
}

#[test]
fn while_it_is_not_known_what_should_run_nothing_is_started_ended_or_cleaned() {
    played(|| async {
        let node = Played::default();
        let before = Play::begin(node.clone(), plan(&one("a", "")));
        before.until(1).await;
        let unread = Played::default();
        unread.0.borrow_mut().containers = node.0.borrow().containers.clone();
        let play = Play::begin(unread.clone(), Plan::default());
        play.until(100).await;
        assert_eq!((unread.did(), play.workloads.borrow().clone()), (vec![], None));
        play.plan.send_replace(plan(&one("a", "")));
        play.until(101).await;
        assert_eq!((orders(&unread), play.heard("a")), (vec![], Heard::Passed), "it is adopted");
    });
}

#[test]
fn a_set_that_cannot_be_read_fails_the_gate() {
    played(|| async {
        let lost = SlotSet::Lost("the archive is gone".to_owned());
        let play = Play::begin(Played::default(), Plan { set: lost, ..Plan::default() });
        play.until(1).await;
        let told = play.workloads.borrow().clone().expect("it is known that it is lost");
        assert_eq!((told.len(), told[0].weight), (1, Weight::Required));
        assert!(matches!(&told[0].heard, Heard::Failed(why) if why == "the archive is gone"));
    });
}

#[test]
fn a_clock_that_is_set_back_puts_no_restart_off() {
    played(|| async {
        let play = Play::begin(Played::default(), plan(&one("a", "")));
        play.until(1).await;
        play.node.end("a", "core", 3);
        play.until(2).await;
        play.node.end("a", "core", 3);
        play.until(3).await;
        SET_BACK.set(Duration::from_secs(86_400));
        play.until(13).await;
        assert_eq!(orders(&play.node).last(), Some(&start("a/core", 2)));
    });
}

#[test]
fn a_container_that_waits_while_the_runtime_is_down_keeps_nobody_awake() {
    played(|| async {
        let play = Play::begin(Played::default(), plan(&one("a", "")));
        for second in [1, 2] {
            play.until(second).await;
            play.node.end("a", "core", 3);
        }
        play.until(3).await;
        play.node.0.borrow_mut().down = Some("gone".to_owned());
        play.node.0.borrow().changed.notify_one();
        play.until(60).await;
        assert!(play.node.0.borrow().read < 100, "{}", play.node.0.borrow().read);
        play.node.0.borrow_mut().down = None;
        play.until(65).await;
        assert_eq!(orders(&play.node).last(), Some(&start("a/core", 2)));
    });
}

#[test]
fn nothing_is_made_of_a_pod_while_what_it_left_is_removed() {
    played(|| async {
        let both = plan(&(one("a", "") + &one("b", "")));
        let play = Play::begin(Played::default(), both.clone());
        play.until(1).await;
        play.node.0.borrow_mut().cleans_for = Some(Duration::from_secs(5));
        play.plan.send_replace(plan(&one("b", "")));
        play.until(2).await;
        play.plan.send_replace(both);
        play.until(3).await;
        play.node.end("b", "core", 1);
        play.until(4).await;
        assert_eq!(orders(&play.node).last(), Some(&start("b/core", 1)), "b is not touched");
        play.until(8).await;
        let cleaned = Did::Clean(vec!["b".to_owned()]);
        let did = play.node.did();
        let at = |it: &Did| did.iter().rposition(|did| did == it).expect("it was done");
        assert!(at(&start("a/core", 0)) > at(&cleaned), "{did:?}");
    });
}

#[test]
fn a_machine_that_goes_down_does_not_wait_for_what_is_being_started() {
    played(|| async {
        let two = one("a", "").replace("---", "  - name: slow\n    image: i:2\n---");
        let node = Played::default();
        let hour = Duration::from_secs(3600);
        node.0.borrow_mut().starts_for.insert("slow".to_owned(), hour);
        let play = Play::begin(node, plan(&two));
        play.until(1).await;
        play.plan.send_modify(|plan| plan.mode = Mode::GoDown);
        play.until(2).await;
        let stop = Did::Stop("a/core".to_owned(), 20);
        assert_eq!(orders(&play.node).last(), Some(&stop));
        play.until(4000).await;
        assert_eq!(orders(&play.node).last(), Some(&stop), "nothing is started after it");
        assert_eq!(play.node.pid("a", "slow"), None);
    });
}

#[test]
fn what_has_ended_and_cannot_be_started_again_is_held_back_too() {
    played(|| async {
        let play = Play::begin(Played::default(), plan(&one("a", "")));
        play.until(1).await;
        let why = "the image i:1 is not on this node".to_owned();
        play.node.0.borrow_mut().broken.insert("core".to_owned(), why);
        play.node.end("a", "core", 3);
        play.until(100).await;
        let starts = orders(&play.node).len();
        assert!((2..=6).contains(&starts), "{starts} starts in 100 seconds");
    });
}
