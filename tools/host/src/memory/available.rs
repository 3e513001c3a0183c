//! What this process can still have: the least of what the machine, a container and limits of the shell leave.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::{fmt, fs, io, thread};

/// Memory that can still be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Available {
    pub bytes: u64,
    /// What leaves no more.
    pub bound: Bound,
}

/// What bounds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// What others on the machine leave, swap included.
    Machine,
    /// What the machine still commits itself to, where it promises no more than it has.
    Commitment,
    /// A limit on a group of processes, as containers have it.
    Container,
    /// A limit on addresses or data of each process, as shells set it.
    AddressSpace,
    Data,
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Machine => "what this machine has free",
            Self::Commitment => "what this machine still promises, vm.overcommit_memory being 2",
            Self::Container => "the limit of this container or control group",
            Self::AddressSpace => "the limit that ulimit -v shows",
            Self::Data => "the limit that ulimit -d shows",
        })
    }
}

/// What this process can still have; `None` where the system does not say.
pub fn available() -> Option<Available> {
    System { root: PathBuf::from("/") }.available()
}

/// Whether the limits of this process leave room for `count` more threads with stacks of so many bytes. A thread that
/// finds no addresses when it starts takes the program down with it.
pub fn room_for_threads(count: usize, stack: usize) -> bool {
    // beside its stack, what a thread's allocator, by the megabyte, and signal handler map, and what others ask for
    // while it starts: one that then finds nothing ends the program
    const BESIDE: u64 = 4 << 20;
    let need = (stack as u64 + BESIDE).saturating_mul(count as u64);
    let room = System { root: PathBuf::from("/") }.own_limits().map(|limit| limit.bytes).min();
    room.is_none_or(|room| room >= need) && can_start(count, stack)
}

/// Whether so many threads start, all at once: a limit on processes shows in no other way, and a pool of threads of
/// which some did not start is of no use.
fn can_start(count: usize, stack: usize) -> bool {
    let gate = Mutex::new(());
    thread::scope(|scope| {
        let closed = gate.lock();
        let wait = || drop(gate.lock());
        let start = || thread::Builder::new().stack_size(stack).spawn_scoped(scope, wait);
        // all of them are kept, so that they are there together
        let started = (0..count).map(|_| start()).collect::<io::Result<Vec<_>>>();
        drop(closed);
        let Ok(started) = started else { return false };
        // a scope ends before its threads are gone: waited for, they leave the room that was found for others
        started.into_iter().for_each(|thread| drop(thread.join()));
        true
    })
}

/// Bytes that a line of `/proc/self/status` or `/proc/meminfo` tells in kB.
pub(super) fn status(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// The files a Linux tells it in, below `root`.
struct System {
    root: PathBuf,
}

impl System {
    fn read(&self, path: impl AsRef<Path>) -> Option<String> {
        fs::read_to_string(self.root.join(path)).ok()
    }

    fn number(&self, path: impl AsRef<Path>) -> Option<u64> {
        self.read(path)?.trim().parse().ok()
    }

    fn available(&self) -> Option<Available> {
        let all = self.machine().into_iter().chain(self.commitment()).chain(self.container()).chain(self.own_limits());
        all.min_by_key(|one| one.bytes)
    }

    fn machine(&self) -> Option<Available> {
        let text = self.read("proc/meminfo")?;
        let free = status(&text, "MemAvailable:")?;
        Some(Available { bytes: free + status(&text, "SwapFree:").unwrap_or(0), bound: Bound::Machine })
    }

    fn commitment(&self) -> Option<Available> {
        if self.number("proc/sys/vm/overcommit_memory") != Some(2) {
            return None;
        }
        let text = self.read("proc/meminfo")?;
        let bytes = status(&text, "CommitLimit:")?.saturating_sub(status(&text, "Committed_AS:")?);
        Some(Available { bytes, bound: Bound::Commitment })
    }

    /// The least that this process's control groups leave, of version 2 or 1. What files take of a group's share is
    /// given back when memory is asked for.
    fn container(&self) -> Option<Available> {
        let groups = self.read("proc/self/cgroup")?;
        let unified = groups.lines().filter_map(|line| line.strip_prefix("0::")).map(|path| Group {
            mount: "sys/fs/cgroup",
            path,
            limit: "memory.max",
            usage: "memory.current",
            swap: Some(("memory.swap.max", "memory.swap.current")),
        });
        let of_memory = groups.lines().filter_map(|line| {
            let mut fields = line.splitn(3, ':').skip(1);
            let (controllers, path) = (fields.next()?, fields.next()?);
            controllers.split(',').any(|name| name == "memory").then_some(Group {
                mount: "sys/fs/cgroup/memory",
                path,
                limit: "memory.limit_in_bytes",
                usage: "memory.usage_in_bytes",
                swap: None,
            })
        });
        unified.chain(of_memory).filter_map(|group| self.group(&group)).min_by_key(|one| one.bytes)
    }

    /// The least that a group and those around it leave.
    fn group(&self, group: &Group) -> Option<Available> {
        let mount = self.root.join(group.mount);
        let relative = Path::new(group.path.trim_start_matches('/'));
        // in a container the path may be that of outside: then the mount is the container's own group
        let left = relative.ancestors().chain([Path::new("")]).filter_map(|below| {
            let folder = mount.join(below);
            let limit = self.number(folder.join(group.limit))?;
            let used = self.number(folder.join(group.usage))?;
            let stat = self.read(folder.join("memory.stat")).unwrap_or_default();
            let files: u64 = ["inactive_file", "active_file"].iter().filter_map(|name| field(&stat, name)).sum();
            let swap = group.swap.map_or(0, |(limit, used)| {
                let free = self.read("proc/meminfo").and_then(|text| status(&text, "SwapFree:")).unwrap_or(0);
                let own = self.number(folder.join(limit)).unwrap_or(u64::MAX);
                free.min(own.saturating_sub(self.number(folder.join(used)).unwrap_or(0)))
            });
            Some(limit.saturating_sub(used.saturating_sub(files)).saturating_add(swap))
        });
        Some(Available { bytes: left.min()?, bound: Bound::Container })
    }

    /// What limits on this process alone leave.
    fn own_limits(&self) -> impl Iterator<Item = Available> {
        let limits = self.read("proc/self/limits").unwrap_or_default();
        let used = self.read("proc/self/status").unwrap_or_default();
        let rows = [("Max address space", "VmSize:", Bound::AddressSpace), ("Max data size", "VmData:", Bound::Data)];
        rows.into_iter().filter_map(move |(limit, taken, bound)| {
            let row = limits.lines().find_map(|line| line.strip_prefix(limit))?;
            // "unlimited" is no number
            let limit: u64 = row.split_whitespace().next()?.parse().ok()?;
            Some(Available { bytes: limit.saturating_sub(status(&used, taken)?), bound })
        })
    }
}

/// Where a version of control groups says what one group may use and does.
struct Group<'a> {
    mount: &'static str,
    path: &'a str,
    limit: &'static str,
    usage: &'static str,
    swap: Option<(&'static str, &'static str)>,
}

/// A number of `memory.stat`.
fn field(stat: &str, name: &str) -> Option<u64> {
    stat.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMINFO: &str = "MemTotal: 900 kB\nMemAvailable:      500 kB\nSwapFree:   100 kB\nCommitLimit: 700 kB\n\
                           Committed_AS: 650 kB\n";

    /// What a system with these files says.
    fn told(files: &[(&str, &str)]) -> Option<Available> {
        let dir = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        System { root: dir.path().to_owned() }.available()
    }

    fn bounded(kib: u64, bound: Bound) -> Option<Available> {
        Some(Available { bytes: kib * 1024, bound })
    }

    #[test]
    fn the_machine_leaves_what_is_free_and_its_swap() {
        assert_eq!(told(&[]), None);
        assert_eq!(told(&[("proc/meminfo", MEMINFO)]), bounded(600, Bound::Machine));
        let strict = [("proc/meminfo", MEMINFO), ("proc/sys/vm/overcommit_memory", "2\n")];
        assert_eq!(told(&strict), bounded(50, Bound::Commitment));
    }

    #[test]
    fn a_container_leaves_the_least_of_its_groups_and_files_give_way() {
        let files = [
            ("proc/meminfo", MEMINFO),
            ("proc/self/cgroup", "0::/a/b\n"),
            ("sys/fs/cgroup/a/b/memory.max", "max\n"),
            ("sys/fs/cgroup/a/memory.max", "409600\n"),
            ("sys/fs/cgroup/a/memory.current", "204800\n"),
            ("sys/fs/cgroup/a/memory.stat", "anon 5\nactive_file 51200\ninactive_file 51200\nfile 999999\n"),
            ("sys/fs/cgroup/a/memory.swap.max", "0\n"),
            ("sys/fs/cgroup/a/memory.swap.current", "0\n"),
        ];
        assert_eq!(told(&files), bounded(300, Bound::Container));
        // swap that the group may use
        let mut with_swap = files;
        with_swap[6].1 = "max\n";
        assert_eq!(told(&with_swap), bounded(400, Bound::Container));
        let first = [
            ("proc/meminfo", MEMINFO),
            ("proc/self/cgroup", "5:cpu:/x\n4:hugetlb,memory:/x\n0::/\n"),
            ("sys/fs/cgroup/memory/x/memory.limit_in_bytes", "102400\n"),
            ("sys/fs/cgroup/memory/x/memory.usage_in_bytes", "51200\n"),
        ];
        assert_eq!(told(&first), bounded(50, Bound::Container));
    }

    #[test]
    fn limits_of_the_shell_count_from_what_the_process_has() {
        let limits = |address: &str, data: &str| {
            format!("Limit Soft Hard\nMax data size   {data} x bytes\nMax address space    {address}   y   bytes\n")
        };
        let told = |address, data| {
            let limits = limits(address, data);
            let status = "Name: x\nVmSize:\t     100 kB\nVmData:     20 kB\n";
            told(&[("proc/meminfo", MEMINFO), ("proc/self/limits", &limits), ("proc/self/status", status)])
        };
        assert_eq!(told("unlimited", "unlimited"), bounded(600, Bound::Machine));
        assert_eq!(told("204800", "unlimited"), bounded(100, Bound::AddressSpace));
        assert_eq!(told("204800", "40960"), bounded(20, Bound::Data));
        assert_eq!(told("1024", "unlimited"), bounded(0, Bound::AddressSpace));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_system_says_what_there_is() {
        assert!(available().unwrap().bytes > 1 << 20);
        assert!(room_for_threads(1, 1 << 20));
    }
}
