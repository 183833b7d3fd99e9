use super::*;
use std::path::Path;
use steadfast_adapters::set_store::Terms;
use steadfast_core::gate::Weight;
use tokio::sync::mpsc::unbounded_channel;
use tokio::task::spawn_local;

/// A planner below this folder, and how it is asked.
struct Play {
    plan: watch::Receiver<Plan>,
    wishes: tokio::sync::mpsc::UnboundedSender<Wished>,
}

impl Play {
    /// A planner that has read what there is.
    async fn begin(data: &Path, by_hand: ByHand) -> Play {
        let terms = Terms {
            keyring: data.join("keyring.pem"),
            architecture: "arm64".to_owned(),
            policy: Policy::default(),
        };
        let sets = SetStore::new(data, terms);
        let (slot, policy) = (Slot::A, Policy::default());
        let data = data.to_owned();
        let (planner, plan) = Planner::new(Sources { sets, slot, data, by_hand, policy });
        let (wishes, heard) = unbounded_channel();
        spawn_local(planner.serve(heard));
        let mut known = plan.clone();
        known.wait_for(|plan| plan.set != SlotSet::Unread).await.expect("it reads");
        Play { plan, wishes }
    }

    /// Why it was refused, or nothing.
    async fn wish(&self, wish: Wish) -> String {
        let (answer, answered) = oneshot::channel();
        self.wishes.send(Wished { wish, answer }).expect("it listens");
        match answered.await.expect("it answers") {
            Response::Accepted => String::new(),
            Response::Refused { because } => because,
            other => panic!("{other:?}"),
        }
    }

    async fn apply(&self, file: &Path) -> String {
        self.wish(Wish::Apply(file.to_owned())).await
    }

    fn pods(&self) -> Vec<String> {
        self.plan.borrow().pods.iter().map(|planned| planned.pod.name.to_string()).collect()
    }
}

/// A folder with manifests of these pods, one a file; what follows a name stands in its container.
struct Folder(tempfile::TempDir);

impl Folder {
    fn with(pods: &[(&str, &str)]) -> Folder {
        let folder = Folder(tempfile::tempdir().expect("a folder"));
        for (name, fields) in pods {
            folder.write(&format!("{name}.yaml"), &manifest(name, fields));
        }
        folder
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.file(name), text).expect("writable");
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn data(&self) -> PathBuf {
        self.file("data")
    }
}

fn manifest(name: &str, fields: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  containers:\n  - name: core\n    image: i:1\n{fields}"
    )
}

fn played<F: Future<Output = ()>>(play: impl FnOnce() -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    tokio::task::LocalSet::new().block_on(&runtime, async { play().await });
}

#[test]
fn what_is_applied_is_planned_now_and_by_the_next_agent() {
    played(|| async {
        let folder = Folder::with(&[("a", ""), ("b", "")]);
        let play = Play::begin(&folder.data(), ByHand::Allowed).await;
        assert_eq!(play.apply(&folder.file("b.yaml")).await, "");
        assert_eq!(play.apply(&folder.file("a.yaml")).await, "");
        assert_eq!(play.pods(), ["a", "b"]);
        let next = Play::begin(&folder.data(), ByHand::Allowed).await;
        assert_eq!(next.pods(), ["a", "b"]);
        let weights = next.plan.borrow().pods.iter().all(|it| it.weight == Weight::Wanted);
        assert!(weights, "the node's health does not hang on what is tried by hand");
    });
}

#[test]
fn a_file_that_is_applied_again_takes_the_place_of_the_one_before() {
    played(|| async {
        let folder = Folder::with(&[("a", "")]);
        let play = Play::begin(&folder.data(), ByHand::Allowed).await;
        play.apply(&folder.file("a.yaml")).await;
        let first = play.plan.borrow().pods[0].pod.digest;
        folder.write("a.yaml", &manifest("a", "    command: [b]\n"));
        assert_eq!(play.apply(&folder.file("a.yaml")).await, "");
        assert_eq!(play.pods(), ["a"]);
        assert_ne!(play.plan.borrow().pods[0].pod.digest, first);
    });
}

#[test]
fn what_is_removed_is_planned_no_more_neither_now_nor_by_the_next_agent() {
    played(|| async {
        let folder = Folder::with(&[("a", ""), ("b", "")]);
        let play = Play::begin(&folder.data(), ByHand::Allowed).await;
        play.apply(&folder.file("a.yaml")).await;
        play.apply(&folder.file("b.yaml")).await;
        assert_eq!(play.wish(Wish::Remove("a.yaml".to_owned())).await, "");
        assert_eq!(play.pods(), ["b"]);
        assert_eq!(Play::begin(&folder.data(), ByHand::Allowed).await.pods(), ["b"]);
        let absent = play.wish(Wish::Remove("a.yaml".to_owned())).await;
        assert_eq!(absent, "no a.yaml was applied; what was: b.yaml");
    });
}

#[test]
fn what_is_refused_changes_nothing() {
    played(|| async {
        let folder = Folder::with(&[("a", "    ports: [{containerPort: 80}]\n")]);
        folder.write("wrong.yaml", &manifest("w", "    tty: true\n"));
        folder.write("same.yaml", &manifest("a", ""));
        folder.write("port.yaml", &manifest("p", "    ports: [{containerPort: 80}]\n"));
        folder.write("set.tar", "no archive");
        folder.write("notes.txt", "");
        folder.write("own.yaml", &manifest("o", "  hostNetwork: false\n"));
        let play = Play::begin(&folder.data(), ByHand::Allowed).await;
        assert_eq!(play.apply(&folder.file("a.yaml")).await, "");
        for (file, because) in [
            ("wrong.yaml", "line 8, spec.containers[0].tty"),
            ("same.yaml", "a is the name of another pod"),
            ("port.yaml", "TCP port 80 is taken by pod a"),
            ("set.tar", "set.tar is not taken"),
            ("notes.txt", "neither a manifest"),
            ("own.yaml", "pod o, spec.hostNetwork: a pod cannot have a network of its own yet"),
            ("nothing.yaml", "nothing.yaml cannot be read"),
        ] {
            let told = play.apply(&folder.file(file)).await;
            assert!(told.contains(because), "{file}: {told}");
        }
        let there = std::fs::read_dir(folder.data().join("applied")).expect("a folder").count();
        assert_eq!((play.pods(), there), (vec!["a".to_owned()], 1));
    });
}

#[test]
fn a_node_that_runs_what_it_was_released_with_takes_nothing_by_hand() {
    played(|| async {
        let folder = Folder::with(&[("a", "")]);
        let before = Play::begin(&folder.data(), ByHand::Allowed).await;
        before.apply(&folder.file("a.yaml")).await;
        let play = Play::begin(&folder.data(), ByHand::Refused).await;
        assert!(play.pods().is_empty());
        let told = play.apply(&folder.file("a.yaml")).await;
        assert!(told.contains("work.apply is false"), "{told}");
        let told = play.wish(Wish::Remove("a.yaml".to_owned())).await;
        assert!(told.contains("work.apply is false"), "{told}");
    });
}

#[test]
fn what_a_cut_left_half_made_is_passed_over() {
    played(|| async {
        let folder = Folder::with(&[("a", "")]);
        let play = Play::begin(&folder.data(), ByHand::Allowed).await;
        play.apply(&folder.file("a.yaml")).await;
        std::fs::write(folder.data().join("applied/b.yaml.new"), "half").expect("writable");
        assert_eq!(Play::begin(&folder.data(), ByHand::Allowed).await.pods(), ["a"]);
        assert_eq!(play.apply(&folder.file("a.yaml")).await, "");
    });
}

#[test]
fn a_machine_that_goes_down_keeps_its_pods_in_the_plan() {
    played(|| async {
        let folder = Folder::with(&[("a", "")]);
        let play = Play::begin(&folder.data(), ByHand::Allowed).await;
        play.apply(&folder.file("a.yaml")).await;
        assert_eq!(play.wish(Wish::GoDown).await, "");
        assert_eq!((play.pods().len(), play.plan.borrow().mode), (1, Mode::GoDown));
    });
}

#[test]
fn what_was_applied_is_read_by_root_alone() {
    use std::os::unix::fs::PermissionsExt;
    played(|| async {
        let folder = Folder::with(&[("a", "")]);
        let play = Play::begin(&folder.data(), ByHand::Allowed).await;
        play.apply(&folder.file("a.yaml")).await;
        let mode = |path: &str| {
            let about = std::fs::metadata(folder.data().join(path)).expect("it is there");
            about.permissions().mode() & 0o777
        };
        assert_eq!((mode("applied"), mode("applied/a.yaml")), (0o700, 0o600));
    });
}

#[test]
fn what_is_no_ordinary_file_is_no_manifest() {
    played(|| async {
        let folder = Folder::with(&[]);
        std::fs::create_dir(folder.file("folder.yaml")).expect("writable");
        let play = Play::begin(&folder.data(), ByHand::Allowed).await;
        let because = play.apply(&folder.file("folder.yaml")).await;
        assert!(because.ends_with("it is no ordinary file"), "{because}");
    });
}

mod sources {
    use super::super::join::Clash;
    use super::*;
    use steadfast_adapters::manifest::{Protocol, Set, Source};

    fn given(name: &str, text: &str) -> Given {
        let set = Set::read(&[Source { name, text: text.as_bytes() }], &Policy::default());
        let pods = set.expect("right").pods;
        let weight = Weight::Required;
        Given { name: name.to_owned(), pods, weight, archive: None, images: Vec::new() }
    }

    #[test]
    fn two_sources_have_no_pod_and_no_port_of_the_node_in_common() {
        let ports = "    ports: [{containerPort: 80}]\n";
        let one = given("one", &manifest("a", ports));
        let same = given("two", &manifest("a", ""));
        let port = given("two", &manifest("b", ports));
        let (source, other) = ("one".to_owned(), "two".to_owned());
        let clash = |other| joined(&[one.clone(), other]).expect_err("they are");
        let pod = Clash::Pod { pod: "a".to_owned(), one: source.clone(), other: other.clone() };
        assert_eq!(clash(same), pod);
        let protocol = Protocol::Tcp;
        assert_eq!(clash(port), Clash::Port { protocol, port: 80, one: source, other });
    }

    #[test]
    fn all_sources_together_have_no_more_pods_than_a_node() {
        let many = |name: &str, count: usize| {
            let pods = (0..count).map(|at| manifest(&format!("{name}{at}"), ""));
            given(name, &pods.collect::<Vec<_>>().join("---\n"))
        };
        assert!(joined(&[many("a", 32), many("b", 32)]).is_ok());
        let clash = joined(&[many("a", 32), many("b", 33)]);
        assert_eq!(clash.expect_err("one too many"), Clash::Many(65));
    }

    #[test]
    fn an_image_is_looked_for_in_every_archive_of_the_node() {
        let mut set = given("set", &manifest("a", ""));
        set.archive = Some("/set.tar".into());
        set.images = vec!["i:1".to_owned()];
        let plan = joined(&[set, given("file", &manifest("b", ""))]).expect("apart");
        for planned in plan.pods {
            assert_eq!(planned.images.get("i:1"), Some(&PathBuf::from("/set.tar")));
        }
    }
}
