//! `RuntimeDefault`: the system calls that containerd's own profile leaves to a container.
//!
//! Always true: what is not named in `calls.txt`, and not asked with an argument here, fails with EPERM; so a new
//! system call is closed until somebody opens it. Equal in effect to containerd 1.7.34 on Linux 4.8 or newer.

use super::Arch;
use serde_json::{Value, json};

/// The calls by sections; the file says what they are.
const CALLS: &str = include_str!("seccomp/calls.txt");

/// linux/sched.h: the flags that make a namespace (`CLONE_NEWNS`, `…CGROUP`, `…UTS`, `…IPC`, `…USER`, `…PID`, `…NET`).
const CLONE_NEW: u32 = 0x7e02_0000;

/// linux/personality.h: `PER_LINUX` and `PER_LINUX32`, each with and without `UNAME26`, and the question what it is.
const PERSONALITIES: [u32; 5] = [0, 0x8, 0x2_0000, 0x2_0008, 0xffff_ffff];

/// linux/socket.h: `AF_ALG`, the kernel's cryptography; and the next but one, `AF_VSOCK`, which leads to a hypervisor.
const AF_ALG: u32 = 38;
const AF_VSOCK: u32 = 40;

/// errno.h.
const ENOSYS: u32 = 38;

/// The profile for a container that is bound by these capabilities (`CAP_…`).
pub(super) fn profile(arch: Arch, capabilities: &[String]) -> Value {
    let (architectures, own) = match arch {
        Arch::X86 => (vec!["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"], "x86_64"),
        Arch::Arm => (vec!["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"], "aarch64"),
    };
    let mut rules = vec![allow(&calls("every container"), &[]), allow(&calls(own), &[])];
    for capability in capabilities {
        let calls = calls(capability.trim_start_matches("CAP_"));
        rules.extend((!calls.is_empty()).then(|| allow(&calls, &[])));
    }
    for personality in PERSONALITIES {
        rules.push(allow(&["personality"], &[argument("SCMP_CMP_EQ", personality)]));
    }
    // Three rules of one condition each: conditions on one argument in one rule come to "or" in runc.
    for (comparison, family) in
        [("SCMP_CMP_LT", AF_ALG), ("SCMP_CMP_EQ", AF_ALG + 1), ("SCMP_CMP_GT", AF_VSOCK)]
    {
        rules.push(allow(&["socket"], &[argument(comparison, family)]));
    }
    if !capabilities.iter().any(|it| it == "CAP_SYS_ADMIN") {
        // No process without namespaces of its own has these bits.
        rules.push(allow(&["clone"], &[argument("SCMP_CMP_MASKED_EQ", CLONE_NEW)]));
        // Its flags lie in memory, where no filter sees them; with this answer programs ask clone instead.
        rules.push(json!({
            "names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": ENOSYS,
        }));
    }
    json!({
        "defaultAction": "SCMP_ACT_ERRNO", "architectures": architectures, "syscalls": rules,
    })
}

fn allow(names: &[&str], arguments: &[Value]) -> Value {
    match arguments.is_empty() {
        true => json!({ "names": names, "action": "SCMP_ACT_ALLOW" }),
        false => json!({ "names": names, "action": "SCMP_ACT_ALLOW", "args": arguments }),
    }
}

/// What the first argument of a call has to be. With a mask it is that none of its bits is set.
fn argument(comparison: &str, value: u32) -> Value {
    json!({ "index": 0, "value": value, "valueTwo": 0, "op": comparison })
}

/// The calls of a section, or nothing when there is none.
fn calls(section: &str) -> Vec<&'static str> {
    let lines = CALLS.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let head = format!("[{section}]");
    let after = lines.skip_while(|line| *line != head).skip(1);
    after.take_while(|line| !line.starts_with('[')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{GIVEN, OTHERS};
    use std::collections::BTreeSet;

    fn held(more: &[&str]) -> Vec<String> {
        GIVEN.iter().chain(more).map(|name| format!("CAP_{name}")).collect()
    }

    /// Whether a call is allowed whatever its arguments are.
    fn allows(profile: &Value, call: &str) -> bool {
        let rules = profile["syscalls"].as_array().expect("rules");
        rules.iter().any(|rule| {
            let names = rule["names"].as_array().expect("names");
            let whole = rule["action"] == "SCMP_ACT_ALLOW" && rule.get("args").is_none();
            whole && names.iter().any(|name| name == call)
        })
    }

    /// Whether a call is allowed with this first argument, by the rules of libseccomp.
    fn allows_with(profile: &Value, call: &str, argument: u64) -> bool {
        let rules = profile["syscalls"].as_array().expect("rules");
        let of_call = rules.iter().filter(|rule| rule["names"] == json!([call]));
        let mut arguments = of_call.filter_map(|rule| rule["args"].get(0));
        arguments.any(|it| {
            let value = it["value"].as_u64().expect("a number");
            match it["op"].as_str().expect("a comparison") {
                "SCMP_CMP_EQ" => argument == value,
                "SCMP_CMP_LT" => argument < value,
                "SCMP_CMP_GT" => argument > value,
                "SCMP_CMP_MASKED_EQ" => argument & value == it["valueTwo"].as_u64().expect("one"),
                other => panic!("{other}"),
            }
        })
    }

    #[test]
    fn what_programs_live_on_is_allowed() {
        for arch in [Arch::X86, Arch::Arm] {
            let profile = profile(arch, &held(&[]));
            for call in [
                "read",
                "write",
                "openat",
                "execve",
                "mmap",
                "futex",
                "epoll_pwait",
                "accept4",
                "connect",
                "statx",
                "clock_gettime",
                "prctl",
                "seccomp",
                "ptrace",
                "rseq",
                "chroot",
                "landlock_create_ruleset",
                "name_to_handle_at",
                "io_uring_setup",
                "adjtimex",
            ] {
                assert!(allows(&profile, call), "{call}");
            }
        }
    }

    #[test]
    fn what_reaches_past_a_container_is_not() {
        for arch in [Arch::X86, Arch::Arm] {
            let profile = profile(arch, &held(&[]));
            assert_eq!(profile["defaultAction"], "SCMP_ACT_ERRNO");
            for call in [
                "mount",
                "umount2",
                "move_mount",
                "open_tree",
                "fsopen",
                "pivot_root",
                "unshare",
                "setns",
                "clone",
                "clone3",
                "socket",
                "personality",
                "bpf",
                "perf_event_open",
                "init_module",
                "finit_module",
                "delete_module",
                "kexec_load",
                "kexec_file_load",
                "reboot",
                "swapon",
                "swapoff",
                "settimeofday",
                "clock_settime",
                "add_key",
                "request_key",
                "keyctl",
                "open_by_handle_at",
                "userfaultfd",
                "vhangup",
                "acct",
                "quotactl",
                "iopl",
                "ioperm",
                "sethostname",
                "setdomainname",
                "syslog",
                "lookup_dcookie",
                "kcmp",
                "pidfd_getfd",
                "process_madvise",
                "mbind",
                "move_pages",
                "migrate_pages",
                "set_mempolicy",
                "nfsservctl",
                "uselib",
                "ustat",
                "sysfs",
                "_sysctl",
                "create_module",
                "get_kernel_syms",
                "query_module",
                "vm86",
                "vm86old",
                "fanotify_init",
            ] {
                assert!(!allows(&profile, call), "{call}");
            }
        }
    }

    #[test]
    fn a_capability_opens_its_calls_and_no_others() {
        let plain = profile(Arch::X86, &held(&[]));
        let cases: [(&str, &[&str]); 14] = [
            ("BPF", &["bpf"]),
            ("DAC_READ_SEARCH", &["open_by_handle_at"]),
            ("PERFMON", &["perf_event_open"]),
            ("SYSLOG", &["syslog"]),
            ("SYS_ADMIN", &["mount", "umount", "umount2", "setns", "unshare", "clone", "clone3"]),
            ("SYS_BOOT", &["reboot"]),
            ("SYS_MODULE", &["init_module", "finit_module", "delete_module"]),
            ("SYS_NICE", &["mbind", "set_mempolicy", "get_mempolicy", "set_mempolicy_home_node"]),
            ("SYS_PACCT", &["acct"]),
            ("SYS_PTRACE", &["kcmp", "pidfd_getfd", "process_madvise"]),
            ("SYS_RAWIO", &["iopl", "ioperm"]),
            ("SYS_TIME", &["settimeofday", "stime", "clock_settime", "clock_settime64"]),
            ("SYS_TTY_CONFIG", &["vhangup"]),
            ("NET_ADMIN", &[]),
        ];
        for (capability, calls) in cases {
            let opened = profile(Arch::X86, &held(&[capability]));
            for call in cases.iter().flat_map(|(_, calls)| *calls) {
                let own = calls.contains(call)
                    || (capability == "SYS_ADMIN"
                        && ["bpf", "perf_event_open", "syslog"].contains(call));
                assert_eq!(allows(&opened, call), own, "{call} with {capability}");
                assert!(!allows(&plain, call), "{call} without {capability}");
            }
        }
        assert!(!allows(&profile(Arch::X86, &[]), "chroot"), "SYS_CHROOT was dropped");
    }

    #[test]
    fn no_namespace_is_made_without_sys_admin() {
        let plain = profile(Arch::Arm, &held(&[]));
        // linux/sched.h: what a thread and a fork ask for.
        for flags in [0x003d_0f00, 0x0120_0011, 17] {
            assert!(allows_with(&plain, "clone", flags), "{flags:#x}");
        }
        for namespace in
            [0x2_0000, 0x200_0000, 0x400_0000, 0x800_0000, 0x1000_0000, 0x2000_0000, 0x4000_0000]
        {
            assert!(!allows_with(&plain, "clone", namespace | 17), "{namespace:#x}");
        }
        let of = |profile: &Value, call: &str| {
            let rules = profile["syscalls"].as_array().expect("rules").clone();
            rules.into_iter().filter(|rule| rule["names"] == json!([call])).collect::<Vec<_>>()
        };
        let told = json!([{ "names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38 }]);
        assert_eq!(json!(of(&plain, "clone3")), told, "programs then ask clone instead");
        let admin = profile(Arch::Arm, &held(&["SYS_ADMIN"]));
        assert_eq!(of(&admin, "clone3"), Vec::<Value>::new());
    }

    #[test]
    fn sockets_into_the_kernels_cryptography_and_the_hypervisor_are_closed() {
        let plain = profile(Arch::X86, &held(&[]));
        // AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET, AF_CAN, AF_NFC, AF_XDP
        for family in [1, 2, 10, 16, 17, 29, 39, 44] {
            assert!(allows_with(&plain, "socket", family), "{family}");
        }
        assert!(!allows_with(&plain, "socket", 38) && !allows_with(&plain, "socket", 40));
    }

    #[test]
    fn a_program_may_be_of_the_32_bit_kind_and_nothing_else() {
        let plain = profile(Arch::X86, &held(&[]));
        assert!([0, 8, 0x2_0000, 0x2_0008, 0xffff_ffff].iter().all(|it| allows_with(
            &plain,
            "personality",
            *it
        )));
        // ADDR_NO_RANDOMIZE and READ_IMPLIES_EXEC
        assert!(!allows_with(&plain, "personality", 0x4_0000));
        assert!(!allows_with(&plain, "personality", 0x40_0000));
    }

    #[test]
    fn each_architecture_has_its_own_calls() {
        let (intel, arm) = (profile(Arch::X86, &held(&[])), profile(Arch::Arm, &held(&[])));
        assert_eq!(
            intel["architectures"],
            json!(["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"])
        );
        assert_eq!(arm["architectures"], json!(["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"]));
        assert!(allows(&intel, "arch_prctl") && allows(&intel, "modify_ldt"));
        assert!(!allows(&arm, "arch_prctl") && !allows(&arm, "modify_ldt"));
        assert!(
            allows(&arm, "set_tls") && allows(&arm, "cacheflush") && !allows(&intel, "set_tls")
        );
    }

    #[test]
    fn the_list_has_no_word_that_is_not_understood() {
        let known: BTreeSet<&str> = GIVEN.into_iter().chain(OTHERS).collect();
        let mut sections = BTreeSet::new();
        for line in CALLS.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            if let Some(section) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
                let other = ["every container", "x86_64", "aarch64"];
                assert!(known.contains(section) || other.contains(&section), "{section}");
                assert!(sections.insert(section), "{section} is there twice");
            } else {
                let letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
                assert!(line.chars().all(letter), "{line}");
            }
        }
        for section in sections {
            let calls = calls(section);
            let different: BTreeSet<_> = calls.iter().collect();
            assert!(!calls.is_empty() && different.len() == calls.len(), "{section}");
        }
    }
}
