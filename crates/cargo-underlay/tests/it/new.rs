use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::place::Place;

/// A new package has nothing that clippy would change, in its tests neither.
const CLIPPY: &[&str] = &["clippy", "--all-targets", "--", "-D", "warnings"];

/// A program that serves. It ends with the test, where it did not end before.
struct Serving {
    process: Child,
    output: BufReader<ChildStdout>,
    address: String,
}

impl Serving {
    /// Starts what a package is made of, and reads where it listens.
    fn start(mut command: Command) -> Self {
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        let address = line.trim().rsplit(' ').next().unwrap().to_owned();
        Self { process, output, address }
    }

    fn get(&self, path: &str) -> String {
        ureq::get(format!("{}{path}", self.address)).call().unwrap().body_mut().read_to_string().unwrap()
    }

    fn post(&self, path: &str, body: &str) -> String {
        let request = ureq::post(format!("{}{path}", self.address));
        let request = request.header("Content-Type", "application/json");
        request.send(body).unwrap().body_mut().read_to_string().unwrap()
    }

    /// Ends it as systemd and Docker do, and gives what it printed to its end.
    fn stop(mut self) -> String {
        let process = self.process.id().to_string();
        assert!(Command::new("kill").args(["-s", "TERM", &process]).status().unwrap().success());
        let mut rest = String::new();
        self.output.read_to_string(&mut rest).unwrap();
        assert!(self.process.wait().unwrap().success(), "{rest}");
        rest
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ended_before = self.process.kill();
        let _reaped = self.process.wait();
    }
}

#[test]
fn a_new_service_passes_its_tests_and_serves() {
    let place = Place::new("service");
    let told = place.made("order-desk", &[]);
    assert!(told.contains("cargo run") && told.contains("remove [workspace]"), "{told}");
    place.run("order-desk", &["fmt", "--check"]);
    place.run("order-desk", CLIPPY);
    let tested = place.run("order-desk", &["test"]);
    for test in ["events_are_as_they_were_released", "a_task_is_done_once", "a_task_is_added_listed_and_done"]
    {
        assert!(tested.contains(&format!("{test} ... ok")), "{tested}");
    }

    // Cargo becomes the program it runs, so that it can be told to end.
    let run = ["run", "--quiet", "--", "--listen", "127.0.0.1:0"];
    let serving = Serving::start(place.cargo("order-desk", &run));
    assert!(serving.post("/v1/task/1/add", r#"{"title":"a"}"#).contains("task-added"));
    assert!(serving.get("/v1/views").contains("tasks"));
    assert_eq!(ureq::get(format!("{}/livez", serving.address)).call().unwrap().status(), 200);
    assert!(serving.stop().contains("stopped"));
    // What was stored is there, in a file of the service's name.
    let events = place.run("order-desk", &["run", "--quiet", "--", "events"]);
    assert!(events.contains("task-1") && events.contains(r#"{"title":"a"}"#), "{events}");
    assert!(place.path("order-desk/order-desk.db").is_file());
}

#[test]
fn a_program_with_a_store_passes_its_tests() {
    let place = Place::new("store-only");
    let told = place.made("notes", &["--store-only"]);
    assert!(told.contains("cargo add") && told.contains("// underlay"), "{told}");
    place.run("notes", &["fmt", "--check"]);
    place.run("notes", CLIPPY);
    let tested = place.run("notes", &["test"]);
    assert!(tested.contains("what_is_noted_is_read_in_order ... ok"), "{tested}");
    let main = std::fs::read_to_string(place.path("notes/src/main.rs")).unwrap();
    let lines = main.lines().filter(|line| line.ends_with("// underlay")).count();
    assert!((1..=10).contains(&lines), "{lines} lines are of Underlay");
}
