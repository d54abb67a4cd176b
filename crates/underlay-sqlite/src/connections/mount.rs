//! On what a path lies, by the table of mounts that Linux shows every process.

use std::path::Path;

use crate::error::Failure;

/// File systems whose files other machines may hold open.
const NETWORK: [&str; 17] = [
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "9p",
    "afs",
    "ceph",
    "glusterfs",
    "lustre",
    "beegfs",
    "gpfs",
    "ncpfs",
    "fuse.sshfs",
    "fuse.glusterfs",
    "fuse.rclone",
    "fuse.s3fs",
];

/// Refuses a path on a network file system. Where there is no table of mounts it refuses nothing.
pub(crate) fn refuse_network(path: &Path) -> Result<(), Failure> {
    let Ok(table) = std::fs::read_to_string("/proc/self/mountinfo") else { return Ok(()) };
    match file_system_of(&table, path) {
        Some(kind) if NETWORK.contains(&kind) => Err(Failure::refused(format!(
            "{} is on a network file system ({kind}), where SQLite's locks do not hold; use a local disk",
            path.display()
        ))),
        _ => Ok(()),
    }
}

/// The kind of the mount a path lies on: of the longest mount point above it, the last one mounted.
fn file_system_of<'a>(mountinfo: &'a str, path: &Path) -> Option<&'a str> {
    mountinfo
        .lines()
        .filter_map(|line| {
            // The mount point is the fifth field; the kind is the first after " - ".
            let (mount, source) = line.split_once(" - ")?;
            let point = unescape(mount.split(' ').nth(4)?);
            let kind = source.split(' ').next()?;
            path.starts_with(&point).then(|| (Path::new(&point).components().count(), kind))
        })
        .max_by_key(|(depth, _)| *depth)
        .map(|(_, kind)| kind)
}

/// Takes back the octal escapes of blanks and backslashes.
fn unescape(field: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(field.to_owned(), |text, (escape, plain)| text.replace(escape, plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 21 0:40 / /mnt/share rw - nfs4 server:/export rw
31 21 0:41 / /mnt/my\\040disk rw master:2 shared:9 - fuse.sshfs host: rw
32 30 8:2 / /mnt/share/local rw - xfs /dev/sdb1 rw
";

    #[test]
    fn the_longest_mount_point_counts() {
        for (path, kind) in [
            ("/var/data/bank.db", "ext4"),
            ("/mnt/share/bank.db", "nfs4"),
            ("/mnt/shared/bank.db", "ext4"),
            ("/mnt/share/local/bank.db", "xfs"),
            ("/mnt/my disk/bank.db", "fuse.sshfs"),
        ] {
            assert_eq!(file_system_of(TABLE, Path::new(path)), Some(kind), "{path}");
        }
    }

    #[test]
    fn a_table_that_makes_no_sense_says_nothing() {
        assert_eq!(file_system_of("one two - \n\n - x", Path::new("/a")), None);
    }
}
