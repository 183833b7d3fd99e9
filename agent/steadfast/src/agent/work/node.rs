//! The node's own runtime: containerd, the pods' files, their probes and logs.
//!
//! ```text
//! start: image (here, or from an archive) ─▶ files, volumes ─▶ specification ─▶ containerd ─▶ postStart
//! stop:  preStop ─▶ signal, and SIGKILL after the grace period
//! ```
//!
//! Always true: what may wait for a disk does so beside the loop; a probe that the runtime could not ask says nothing.

mod facts;
mod hooks;

use super::runtime::{Keep, NotDone, Question, Runtime, Start, Stop};
use crate::agent::config::Config;
use facts::{memory, of_this_node};
use hooks::InContainer;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::error::Error;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use steadfast_adapters::chain;
use steadfast_adapters::containerd::{
    Containerd, FoundContainer, Job, Mark, Places, PresentImage, container_id,
};
use steadfast_adapters::manifest::{Ask, Pod, Policy};
use steadfast_adapters::pod_files::{PodFiles, PodPaths};
use steadfast_adapters::pod_log;
use steadfast_adapters::pod_probe::{self, Heard};
use steadfast_adapters::pod_spec::{Accounts, Given, spec};
use steadfast_adapters::workload_set::Archive;
use steadfast_core::probe::Answer;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep, timeout};

/// How long a hook may take where nothing else bounds it.
const HOOK: Duration = Duration::from_secs(300);
/// What is left to a process after its `preStop` used up the grace period, as kubelet has it.
const LEAST: Duration = Duration::from_secs(2);
/// How long a log may get, in bytes, and how often that is looked at.
const LOG: u64 = 10 << 20;
const BOUND: Duration = Duration::from_secs(10);

/// The node's own runtime.
#[derive(Clone, Debug)]
pub struct Node {
    containerd: Containerd,
    files: Rc<PodFiles>,
    policy: Rc<Policy>,
    /// The node's name.
    name: Rc<str>,
    boot: [u8; 16],
    /// The users of images, by the images.
    accounts: Rc<RefCell<BTreeMap<[u8; 32], Accounts>>>,
}

impl Node {
    /// The one of these settings.
    pub fn new(config: &Config, policy: Policy, boot: [u8; 16]) -> Node {
        let host = || rustix::system::uname().nodename().to_string_lossy().into_owned();
        let (data, run) = (config.paths.data.clone(), config.paths.run.clone());
        let files = PodFiles { data, run: run.clone(), ..PodFiles::default() };
        let containerd = Containerd::new(Places {
            socket: config.paths.containerd.clone(),
            root: config.paths.containerd_root.clone(),
            run,
            cgroups: files.cgroups.clone(),
        });
        Node {
            containerd,
            files: Rc::new(files),
            policy: Rc::new(policy),
            name: config.node.name.clone().unwrap_or_else(host).into(),
            boot,
            accounts: Rc::default(),
        }
    }

    /// Keeps the logs within their bounds, for ever.
    pub async fn bound_logs(self) {
        loop {
            sleep(BOUND).await;
            let logs = self.files.data.join("logs");
            let bounded = spawn_blocking(move || bound_all(&logs)).await;
            if let Ok(Err(error)) = bounded {
                tracing::warn!(error = chain(&error), "a log could not be kept within its bounds");
            }
        }
    }

    /// The image of a container, brought in if an archive on the node has it.
    async fn image(&self, start: &Start) -> Result<PresentImage, NotDone> {
        let reference = start.container().image.as_str();
        let present = self.containerd.image(reference).await.map_err(|error| told(&error))?;
        if let Some(present) = present {
            return Ok(present);
        }
        let Some(path) = start.archive.clone() else {
            let because = "is not on this node, and no set that it has brings it";
            return Err(NotDone(format!("the image {reference} {because}")));
        };
        let opened = aside(move || Archive::open(&path)).await?.map_err(|error| told(&error))?;
        let imported = self.containerd.import(Arc::new(opened), reference).await;
        imported.map_err(|error| told(&error))
    }

    async fn accounts(&self, image: &PresentImage) -> Result<Accounts, NotDone> {
        let known = self.accounts.borrow().get(&image.digest.0).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let layers = self.containerd.layers(image).await.map_err(|error| told(&error))?;
        let accounts = aside(move || accounts_of(&layers)).await?;
        let accounts = accounts.map_err(|error| told(&error))?;
        self.accounts.borrow_mut().insert(image.digest.0, accounts.clone());
        Ok(accounts)
    }

    async fn prepare(&self, pod: &Rc<Pod>, container: &str) -> Result<PodPaths, NotDone> {
        let (files, policy) = (PodFiles::clone(&self.files), Policy::clone(&self.policy));
        let (pod, container) = (Pod::clone(pod), container.to_owned());
        let prepared = aside(move || {
            let paths = files.prepare(&pod, &policy)?;
            files.empty_message(&pod, &container).map(|()| paths)
        });
        prepared.await?.map_err(|error| told(&error))
    }

    fn in_container(&self, id: &str) -> InContainer {
        InContainer::new(self.containerd.clone(), id.to_owned())
    }
}

impl Runtime for Node {
    async fn find(&self) -> Result<Vec<FoundContainer>, NotDone> {
        self.containerd.find().await.map_err(|error| told(&error))
    }

    async fn start(&self, start: &Start) -> Result<(), NotDone> {
        let (pod, container) = (&start.pod, start.container());
        let image = self.image(start).await?;
        let accounts = self.accounts(&image).await?;
        let paths = self.prepare(pod, &container.name).await?;
        let facts = of_this_node(&self.name);
        let given = Given { facts: &facts, paths: &paths, accounts: &accounts, memory: memory() };
        let spec = spec(pod, container, &image.config, &given).map_err(|error| told(&error))?;
        let mark = Mark {
            pod: pod.name.clone(),
            container: container.name.clone(),
            position: start.position,
            role: container.role,
            manifest: pod.digest,
            restarts: start.restarts,
            boot: self.boot,
        };
        let log = self.files.log(&pod.name, &container.name);
        let started = self.containerd.start(&Job { mark, image, spec, log }).await;
        started.map_err(|error| told(&error))?;
        let Some(hook) = &container.lifecycle.post_start else { return Ok(()) };
        let id = container_id(&pod.name, &container.name);
        let inside = self.in_container(&id);
        let done = pod_probe::hook(hook, &inside.asked(container), HOOK).await;
        let Err(error) = done else { return Ok(()) };
        // As in Kubernetes: without its postStart a container does not run.
        self.containerd.stop(&id, pod.grace).await.map_err(|error| told(&error))?;
        Err(NotDone(format!("postStart: {error}")))
    }

    async fn stop(&self, stop: &Stop) -> Result<(), NotDone> {
        let begun = Instant::now();
        let container = stop.of.as_ref().map(|(pod, position)| &pod.containers[*position]);
        if let Some((container, hook)) =
            container.and_then(|it| Some((it, it.lifecycle.pre_stop.as_ref()?)))
        {
            let inside = self.in_container(&stop.id);
            let asked = inside.asked(container);
            let done = timeout(stop.grace, pod_probe::hook(hook, &asked, stop.grace)).await;
            if let Ok(Err(error)) = done {
                tracing::warn!(%error, container = container.name, "a preStop was not done");
            }
        }
        let left = stop.grace.saturating_sub(begun.elapsed()).max(LEAST.min(stop.grace));
        self.containerd.stop(&stop.id, left).await.map_err(|error| told(&error))
    }

    async fn remove(&self, id: &str) -> Result<(), NotDone> {
        self.containerd.remove(id).await.map_err(|error| told(&error))
    }

    async fn ask(&self, question: &Question) -> Result<(Answer, String), NotDone> {
        let container = &question.pod.containers[question.position];
        let Some(probe) = container.probes.of(question.kind) else {
            return Err(NotDone("there is no such probe".to_owned()));
        };
        let inside = self.in_container(&question.container);
        let heard = pod_probe::ask(&probe.ask, &inside.asked(container), probe.timeout).await;
        if let (Ask::Exec(_), Some(why)) = (&probe.ask, inside.not_run()) {
            return Err(why);
        }
        Ok(match heard {
            Heard::Passed => (Answer::Passed, String::new()),
            Heard::Failed(shown) => (Answer::Failed, shown.to_string()),
        })
    }

    async fn changed(&self) {
        self.containerd.changed().await;
    }

    async fn clean(&self, keep: Keep) {
        let files = PodFiles::clone(&self.files);
        let pods = keep.pods;
        let cleaned = aside(move || {
            let names: Vec<_> = pods.iter().map(|(name, _)| name.clone()).collect();
            files.clean(&pods).and(files.forget_logs(&names))
        });
        let cleaned = cleaned.await.and_then(|done| done.map_err(|error| told(&error)));
        if let Err(why) = cleaned {
            tracing::warn!(%why, "what pods left could not be removed");
        }
        if let Err(error) = self.containerd.keep_images(&keep.images).await {
            tracing::warn!(error = chain(&error), "images that nobody needs could not be removed");
        }
    }

    fn last_words(&self, pod: &str, container: &str) -> String {
        let name = pod.try_into().unwrap_or_default();
        pod_log::last_words(&self.files.log(&name, container)).to_string()
    }
}

fn told(error: &dyn Error) -> NotDone {
    NotDone(chain(error))
}

/// Away from the loop.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, NotDone> {
    spawn_blocking(work).await.map_err(|_| NotDone("the agent is ending".to_owned()))
}

/// The users of an image: each list from the uppermost layer that has it.
fn accounts_of(layers: &[PathBuf]) -> std::io::Result<Accounts> {
    let mut all = Accounts::default();
    for layer in layers {
        let Accounts { passwd, group } = Accounts::below(layer)?;
        if all.passwd.is_empty() {
            all.passwd = passwd;
        }
        if all.group.is_empty() {
            all.group = group;
        }
    }
    Ok(all)
}

fn bound_all(logs: &std::path::Path) -> Result<(), pod_log::LogError> {
    let folders = std::fs::read_dir(logs).into_iter().flatten().flatten();
    let files = folders.flat_map(|pod| std::fs::read_dir(pod.path()).into_iter().flatten());
    let mut done = Ok(());
    for file in files.flatten() {
        done = done.and(pod_log::bound(&file.path(), LOG).map(drop));
    }
    done
}
