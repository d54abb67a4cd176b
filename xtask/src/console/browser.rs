//! Chromium without a window, driven over the DevTools protocol: messages of JSON on two pipes, each ended by a NUL.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::Result;

/// How long an answer of the browser, or a page, may take.
const ANSWER_MAX: Duration = Duration::from_secs(60);
/// The pipes have the numbers 3 and 4.
const START: &str = "exec \"$0\" \"$@\" 3<&0 4>&1 0</dev/null 1>/dev/null";
const OPTIONS: [&str; 7] = [
    "--headless=new",
    "--remote-debugging-pipe",
    // Chromium has no sandbox for root, and the only pages here are those of this repository.
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--no-first-run",
];

/// A browser with one tab. Dropped, it ends.
pub(super) struct Browser {
    process: Child,
    orders: ChildStdin,
    answers: Receiver<Value>,
    /// What happened in the tab and was not looked at.
    happened: VecDeque<Value>,
    session: Option<String>,
    number: u64,
    /// Removed after the browser has ended.
    _profile: TempDir,
}

impl Browser {
    /// Starts a browser.
    pub(super) fn start(program: &Path) -> Result<Self> {
        let profile = TempDir::new()?;
        let mut command = Command::new("sh");
        command.arg("-c").arg(START).arg(program).args(OPTIONS);
        command.arg(format!("--user-data-dir={}", profile.path().display()));
        let mut process =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let (orders, told) = (process.stdin.take(), process.stdout.take());
        let (orders, told) = orders.zip(told).ok_or("the browser has no pipes")?;
        let (give, answers) = channel();
        thread::spawn(move || {
            let mut told = BufReader::new(told);
            let mut message = Vec::new();
            while told.read_until(0, &mut message).is_ok_and(|count| count > 0) {
                message.pop();
                let Ok(value) = serde_json::from_slice(&message) else { return };
                if give.send(value).is_err() {
                    return;
                }
                message.clear();
            }
        });
        let happened = VecDeque::new();
        let mut browser =
            Self { process, orders, answers, happened, session: None, number: 0, _profile: profile };
        let tab = browser.call("Target.createTarget", json!({ "url": "about:blank" }))?;
        let attached = json!({ "targetId": tab["targetId"], "flatten": true });
        let attached = browser.call("Target.attachToTarget", attached)?;
        browser.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.call(&format!("{domain}.enable"), json!({}))?;
        }
        Ok(browser)
    }

    /// Gives an order, and says what is answered.
    pub(super) fn call(&mut self, method: &str, parameters: Value) -> Result<Value> {
        self.number += 1;
        let mut order = json!({ "id": self.number, "method": method, "params": parameters });
        if let Some(session) = &self.session {
            order["sessionId"] = session.as_str().into();
        }
        self.orders.write_all(&serde_json::to_vec(&order)?)?;
        self.orders.write_all(b"\0")?;
        let until = Instant::now() + ANSWER_MAX;
        loop {
            let mut told = self.next(method, until)?;
            if told["id"] != self.number {
                self.happened.push_back(told);
            } else if told["error"].is_null() {
                return Ok(told["result"].take());
            } else {
                return Err(format!("{method}: {}", told["error"]).into());
            }
        }
    }

    fn next(&self, what: &str, until: Instant) -> Result<Value> {
        let left = until.saturating_duration_since(Instant::now());
        self.answers.recv_timeout(left).map_err(|_| format!("the browser does not answer {what}").into())
    }

    /// Waits until something has happened, and says all that happened up to then.
    fn until(&mut self, event: &str) -> Result<Vec<Value>> {
        let until = Instant::now() + ANSWER_MAX;
        let mut seen = Vec::new();
        loop {
            let next = match self.happened.pop_front() {
                Some(next) => next,
                None => self.next(event, until)?,
            };
            let is_it = next["method"] == event;
            seen.push(next);
            if is_it {
                return Ok(seen);
            }
        }
    }

    /// What happened since that was looked at last.
    pub(super) fn take_happened(&mut self) -> Vec<Value> {
        // What is under way comes before the answer.
        drop(self.call("Page.getFrameTree", json!({})));
        self.happened.drain(..).collect()
    }

    /// Goes to an address, and says what happened until the page was loaded.
    pub(super) fn go_to(&mut self, address: &str) -> Result<Vec<Value>> {
        self.happened.clear();
        let gone = self.call("Page.navigate", json!({ "url": address }))?;
        if let Some(error) = gone["errorText"].as_str() {
            return Err(format!("{address}: {error}").into());
        }
        self.until("Page.loadEventFired")
    }

    /// Waits for the page that something leads to.
    pub(super) fn wait_for_page(&mut self) -> Result<()> {
        self.until("Page.loadEventFired").map(drop)
    }

    /// What a script says.
    pub(super) fn evaluate(&mut self, script: &str) -> Result<Value> {
        let order = json!({ "expression": script, "returnByValue": true, "awaitPromise": true });
        let mut told = self.call("Runtime.evaluate", order)?;
        match &told["exceptionDetails"] {
            Value::Null => Ok(told["result"]["value"].take()),
            error => Err(format!("a script failed: {error}").into()),
        }
    }

    /// Presses a key, such as `Tab` or `Enter`.
    pub(super) fn press(&mut self, key: &str) -> Result<()> {
        let (code, text) = match key {
            "Tab" => (9, ""),
            "Enter" => (13, "\r"),
            other => return Err(format!("{other} is no key that is known here").into()),
        };
        for kind in ["keyDown", "keyUp"] {
            let mut press = json!({ "type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code });
            if kind == "keyDown" && !text.is_empty() {
                press["text"] = text.into();
            }
            self.call("Input.dispatchKeyEvent", press)?;
        }
        Ok(())
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.session = None;
        // Asked first: killed, it would leave processes of its own.
        if self.call("Browser.close", json!({})).is_err() {
            drop(self.process.kill());
        }
        drop(self.process.wait());
    }
}
