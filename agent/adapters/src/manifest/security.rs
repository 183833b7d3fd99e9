//! `securityContext` of pods and containers: as whom a container runs, and what it may do.

use super::given::Context;
use super::policy::{Privileged, Seccomp};
use super::read::{At, Fields, NotTaken, Taken};

/// As whom a container runs, and what it may do: the container's word before the pod's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Security {
    /// `runAsUser`; without it the image's.
    pub user: Option<u32>,
    /// `runAsGroup`; without it the image's.
    pub group: Option<u32>,
    /// `runAsNonRoot`: an image whose user is root is not started.
    pub non_root: bool,
    /// `capabilities.add`, without `CAP_`; `ALL` is one of them.
    pub add: Vec<&'static str>,
    /// `capabilities.drop`, the same.
    pub drop: Vec<&'static str>,
    /// `readOnlyRootFilesystem`.
    pub read_only_root: bool,
    /// `privileged`; only where the policy allows it.
    pub privileged: bool,
    /// `allowPrivilegeEscalation`: without it `no_new_privs` is set.
    pub escalation: bool,
    /// `seccompProfile`.
    pub seccomp: Seccomp,
}

/// What a pod says for all its containers.
#[derive(Default)]
pub(super) struct OfPod {
    who: Who,
    pub(super) fs_group: Option<u32>,
    pub(super) groups: Vec<u32>,
}

/// What pods and containers can say.
#[derive(Default)]
struct Who {
    user: Option<u32>,
    group: Option<u32>,
    non_root: Option<bool>,
    seccomp: Option<Seccomp>,
}

/// What Linux takes as a user or group (the kernel's `uid_t` less the value for nobody), as Kubernetes bounds it.
const IDS: std::ops::RangeInclusive<u32> = 0..=i32::MAX.unsigned_abs();

const ELSEWHERE: NotTaken = &[
    ("seLinuxOptions", "the node has no SELinux"),
    ("appArmorProfile", "the node has no AppArmor profiles"),
    ("windowsOptions", "the node runs Linux"),
    ("sysctls", "is not supported: they are the node's, in its image"),
    ("fsGroupChangePolicy", "is not supported: the group is set before each start"),
    ("supplementalGroupsPolicy", "is not supported: the groups of the image count, too"),
];

impl Who {
    fn read(fields: &mut Fields<'_>) -> Who {
        Who {
            user: fields.maybe("runAsUser", |at| at.unsigned(IDS)),
            group: fields.maybe("runAsGroup", |at| at.unsigned(IDS)),
            non_root: fields.maybe("runAsNonRoot", |at| at.flag()),
            seccomp: fields.maybe("seccompProfile", seccomp),
        }
    }
}

fn seccomp(at: At<'_>) -> Taken<Seccomp> {
    let types = [("RuntimeDefault", Seccomp::RuntimeDefault), ("Unconfined", Seccomp::Unconfined)];
    let mut fields = at.fields("a seccompProfile")?;
    let profile = fields.needed("type", |at| at.choice(&types));
    fields.close(&[("localhostProfile", "is not supported: a node has no profiles of its own")]);
    profile
}

/// A pod's `securityContext`.
pub(super) fn of_pod(at: At<'_>) -> Taken<OfPod> {
    let mut fields = at.fields("a pod's securityContext")?;
    let who = Who::read(&mut fields);
    let fs_group = fields.maybe("fsGroup", |at| at.unsigned(IDS));
    let groups = fields.list("supplementalGroups", |at| at.unsigned(IDS));
    fields.only("fsGroupChangePolicy", &["Always"], ELSEWHERE[4].1);
    fields.only("supplementalGroupsPolicy", &["Merge"], ELSEWHERE[5].1);
    fields.close(ELSEWHERE);
    Ok(OfPod { who, fs_group, groups })
}

/// The one in a container's fields, or what holds without one.
pub(super) fn security(fields: &mut Fields<'_>, pod: &OfPod, context: &Context<'_>) -> Security {
    let (at, own) = (fields.at().clone(), fields.find("securityContext"));
    let read = match own {
        Some(own) => of_container(&own, pod, context),
        None => unsaid(pod, context).has_no_root(&at),
    };
    at.door().taken(read).unwrap_or_else(|| unsaid(pod, context))
}

/// A container without a `securityContext`.
fn unsaid(pod: &OfPod, context: &Context<'_>) -> Security {
    Security {
        user: pod.who.user,
        group: pod.who.group,
        non_root: pod.who.non_root.unwrap_or(false),
        add: Vec::new(),
        drop: Vec::new(),
        read_only_root: false,
        privileged: false,
        escalation: true,
        seccomp: pod.who.seccomp.unwrap_or(context.policy.seccomp),
    }
}

/// A container's `securityContext`.
fn of_container(at: &At<'_>, pod: &OfPod, context: &Context<'_>) -> Taken<Security> {
    let mut fields = at.fields("a container's securityContext")?;
    let unsaid = unsaid(pod, context);
    let own = Who::read(&mut fields);
    let (add, drop) =
        fields.maybe("capabilities", |at| capabilities(&at, context)).unwrap_or_default();
    let mut flag = |name| fields.maybe(name, |at: At<'_>| at.flag());
    let read_only_root = flag("readOnlyRootFilesystem").unwrap_or(false);
    let escalation = flag("allowPrivilegeEscalation");
    let privileged =
        fields.maybe("privileged", |at| match (at.flag()?, context.policy.privileged) {
            (true, Privileged::Forbidden) => {
                Err(at.refuse("the node's policy allows no privileged containers"))
            }
            (privileged, _) => Ok(privileged),
        });
    fields.only("procMount", &["Default"], "is not supported: /proc is masked as usual");
    fields.close(ELSEWHERE);
    let security = Security {
        user: own.user.or(unsaid.user),
        group: own.group.or(unsaid.group),
        non_root: own.non_root.unwrap_or(unsaid.non_root),
        seccomp: own.seccomp.unwrap_or(unsaid.seccomp),
        privileged: privileged.unwrap_or(false),
        escalation: escalation.unwrap_or(true),
        add,
        drop,
        read_only_root,
    };
    security.agrees(at)
}

impl Security {
    /// Refuses what contradicts itself, as Kubernetes does.
    fn agrees(self, at: &At<'_>) -> Taken<Security> {
        if !self.escalation && self.privileged {
            return Err(at.refuse("privileged needs allowPrivilegeEscalation"));
        }
        if !self.escalation && self.add.iter().any(|it| matches!(*it, "SYS_ADMIN" | "ALL")) {
            return Err(at.refuse("the capability SYS_ADMIN needs allowPrivilegeEscalation"));
        }
        self.has_no_root(at)
    }

    /// Refuses a user that `runAsNonRoot` does not let start.
    fn has_no_root(self, at: &At<'_>) -> Taken<Security> {
        match self.non_root && self.user == Some(0) {
            true => Err(at.refuse("runAsNonRoot and runAsUser 0 contradict each other")),
            false => Ok(self),
        }
    }
}

type Capabilities = (Vec<&'static str>, Vec<&'static str>);

fn capabilities(at: &At<'_>, context: &Context<'_>) -> Taken<Capabilities> {
    let mut fields = at.fields("capabilities")?;
    let add = fields.list("add", |at| {
        let capability = capability(&at)?;
        match allowed(capability, context) {
            true => Ok(capability),
            false => Err(at.refuse(format!("the node's policy does not allow {capability}"))),
        }
    });
    let drop = fields.list("drop", |at| capability(&at));
    fields.close(&[]);
    Ok((add, drop))
}

fn allowed(capability: &str, context: &Context<'_>) -> bool {
    let named = context.policy.capabilities.iter().any(|allowed| allowed == capability);
    // Who may be privileged has all of them.
    named || GIVEN.contains(&capability) || context.policy.privileged == Privileged::Allowed
}

fn capability(at: &At<'_>) -> Taken<&'static str> {
    let text = at.text()?;
    let known = GIVEN.iter().chain(&OTHERS).find(|known| **known == text).copied();
    known.ok_or_else(|| {
        at.refuse("has to be a capability of capabilities(7), in capitals and without CAP_, or ALL")
    })
}

/// What containerd gives to every container (`oci.defaultUnixCaps`).
pub(crate) const GIVEN: [&str; 14] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "NET_RAW",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// The others of Linux 6.1, and all of them together.
pub(crate) const OTHERS: [&str; 28] = [
    "ALL",
    "AUDIT_CONTROL",
    "AUDIT_READ",
    "BLOCK_SUSPEND",
    "BPF",
    "CHECKPOINT_RESTORE",
    "DAC_READ_SEARCH",
    "IPC_LOCK",
    "IPC_OWNER",
    "LEASE",
    "LINUX_IMMUTABLE",
    "MAC_ADMIN",
    "MAC_OVERRIDE",
    "NET_ADMIN",
    "NET_BROADCAST",
    "PERFMON",
    "SYSLOG",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_MODULE",
    "SYS_NICE",
    "SYS_PACCT",
    "SYS_PTRACE",
    "SYS_RAWIO",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "WAKE_ALARM",
];
