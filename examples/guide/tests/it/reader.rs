//! Somebody who follows the guide: a folder with files, and a service that runs while commands are tried.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;

use crate::page::fits;

/// Where the guide says that a service listens; another service may listen there on this machine.
const ADDRESS: &str = "http://127.0.0.1:7070";
/// How often a query is sent while a view has not come as far as the page shows.
const TRIES_MAX: usize = 500;

pub(crate) struct Reader {
    folder: PathBuf,
    serving: Option<Serving>,
}

struct Serving {
    process: Child,
    address: String,
    /// Reads what the process prints until its end, so that it never waits for a reader.
    rest: JoinHandle<()>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

impl Reader {
    /// A folder without a file, beside what stands for a checkout.
    pub(crate) fn new() -> Self {
        let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("guide");
        let folder = place.join("warehouse");
        if folder.exists() {
            fs::remove_dir_all(&folder).unwrap();
        }
        fs::create_dir_all(folder.join("src")).unwrap();
        fs::create_dir_all(place.join(".cargo")).unwrap();
        fs::write(place.join(".cargo/config.toml"), settings(&place)).unwrap();
        fs::copy(root().join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
        Self { folder, serving: None }
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        // The page says where a checkout usually is.
        let text = text.replace("../underlay/", &format!("{}/", root().display()));
        fs::write(self.folder.join(path), text).unwrap();
    }

    pub(crate) fn append(&self, path: &str, text: &str) {
        let before = fs::read_to_string(self.folder.join(path)).unwrap();
        self.write(path, &format!("{before}\n{text}"));
    }

    pub(crate) fn replace(&self, path: &str, source: &str, text: &str) {
        let (file, region) = source.split_once('#').unwrap();
        let file = fs::read_to_string(root().join(file)).unwrap();
        let (_, from) = file.split_once(&format!("// region: {region}\n")).unwrap();
        let old = from.split(&format!("// endregion: {region}\n")).next().unwrap().trim();
        let before = fs::read_to_string(self.folder.join(path)).unwrap();
        assert_eq!(before.matches(old).count(), 1, "{path} holds what is to be replaced once: {old}");
        self.write(path, &before.replace(old, text.trim_end()));
    }

    /// Runs a command and compares what it prints; one that serves goes on until another does.
    pub(crate) fn run(&mut self, line: usize, command: &str, answer: &str) {
        if answer.contains("is listening on") {
            self.stop();
            self.serve(line, command, answer);
            return;
        }
        if command.starts_with("cargo") {
            // The page says to stop the service first, or needs no service.
            self.stop();
        }
        let command = match &self.serving {
            Some(serving) => command.replace(ADDRESS, &serving.address),
            None => command.to_owned(),
        };
        // A query may be sent again until its view has come far enough; a command is sent once.
        let tries = if command.contains("/v1/views/") { TRIES_MAX } else { 1 };
        let mut printed = String::new();
        for _ in 0..tries {
            let output = self.shell(&command).stdin(Stdio::null()).output().unwrap();
            printed = String::from_utf8(output.stdout).unwrap();
            if fits(&printed, answer) {
                return;
            }
            let complaint = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "line {line}: `{command}` ended with {complaint}");
        }
        panic!("line {line}: `{command}` printed\n{printed}\nand not\n{answer}");
    }

    fn serve(&mut self, line: usize, command: &str, answer: &str) {
        let arguments =
            if command.contains(" -- ") { "--listen 127.0.0.1:0" } else { "-- --listen 127.0.0.1:0" };
        let mut command = self.shell(&format!("exec {command} {arguments}"));
        let mut process = command.stdout(Stdio::piped()).stdin(Stdio::null()).spawn().unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        let mut printed = String::new();
        while !printed.contains("stop ") {
            let read = output.read_line(&mut printed).unwrap();
            assert!(read > 0, "line {line}: the service ended after\n{printed}");
        }
        let address = printed.lines().next().unwrap().rsplit(' ').next().unwrap().to_owned();
        let shown = printed.replace(&address, ADDRESS);
        assert!(fits(&shown, answer), "line {line}: the service printed\n{shown}\nand not\n{answer}");
        let rest = std::thread::spawn(move || {
            let _ended = output.read_to_string(&mut String::new());
        });
        self.serving = Some(Serving { process, address, rest });
    }

    /// What ctrl-c does, where a service runs.
    pub(crate) fn stop(&mut self) {
        let Some(mut serving) = self.serving.take() else { return };
        // `exec` has made cargo of the shell, and cargo becomes the program it runs.
        let process = serving.process.id().to_string();
        assert!(Command::new("kill").args(["-s", "TERM", &process]).status().unwrap().success());
        assert!(serving.process.wait().unwrap().success(), "the service ends well");
        serving.rest.join().unwrap();
    }

    fn shell(&self, command: &str) -> Command {
        let mut shell = Command::new("sh");
        shell.args(["-c", command]).current_dir(&self.folder);
        // Cargo tells programs it starts about the package of this test.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("CARGO_PKG") || name == "CARGO_MANIFEST_DIR" {
                shell.env_remove(name);
            }
        }
        shell
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if let Some(mut serving) = self.serving.take() {
            let _gone_before = serving.process.kill();
            let _reaped = serving.process.wait();
        }
    }
}

/// Cargo's settings for the folder: those of this repository, so that what was built for it is used, and no
/// network, since everything that is needed is there.
fn settings(place: &Path) -> String {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let profiles = manifest.find("[profile.").map_or("", |at| &manifest[at..]);
    // The folder is `TARGET/tmp/guide`.
    let target = place.ancestors().nth(2).unwrap();
    format!("[build]\ntarget-dir = {target:?}\n\n[net]\noffline = true\n\n{profiles}")
}
