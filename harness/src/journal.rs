//! What a process that may be killed writes down: one JSON value a line, one write call a line,
//! appended without a buffer. Whatever was written before the kill is there after it.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Result;

/// Bytes that are looked at first for the last line; doubled until it is found.
const TAIL_BYTES: u64 = 64 << 10;

/// A file that lines are appended to. Threads may share it.
#[derive(Debug)]
pub(crate) struct Journal(File);

impl Journal {
    /// Opens a journal to append to it, new or not.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path);
        Ok(Self(file.map_err(|error| format!("{}: {error}", path.display()))?))
    }

    /// Opens a journal to go on with it: takes off a line that was not finished, and returns the last
    /// one that was.
    pub(crate) fn go_on<T: DeserializeOwned>(path: &Path) -> Result<(Self, Option<T>)> {
        let mut file = OpenOptions::new().create(true).read(true).append(true).open(path)?;
        let length = file.metadata()?.len();
        let mut window = TAIL_BYTES;
        loop {
            let start = length.saturating_sub(window);
            file.seek(SeekFrom::Start(start))?;
            let mut tail = Vec::new();
            file.read_to_end(&mut tail)?;
            let whole = tail.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
            let before = tail[..whole.saturating_sub(1)].iter().rposition(|byte| *byte == b'\n');
            let first = match before {
                Some(before) => before + 1,
                None if start > 0 => {
                    window *= 2;
                    continue;
                }
                None => 0,
            };
            file.set_len(start + whole as u64)?;
            let last = if first == whole { None } else { Some(serde_json::from_slice(&tail[first..whole])?) };
            return Ok((Self(file), last));
        }
    }

    /// Appends a line.
    pub(crate) fn write<T: Serialize>(&self, value: &T) -> Result<()> {
        let mut line = serde_json::to_vec(value)?;
        line.push(b'\n');
        Ok((&self.0).write_all(&line)?)
    }
}

/// The lines of a journal, in order; none where there is no such file. A last line that was not
/// finished was not written.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(format!("{}: {error}", path.display()).into()),
    };
    let finished = bytes.iter().rposition(|byte| *byte == b'\n').unwrap_or(0);
    let lines = bytes[..finished].split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines
        .map(|line| {
            serde_json::from_slice(line).map_err(|error| {
                format!("{}: {error} in {}", path.display(), String::from_utf8_lossy(line)).into()
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_was_not_finished_was_not_written() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal");
        std::fs::write(&path, "1\n22\n3").unwrap();
        assert_eq!(read::<u32>(&path).unwrap(), [1, 22]);
        let (journal, last) = Journal::go_on::<u32>(&path).unwrap();
        assert_eq!(last, Some(22));
        journal.write(&4).unwrap();
        assert_eq!(read::<u32>(&path).unwrap(), [1, 22, 4]);
    }

    #[test]
    fn the_last_line_is_found_however_long_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal");
        assert_eq!(Journal::go_on::<String>(&path).unwrap().1, None);
        let long = "x".repeat(3 * TAIL_BYTES as usize);
        let journal = Journal::open(&path).unwrap();
        journal.write(&"short").unwrap();
        journal.write(&long).unwrap();
        assert_eq!(Journal::go_on::<String>(&path).unwrap().1, Some(long));
    }

    #[test]
    fn a_journal_that_was_never_written_is_empty() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(read::<u32>(&directory.path().join("none")).unwrap(), [0u32; 0]);
    }
}
