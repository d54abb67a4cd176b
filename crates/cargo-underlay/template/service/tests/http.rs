//! The service as its users meet it: the program is started, and asked over HTTP.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_{{name}}");

/// A started service with an empty store. It ends with the test.
struct Served {
    process: Child,
    /// Kept open, since the service goes on printing.
    _output: BufReader<ChildStdout>,
    address: String,
    agent: ureq::Agent,
}

impl Served {
    fn start() -> Self {
        let mut process = Command::new(PROGRAM)
            .args(["serve", "--database", "memory:", "--listen", "127.0.0.1:0"])
            // Where no file of options lies.
            .current_dir(env!("CARGO_TARGET_TMPDIR"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        let address = line.trim().rsplit(' ').next().unwrap().to_owned();
        let config = ureq::Agent::config_builder().http_status_as_error(false);
        Self {
            process,
            _output: output,
            address,
            agent: config.build().into(),
        }
    }

    fn post(&self, path: &str, body: Value) -> (u16, Value) {
        let request = self.agent.post(format!("{}{path}", self.address));
        let request = request.header("Content-Type", "application/json");
        answer(request.send(body.to_string()).unwrap())
    }

    fn get(&self, path: &str) -> (u16, Value) {
        let request = self.agent.get(format!("{}{path}", self.address));
        answer(request.call().unwrap())
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _gone_before = self.process.kill();
        let _reaped = self.process.wait();
    }
}

fn answer(mut response: ureq::http::Response<ureq::Body>) -> (u16, Value) {
    let body = response.body_mut().read_to_string().unwrap();
    let status = response.status().as_u16();
    (status, serde_json::from_str(&body).unwrap())
}

#[test]
fn a_task_is_added_listed_and_done() {
    let service = Served::start();
    let (status, added) = service.post("/v1/task/1/add", json!({ "title": "Write a service" }));
    assert_eq!(status, 200, "{added}");
    // A view follows the log. A query that names a position waits until the view is there.
    let position = added["position"].as_str().unwrap();
    let query = format!("/v1/views/tasks?done=false&min_position={position}");
    let (_, open) = service.get(&query);
    let row = json!({ "key": "1", "title": "Write a service", "done": false });
    assert_eq!(open["rows"], json!([row]));

    assert_eq!(service.post("/v1/task/1/finish", json!({})).0, 200);
    let (status, refused) = service.post("/v1/task/1/finish", json!({}));
    assert_eq!((status, &refused["code"]), (422, &json!("not-open")));
}
