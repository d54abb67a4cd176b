//! A collector of traces that takes OTLP and says what it was given: Rotel, in a package of PyPI that is pinned by its
//! version and its content. The program in it is native, and loads the library of Python that Debian has.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use tempfile::TempDir;

use crate::daemon::{self, Daemon};
use crate::npm::{cache, digest};
use crate::{Result, install, output};

const VERSION: &str = "0.0.1a15";
const WHEEL: &str = "rotel-0.0.1a15-cp311-cp311-manylinux_2_34_x86_64.whl";
const SHA512: &str = "aa050e9a3240c766921fa90ae4aa9b692598e5847751efc7aec811642eafc03b\
                      a41bd887a94882cdacb0388f233db38ae2a52c61bacfda8fff9283892502fd74";
/// The only kind of machine that the package is for here.
const MACHINE: (&str, &str) = ("linux", "x86_64");
/// The package of Debian with the library that the program loads, and the library.
const LIBRARY_PACKAGE: &str = "libpython3.11";
const LIBRARY: &str = "/usr/lib/x86_64-linux-gnu/libpython3.11.so.1.0";

/// A private collector. Dropped, it ends and its files are removed.
#[derive(Debug)]
pub struct Rotel {
    port: u16,
    _daemon: Daemon,
    /// Removed after the collector has ended.
    folder: TempDir,
}

/// A span as a collector was given it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CollectedSpan {
    /// What the service is called that sent it.
    pub service: String,
    /// The trace, in hex.
    pub trace_id: String,
    /// Its own id, in hex.
    pub span_id: String,
    /// The span it is below; none where the trace begins with it.
    pub parent_id: Option<String>,
    /// What was done.
    pub name: String,
    /// Its side of a call: `SPAN_KIND_SERVER`, say.
    pub kind: String,
    /// Why it failed, where it did.
    pub failure: Option<String>,
    /// What is known of it.
    pub attributes: BTreeMap<String, String>,
}

impl Rotel {
    /// Starts a collector.
    ///
    /// # Errors
    /// Where it is missing and cannot be fetched, or does not start.
    pub fn start() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let program = unpack(folder.path())?;
        let (port, other) = (daemon::free_port()?, daemon::free_port()?);
        let mut command = daemon::ending_with_this(&program);
        command.arg("start");
        command.arg("--otlp-http-endpoint").arg(format!("127.0.0.1:{port}"));
        command.arg("--otlp-grpc-endpoint").arg(format!("127.0.0.1:{other}"));
        command.args([
            "--exporter",
            "blackhole",
            "--debug-log",
            "traces",
            "--debug-log-verbosity",
            "detailed",
        ]);
        let daemon = Daemon::start(command, port, &folder.path().join("said"))?;
        Ok(Self { port, _daemon: daemon, folder })
    }

    /// Where services send to.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// All spans it was given, in the order they came.
    ///
    /// # Errors
    /// Where what it said cannot be read.
    pub fn spans(&self) -> Result<Vec<CollectedSpan>> {
        Ok(read_spans(&fs::read_to_string(self.folder.path().join("said"))?))
    }
}

/// Reads what a collector says of its spans.
fn read_spans(said: &str) -> Vec<CollectedSpan> {
    let mut spans: Vec<CollectedSpan> = Vec::new();
    let mut service = String::new();
    let mut is_in_span = false;
    for line in said.lines().map(str::trim) {
        if line.starts_with("ResourceSpans #") || line.starts_with("ScopeSpans #") {
            is_in_span = false;
        } else if line.starts_with("Span #") {
            is_in_span = true;
            spans.push(CollectedSpan { service: service.clone(), ..CollectedSpan::default() });
        } else if let Some((key, value)) = line.strip_prefix("-> ").and_then(|pair| pair.split_once(": ")) {
            let value = value.split_once('(').and_then(|(_, value)| value.strip_suffix(')')).unwrap_or(value);
            match spans.last_mut().filter(|_| is_in_span) {
                Some(span) => drop(span.attributes.insert(key.to_owned(), value.to_owned())),
                None if key == "service.name" => value.clone_into(&mut service),
                None => {}
            }
        } else if let Some((key, value)) = line.split_once(':')
            && let Some(span) = spans.last_mut().filter(|_| is_in_span)
        {
            let value = value.trim().to_owned();
            match key.trim() {
                "Trace ID" => span.trace_id = value,
                "ID" => span.span_id = value,
                "Parent ID" => span.parent_id = Some(value).filter(|id| !id.is_empty()),
                "Name" => span.name = value,
                "Kind" => span.kind = value,
                "Status message" => span.failure = Some(value).filter(|text| !text.is_empty()),
                _ => {}
            }
        }
    }
    spans
}

/// Unpacks the program below a folder, fetched before where it is not in the cache.
fn unpack(folder: &Path) -> Result<PathBuf> {
    if (env::consts::OS, env::consts::ARCH) != MACHINE {
        return Err(format!("Rotel {VERSION} is fetched for {MACHINE:?} only").into());
    }
    if !Path::new(LIBRARY).exists() {
        install(LIBRARY_PACKAGE)?;
    }
    let wheel = find_or_fetch()?;
    let mut unzip = Command::new("python3");
    output(unzip.args(["-m", "zipfile", "--extract"]).arg(&wheel).arg(folder.join("wheel")))?;
    let program = folder.join("wheel/rotel/rotel-agent");
    output(Command::new("chmod").arg("+x").arg(&program))?;
    Ok(program)
}

fn find_or_fetch() -> Result<PathBuf> {
    let cache = cache()?;
    fs::create_dir_all(&cache)?;
    let kept = cache.join(WHEEL);
    if kept.exists() && digest(&kept)? == SHA512 {
        return Ok(kept);
    }
    // Beside the place it is kept, so that it comes there whole and at once.
    let fetched = tempfile::tempdir_in(&cache)?;
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]);
    pip.args(["--python-version", "3.11", "--platform", "manylinux_2_34_x86_64", "--dest"]);
    output(pip.arg(fetched.path()).arg(format!("rotel=={VERSION}")).current_dir(fetched.path()))?;
    let fetched = fetched.path().join(WHEEL);
    let found = digest(&fetched)?;
    if found != SHA512 {
        return Err(format!("Rotel {VERSION} is not what it was: its SHA-512 is {found}").into());
    }
    fs::rename(&fetched, &kept)?;
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_collector_says_is_read_span_by_span() {
        let said = "INFO Starting Rotel.\nResourceSpans #0\nResource attributes:\n     -> service.name: Str(bank)\n\
                    ScopeSpans #0\nInstrumentationScope underlay 0.1.0\nSpan #0\n    Trace ID       : aa\n    Parent ID      : \n\
                    \x20   ID             : 01\n    Name           : POST /v1/{category}\n    Kind           : SPAN_KIND_SERVER\n\
                    Start time: 1\nEnd time: 2\n    Status code    : STATUS_CODE_ERROR\n    Status message : bad: worse\n\
                    Attributes:\n     -> http.route: Str(/v1/{category})\n     -> count: Int(3)\nSpan #1\n    Trace ID       : aa\n\
                    \x20   Parent ID      : 01\n    ID             : 02\n    Name           : commit\n";
        let spans = read_spans(said);
        assert_eq!(spans.len(), 2);
        let [first, second] = &spans[..] else { panic!("{spans:?}") };
        assert_eq!((first.service.as_str(), first.parent_id.as_deref()), ("bank", None));
        assert_eq!((first.name.as_str(), first.kind.as_str()), ("POST /v1/{category}", "SPAN_KIND_SERVER"));
        assert_eq!(first.failure.as_deref(), Some("bad: worse"));
        assert_eq!(first.attributes["http.route"], "/v1/{category}");
        assert_eq!(first.attributes["count"], "3");
        assert_eq!(second.parent_id.as_deref(), Some("01"));
    }
}
