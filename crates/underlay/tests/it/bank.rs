//! The service on the first screen of the README answers as the README says.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

/// The example `bank`, serving a new database; killed when it is dropped.
struct Bank {
    process: Child,
    address: String,
    /// Held, so that the process does not write into a pipe that nobody reads.
    _printed: BufReader<ChildStdout>,
}

impl Bank {
    fn serve(directory: &Path) -> Self {
        // Cargo builds examples before it runs integration tests, beside their folder.
        let mut program = std::env::current_exe().unwrap();
        program.pop();
        program.pop();
        let mut command = Command::new(program.join("examples/bank"));
        command.args(["serve", "--listen", "127.0.0.1:0"]).current_dir(directory).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let mut printed = BufReader::new(process.stdout.take().unwrap());
        let mut first = String::new();
        printed.read_line(&mut first).unwrap();
        let address = first.trim().strip_prefix("bank is listening on ").unwrap().to_owned();
        Self { process, address, _printed: printed }
    }

    fn get(&self, target: &str) -> (u16, String) {
        answer(agent().get(format!("{}/v1/{target}", self.address)).call().unwrap())
    }

    fn post(&self, target: &str, body: &str) -> (u16, String) {
        let request = agent().post(format!("{}/v1/{target}", self.address));
        answer(request.header("Content-Type", "application/json").send(body).unwrap())
    }
}

impl Drop for Bank {
    fn drop(&mut self) {
        let _gone_before = self.process.kill();
        let _reaped = self.process.wait();
    }
}

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder().http_status_as_error(false).build().into()
}

fn answer(mut response: ureq::http::Response<ureq::Body>) -> (u16, String) {
    (response.status().as_u16(), response.body_mut().read_to_string().unwrap())
}

#[test]
fn the_service_of_the_readme_answers_its_requests() {
    let directory = tempfile::tempdir().unwrap();
    let bank = Bank::serve(directory.path());
    let (status, moved) = bank.post("account/alice/move", r#"{"cents":500}"#);
    assert!(
        status == 200 && moved.contains(r#""streams":[{"stream":"account-alice","version":1}]"#),
        "{moved}"
    );
    let (status, refused) = bank.post("account/alice/move", r#"{"cents":-700}"#);
    assert!(status == 422 && refused.contains(r#""code":"overdrawn""#), "{refused}");
    let position = moved.split_once(r#""position":""#).unwrap().1.split('"').next().unwrap();
    let (status, row) = bank.get(&format!("views/balances/alice?min_position={position}"));
    assert_eq!((status, row.as_str()), (200, r#"{"key":"alice","cents":500}"#));
}
