//! The log of a program, on standard error.
//!
//! ```text
//!  line ─► queue, LINES_WAITING_MAX ─► a thread ─► standard error
//!            │
//!            └── full: a line of the access log is left out and counted; any other waits for room
//! ```
//!
//! Whoever reads standard error may stop reading, and the service would stop with them: it has a line for every request.
//! So a thread writes, and nobody waits for a line of the access log to be written. How many were left out stands in the
//! log before the next one. What is a warning or worse is never left out.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::Thread;
use std::time::Duration;

use tracing::Metadata;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use underlay_core::{Clock as _, SystemClock};
use underlay_server::ACCESS_LOG_TARGET;

use super::json_lines::{JsonFields, JsonLines, json_line};
use crate::config::{LogFormat, Settings};

/// Lines that were logged and not written yet.
const LINES_WAITING_MAX: usize = 8_192;
/// Bytes that are written at once, about.
const WRITTEN_AT_ONCE_MAX: usize = 64 << 10;
/// How long lines gather after some were written, before the next are.
const GATHERED_FOR: Duration = Duration::from_millis(5);
/// What the targets of Temporal's SDK begin with. It warns of every call that it repeats; that its server is away, and
/// is back, the service says once.
const TEMPORAL_TARGETS: &str = "temporalio";
/// How long the end of a program may wait for its last lines to be written.
const LAST_LINES_WAIT_MAX: Duration = Duration::from_secs(1);

/// Writes the log of this program to standard error, with a line for every request where it is asked for, until what it
/// gives is dropped.
pub(super) fn log_to_stderr(settings: &Settings, has_access_log: bool) -> LastLines {
    let access = if has_access_log { LevelFilter::INFO } else { LevelFilter::OFF };
    let wanted = Targets::new()
        .with_default(LevelFilter::WARN)
        .with_target(ACCESS_LOG_TARGET, access)
        .with_target(TEMPORAL_TARGETS, LevelFilter::ERROR);
    let (lines, last) = Lines::to(io::stderr(), LINES_WAITING_MAX, settings.log_format);
    // Colours are for terminals, and a crate beside this one may have turned them on.
    let written =
        tracing_subscriber::fmt().with_max_level(LevelFilter::INFO).with_ansi(false).with_writer(lines);
    // A program that embeds the service may have set its own.
    let _set_before = match settings.log_format {
        LogFormat::Text => written.finish().with(wanted).try_init(),
        LogFormat::Json => {
            let lines = JsonLines::at(|| SystemClock.now());
            written.fmt_fields(JsonFields).event_format(lines).finish().with(wanted).try_init()
        }
    };
    last
}

/// What the thread is told.
enum Told {
    Line(Vec<u8>),
    /// To say when all lines before this are written.
    Flush(SyncSender<()>),
}

/// Where lines go.
#[derive(Clone)]
struct Lines {
    queue: SyncSender<Told>,
    left_out: Arc<AtomicU64>,
}

/// Waits for the last lines when it is dropped.
pub(super) struct LastLines {
    queue: SyncSender<Told>,
    writer: Thread,
}

impl Lines {
    fn to(sink: impl Write + Send + 'static, waiting_max: usize, format: LogFormat) -> (Self, LastLines) {
        let (queue, lines) = sync_channel(waiting_max);
        let left_out = Arc::new(AtomicU64::new(0));
        let counted = left_out.clone();
        let writer = std::thread::spawn(move || write(sink, &lines, &counted, format)).thread().clone();
        (Self { queue: queue.clone(), left_out }, LastLines { queue, writer })
    }
}

/// Writes the first line as it comes, and those of the next moment at once: a service that is asked much has a line for
/// every request, and to be woken for each costs more than to write it.
fn write(mut sink: impl Write, lines: &Receiver<Told>, left_out: &AtomicU64, format: LogFormat) {
    let mut text = Vec::new();
    while let Ok(first) = lines.recv() {
        let mut next = Some(first);
        while let Some(told) = next {
            match told {
                Told::Line(line) => {
                    match left_out.swap(0, Ordering::Relaxed) {
                        0 => {}
                        count => text.extend_from_slice(lines_left_out(count, format).as_bytes()),
                    }
                    text.extend_from_slice(&line);
                }
                Told::Flush(flushed) => {
                    write_out(&mut sink, &mut text);
                    let _waits_no_more = flushed.try_send(());
                }
            }
            next = if text.len() < WRITTEN_AT_ONCE_MAX { lines.try_recv().ok() } else { None };
        }
        write_out(&mut sink, &mut text);
        // Whoever waits for the last lines ends this.
        std::thread::park_timeout(GATHERED_FOR);
    }
}

/// The line that says how many were left out.
fn lines_left_out(count: u64, format: LogFormat) -> String {
    let told = format!("{count} lines of the access log were left out: it was not read in time");
    match format {
        LogFormat::Text => format!("{told}\n"),
        LogFormat::Json => json_line(SystemClock.now(), "WARN", ACCESS_LOG_TARGET, &told),
    }
}

fn write_out(sink: &mut impl Write, text: &mut Vec<u8>) {
    // Where standard error is gone, nobody is left to hear of it.
    let _unheard = sink.write_all(text).and_then(|()| sink.flush());
    text.clear();
}

impl Drop for LastLines {
    fn drop(&mut self) {
        let (flushed, written) = sync_channel(1);
        let queue = self.queue.clone();
        // Where there is no room, the thread may be gathering. If nobody reads what it writes, this is left behind.
        let told = std::thread::Builder::new().spawn(move || queue.send(Told::Flush(flushed)));
        self.writer.unpark();
        if told.is_ok() {
            let _in_time = written.recv_timeout(LAST_LINES_WAIT_MAX);
        }
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line { lines: self, may_be_left_out: false }
    }

    fn make_writer_for(&'a self, about: &Metadata<'_>) -> Line<'a> {
        Line { lines: self, may_be_left_out: about.target() == ACCESS_LOG_TARGET }
    }
}

/// One line, which is written whole.
struct Line<'a> {
    lines: &'a Lines,
    may_be_left_out: bool,
}

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Lines { queue, left_out } = self.lines;
        let line = Told::Line(bytes.to_vec());
        if !self.may_be_left_out {
            // The thread ends after all who write.
            let _unheard = queue.send(line);
        } else if let Err(TrySendError::Full(_)) = queue.try_send(line) {
            left_out.fetch_add(1, Ordering::Relaxed);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::mpsc::{Sender, channel};

    use super::*;

    /// Says that a line came, and writes it when it may.
    struct Slow {
        came: Sender<()>,
        may: Receiver<()>,
        written: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.came.send(()).ok();
            self.may.recv().ok();
            self.written.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_last_lines_are_written_also_where_they_left_no_room() {
        let (came, arrived) = channel();
        let (let_go, may) = channel();
        drop(let_go);
        let written = Arc::new(Mutex::new(Vec::new()));
        let (lines, last) = Lines::to(Slow { came, may, written: written.clone() }, 4, LogFormat::Text);
        let line = |text: &str| Line { lines: &lines, may_be_left_out: true }.write_all(text.as_bytes());
        line("first\n").unwrap();
        arrived.recv().unwrap();
        // The thread gathers now, and four find room.
        (0..4).for_each(|_| line("last\n").unwrap());
        drop(last);
        let text = String::from_utf8(written.lock().unwrap().clone()).unwrap();
        assert_eq!(text.matches("last\n").count(), 4, "{text}");
    }

    #[test]
    fn who_does_not_read_the_log_stops_nobody_and_loses_no_warning() {
        let (came, arrived) = channel();
        let (let_go, may) = channel();
        let written = Arc::new(Mutex::new(Vec::new()));
        let (lines, last) = Lines::to(Slow { came, may, written: written.clone() }, 4, LogFormat::Text);
        let line = |text: &str, may_be_left_out| {
            Line { lines: &lines, may_be_left_out }.write_all(text.as_bytes()).unwrap();
        };
        line("first\n", true);
        arrived.recv().unwrap();
        // Four find room, and ten do not.
        for _ in 0..14 {
            line("more\n", true);
        }
        assert_eq!(lines.left_out.load(Ordering::Relaxed), 10);
        std::thread::scope(|scope| {
            let warning = scope.spawn(|| line("a warning\n", false));
            drop(let_go);
            warning.join().unwrap();
        });
        drop(last);
        let text = String::from_utf8(written.lock().unwrap().clone()).unwrap();
        assert!(text.starts_with("first\n10 lines of the access log were left out"), "{text}");
        assert_eq!(text.matches("more\n").count(), 4, "{text}");
        assert!(text.ends_with("a warning\n"), "{text}");
    }
}
