//! What the node says about its pods: the JSON of `steadfast work`.
//!
//! Only what the scenarios judge is read; what the tool adds later does not disturb them.

use std::collections::BTreeMap;

use ring::digest::{SHA256, digest};
use serde::Deserialize;

/// `steadfast work --json`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Work {
    /// Every pod that is wanted or still there.
    pub(crate) pods: Vec<Pod>,
    /// What runs them.
    pub(crate) runtime: Runtime,
}

/// One pod.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Pod {
    /// Its name.
    pub(crate) name: String,
    /// `pending`, `running`, `succeeded` or `failed`.
    pub(crate) phase: String,
    /// Whether it does its work.
    pub(crate) ready: bool,
    /// Whether the node's health hangs on it.
    pub(crate) required: bool,
    /// In the order of their start.
    pub(crate) containers: Vec<Container>,
}

/// One container.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Container {
    /// Its name.
    pub(crate) name: String,
    /// `init`, `sidecar` or `main`.
    pub(crate) role: String,
    /// `waiting`, `running` or `ended`.
    pub(crate) state: String,
    /// How often in a row it was started again.
    pub(crate) restarts: u32,
    /// Of its process, as the node sees it.
    pub(crate) pid: Option<u32>,
    /// Exit code of its last process.
    pub(crate) exit: Option<u32>,
    /// Why it waits or ended.
    pub(crate) reason: Option<String>,
}

/// What runs the pods.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Runtime {
    /// `up` or `down`.
    pub(crate) state: String,
    /// Why it is down.
    pub(crate) because: Option<String>,
}

impl Work {
    /// A container of a pod.
    pub(crate) fn container(&self, pod: &str, container: &str) -> Option<&Container> {
        let pod = self.pods.iter().find(|it| it.name == pod)?;
        pod.containers.iter().find(|it| it.name == container)
    }

    /// The names of the pods that are ready, in order.
    pub(crate) fn ready(&self) -> Vec<&str> {
        let mut names: Vec<_> =
            self.pods.iter().filter(|it| it.ready).map(|it| it.name.as_str()).collect();
        names.sort_unstable();
        names
    }

    /// The processes of `pods`, each with how often its container was started again.
    pub(crate) fn processes(&self, pods: &[&str]) -> BTreeMap<String, (u32, u32)> {
        let pods = self.pods.iter().filter(|it| pods.contains(&it.name.as_str()));
        let all = pods.flat_map(|pod| pod.containers.iter().map(|it| (&pod.name, it)));
        let running = all
            .filter_map(|(pod, it)| Some((format!("{pod}/{}", it.name), (it.pid?, it.restarts))));
        running.collect()
    }
}

/// What a container of a pod is called by containerd.
pub(crate) fn container_id(pod: &str, container: &str) -> String {
    let text = format!("{pod}\0{container}");
    let digest = digest(&SHA256, text.as_bytes());
    digest.as_ref()[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn work() -> Work {
        let text = r#"{"pods":[{"name":"web","phase":"running","ready":true,"required":true,"manifest":"00",
            "containers":[{"name":"server","role":"main","state":"running","ready":true,"restarts":2,"pid":40,
            "exit":null,"reason":null,"image":"lab/web:1"},{"name":"other","role":"main","state":"waiting",
            "ready":false,"restarts":1,"pid":null,"exit":3,"reason":"exit 3, again in 10 s","image":"x"}]},
            {"name":"late","phase":"pending","ready":false,"required":false,"manifest":"00","containers":[]}],
            "runtime":{"state":"up","because":null},"new":1}"#;
        serde_json::from_str(text).expect("the contract's example")
    }

    #[test]
    fn pods_are_read_and_unknown_keys_do_not_disturb() {
        let work = work();
        assert_eq!(work.ready(), ["web"]);
        let other = work.container("web", "other").expect("it is there");
        assert_eq!((other.exit, other.state.as_str()), (Some(3), "waiting"));
        assert_eq!(work.container("late", "other"), None);
    }

    #[test]
    fn processes_are_those_that_run_in_the_pods_that_are_meant() {
        let wanted = BTreeMap::from([("web/server".to_owned(), (40, 2))]);
        assert_eq!(work().processes(&["web", "late"]), wanted);
        assert!(work().processes(&["late"]).is_empty());
    }

    #[test]
    fn a_container_has_the_id_that_the_agent_gives_it() {
        // printf 'web\0server' | sha256sum
        assert_eq!(container_id("web", "server"), "577bd9fae2abdbced752715a25db359e");
    }
}
