//! A store of entities that is away: the service starts and goes on without it, says so, and uses it again by itself.

use std::fs::{self, File};

use serde_json::json;

use crate::http::Client;
use crate::payments::{get, open_purse, wait_until};
use crate::program::Ledger;

/// A server that a test stops and starts again, and how a service is told of it.
struct Stoppable<S> {
    server: S,
    stop: fn(&mut S),
    resume: fn(&mut S),
    arguments: Vec<String>,
}

impl<S> Stoppable<S> {
    /// Serves beside a server that is away twice; what the log of the service says.
    fn serve_while_it_is_away_twice(mut self) -> String {
        (self.stop)(&mut self.server);
        let ledger = Ledger::new();
        let log = ledger.directory.path().join("log");
        let arguments: Vec<&str> = self.arguments.iter().map(String::as_str).collect();
        let (_serving, address) = ledger.serve_logging(&arguments, File::create(&log).unwrap().into());
        let client = Client::new(address.clone());
        open_purse(&address);
        let metric = |number: u8| {
            let answer = ureq::get(format!("{address}/metrics")).call().unwrap();
            let text = answer.into_body().read_to_string().unwrap();
            let line = format!("\nunderlay_part_ready{{part=\"entities\"}} {number}\n");
            text.contains(&line).then_some(())
        };
        let rate = json!({ "id": "EUR@USD", "base": "EUR", "quote": "USD", "value": "1.08" });
        for is_first in [true, false] {
            let ready = wait_until(&address, "it is not told", || {
                let ready = get(&address, "/readyz");
                (ready["parts"]["entities"] == "degraded").then_some(ready)
            });
            assert_eq!(
                (&ready["status"], &ready["parts"]["store"], &ready["parts"]["views"]),
                (&json!("degraded"), &json!("ready"), &json!("ready"))
            );
            let trouble = ready["troubles"]["entities"].as_str().unwrap();
            assert!(trouble.contains("a store of entities cannot be used"), "{trouble}");
            assert!(!ready.to_string().contains("127.0.0.1"), "{ready}");
            wait_until(&address, "the metrics do not tell it", || metric(0));
            assert_eq!(client.get("entities/rate/EUR@USD").0, 503);
            assert_eq!(client.get("views/balances").0, 200, "all else is served");

            (self.resume)(&mut self.server);
            wait_until(&address, "it is told to be away for ever", || {
                (get(&address, "/readyz")["status"] == "ready").then_some(())
            });
            wait_until(&address, "the metrics do not follow", || metric(1));
            if is_first {
                assert_eq!(client.post("entities/rate", &[], &rate).0, 201);
                (self.stop)(&mut self.server);
            }
        }
        assert_eq!(client.get("entities/rate/EUR@USD").0, 200);
        let log = fs::read_to_string(log).unwrap();
        for told in ["a store cannot be used", "a store can be used again"] {
            assert_eq!(log.matches(told).count(), 2, "{told}: {log}");
        }
        log
    }
}

#[cfg(feature = "redis")]
#[test]
fn a_redis_that_is_away_degrades_the_service() {
    let arguments = ["--requirepass", "hunter2", "--appendfsync", "everysec"];
    let server = match servers::Redis::start_with(&arguments) {
        Ok(server) => server,
        Err(missing) => return missing.skip_test(),
    };
    let address = format!("redis://:hunter2@{}", server.host());
    let log = Stoppable {
        server,
        stop: |server| server.stop("TERM").unwrap(),
        resume: |server| server.resume().unwrap(),
        arguments: ["--entities-store", &address].map(str::to_owned).into(),
    }
    .serve_while_it_is_away_twice();
    // Whenever it comes, it may be configured otherwise.
    assert_eq!(log.matches("appendfsync is everysec").count(), 2, "{log}");
    assert!(log.contains("redis://:***@127.0.0.1") && !log.contains("hunter2"), "{log}");
}

#[cfg(feature = "mongodb")]
#[test]
fn a_mongodb_that_is_away_degrades_the_service() {
    let server = match servers::Mongodb::start() {
        Ok(server) => server,
        Err(missing) => return missing.skip_test(),
    };
    let address = server.address_of("ledger");
    let arguments = ["--entities-store", &address, "--mongodb-selection-timeout", "500ms"];
    Stoppable {
        server,
        stop: |server| server.stop(false).unwrap(),
        resume: |server| server.resume().unwrap(),
        arguments: arguments.map(str::to_owned).into(),
    }
    .serve_while_it_is_away_twice();
}
