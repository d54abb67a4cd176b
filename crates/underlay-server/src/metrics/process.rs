//! What the system says of this process, under the names that Prometheus has for it. It is read from `/proc`, where
//! there is one; elsewhere there are no values.

use std::fs;
use std::path::Path;

use underlay_runtime::{Exposition, Family, Kind};

static CPU: Family = Family::new(
    "process_cpu_seconds_total",
    Kind::Counter,
    &[],
    "Processor time of the process, of its own and of the system for it.",
);
static RESIDENT: Family =
    Family::new("process_resident_memory_bytes", Kind::Gauge, &[], "Memory of the process that is in RAM.");
static VIRTUAL: Family =
    Family::new("process_virtual_memory_bytes", Kind::Gauge, &[], "Addresses that the process has mapped.");
static OPEN_FDS: Family =
    Family::new("process_open_fds", Kind::Gauge, &[], "File descriptors that the process has open.");
static MAX_FDS: Family =
    Family::new("process_max_fds", Kind::Gauge, &[], "File descriptors that the process may have open.");
static THREADS: Family = Family::new("process_threads", Kind::Gauge, &[], "Threads of the process.");
static START: Family = Family::new(
    "process_start_time_seconds",
    Kind::Gauge,
    &[],
    "When the process began, in seconds since 1970.",
);
static MEMORY_LIMIT: Family = Family::new(
    "underlay_memory_limit_bytes",
    Kind::Gauge,
    &[],
    "Memory that the process may use: the limit of its control group, or what the machine has.",
);

/// Ticks of a second in what Linux tells of processor time, on every machine it tells Rust programs of.
const TICKS: f64 = 100.0;

/// What the system says. What it does not say is none.
#[derive(Debug, Default)]
struct Process {
    cpu_seconds: Option<f64>,
    resident: Option<u64>,
    mapped: Option<u64>,
    open_fds: Option<usize>,
    max_fds: Option<u64>,
    threads: Option<u64>,
    start_seconds: Option<f64>,
    memory_limit: Option<u64>,
}

/// Reads what the system says now, and writes it.
pub(super) fn write(out: &mut Exposition) {
    let process = Process::read(Path::new("/proc"), Path::new("/sys/fs/cgroup"));
    write_one(out, &CPU, process.cpu_seconds);
    write_one(out, &RESIDENT, process.resident);
    write_one(out, &VIRTUAL, process.mapped);
    write_one(out, &OPEN_FDS, process.open_fds);
    write_one(out, &MAX_FDS, process.max_fds);
    write_one(out, &THREADS, process.threads);
    write_one(out, &START, process.start_seconds);
    write_one(out, &MEMORY_LIMIT, process.memory_limit);
}

fn write_one(out: &mut Exposition, family: &'static Family, value: Option<impl std::fmt::Display>) {
    let mut samples = out.begin(family);
    if let Some(value) = value {
        samples.add(&[], value);
    }
}

impl Process {
    fn read(proc: &Path, cgroups: &Path) -> Self {
        let text = |name: &str| fs::read_to_string(proc.join(name)).unwrap_or_default();
        let (stat, status) = (text("self/stat"), text("self/status"));
        // The name of the program stands in parentheses, and may hold anything.
        let fields: Vec<&str> =
            stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_ascii_whitespace().collect();
        let ticks = |at: usize| fields.get(at)?.parse::<f64>().ok();
        let booted = number::<f64>(&text("stat"), "btime ");
        let kib = |text: &str, name| number::<u64>(text, name).map(|kib| kib.saturating_mul(1024));
        let machine = kib(&text("meminfo"), "MemTotal:");
        let group = group_limit(&text("self/cgroup"), cgroups);
        Self {
            // The fields 14 and 15 of all, and 22; the third is the first after the name.
            cpu_seconds: ticks(11).zip(ticks(12)).map(|(own, of_system)| (own + of_system) / TICKS),
            start_seconds: booted.zip(ticks(19)).map(|(booted, since)| booted + since / TICKS),
            resident: kib(&status, "VmRSS:"),
            mapped: kib(&status, "VmSize:"),
            threads: number(&status, "Threads:"),
            open_fds: fs::read_dir(proc.join("self/fd")).ok().map(Iterator::count),
            max_fds: number(&text("self/limits"), "Max open files"),
            memory_limit: machine.into_iter().chain(group).min(),
        }
    }
}

/// The number that follows a name at the beginning of a line.
fn number<T: std::str::FromStr>(text: &str, name: &str) -> Option<T> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

/// The smallest limit of the groups that a process is in; none where they have none.
fn group_limit(groups: &str, below: &Path) -> Option<u64> {
    let group = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let limit = |group: &Path| {
        fs::read_to_string(below.join(group).join("memory.max")).ok()?.trim().parse::<u64>().ok()
    };
    Path::new(group).ancestors().filter_map(limit).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_says_is_read_whatever_the_program_is_called() {
        let folder = tempfile::tempdir().unwrap();
        let (proc, groups) = (folder.path().join("proc"), folder.path().join("groups"));
        fs::create_dir_all(proc.join("self/fd")).unwrap();
        fs::create_dir_all(groups.join("a/b")).unwrap();
        let put = |name: &str, text: &str| fs::write(proc.join(name), text).unwrap();
        put("self/stat", "7 (a) 9 (b) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 4 0 1234 1 2\n");
        put("self/status", "Name:\tx\nVmSize:\t 8 kB\nVmRSS:\t 4 kB\nThreads:\t4\n");
        put("self/limits", "Limit  Soft Hard Units\nMax open files            1024  4096 files\n");
        put("self/cgroup", "0::/a/b\n");
        put("self/fd/0", "");
        put("stat", "cpu 1 2\nbtime 1000\n");
        put("meminfo", "MemTotal:  4096 kB\n");
        fs::write(groups.join("a/memory.max"), "2097152\n").unwrap();
        fs::write(groups.join("a/b/memory.max"), "max\n").unwrap();
        let read = Process::read(&proc, &groups);
        assert_eq!(read.cpu_seconds, Some(2.0));
        assert_eq!(read.start_seconds, Some(1012.34));
        assert_eq!((read.resident, read.mapped), (Some(4096), Some(8192)));
        assert_eq!((read.open_fds, read.max_fds, read.threads), (Some(1), Some(1024), Some(4)));
        assert_eq!(read.memory_limit, Some(2 << 20), "the group above has less than the machine");
    }

    #[test]
    fn where_the_system_says_nothing_there_are_no_values() {
        let folder = tempfile::tempdir().unwrap();
        let read = Process::read(folder.path(), folder.path());
        assert!(read.cpu_seconds.is_none() && read.resident.is_none() && read.memory_limit.is_none());
    }
}
