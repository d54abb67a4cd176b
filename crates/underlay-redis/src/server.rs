//! What the server is, and what it would lose.

use async_trait::async_trait;
use redis::{Cmd, cmd};
use underlay_core::{Error, Health};

use crate::RedisStore;
use crate::connections::Asked;
use crate::error::Effect;

/// The oldest server that has what is used here.
const VERSION_MIN: u32 = 7;
/// What is said of a server that only copies another.
const REPLICA: &str = "this Redis is a replica: it takes no changes";

impl RedisStore {
    /// Where this server would lose what it has answered, each a sentence for an operator. Empty where it flushes each
    /// write to the disk before it answers, removes nothing of its own accord, and is the primary.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Denied`].
    pub async fn weaknesses(&self) -> Result<Vec<String>, Error> {
        let mut weak = Vec::new();
        if is_replica(&self.info("replication").await?) {
            weak.push(REPLICA.to_owned());
        }
        let mut ask = cmd("CONFIG");
        ask.arg("GET").arg("appendonly").arg("appendfsync").arg("maxmemory").arg("maxmemory-policy");
        match self.told_of("reading the configuration of Redis", &ask).await {
            Ok(settings) => weak.extend(weak_settings(&settings)),
            Err(error) if error.is_retryable() => return Err(error),
            Err(error) => {
                weak.push(format!("it cannot be told what this Redis would lose: it does not say how it is configured ({error})"));
            }
        }
        Ok(weak)
    }

    /// Asks whether the server is there and new enough.
    ///
    /// # Errors
    /// As the table of errors says; [`Error::Invalid`] where the server is too old.
    pub async fn check(&self) -> Result<(), Error> {
        let told = self.info("server").await?;
        let version = line_of(&told, "redis_version").unwrap_or_default();
        let major = version.split('.').next().and_then(|major| major.parse().ok()).unwrap_or(0_u32);
        if major < VERSION_MIN {
            return Err(Error::invalid(format!(
                "this Redis has version {version:?}; what is used here needs {VERSION_MIN} or newer"
            )));
        }
        Ok(())
    }

    /// What the server tells of itself in one section.
    async fn info(&self, section: &str) -> Result<String, Error> {
        let mut ask = cmd("INFO");
        ask.arg(section);
        self.ask("asking Redis about itself", Effect::Repeatable, Asked::Command(&ask)).await
    }

    async fn told_of(&self, doing: &str, ask: &Cmd) -> Result<Vec<(String, String)>, Error> {
        let told: std::collections::HashMap<String, String> =
            self.ask(doing, Effect::Repeatable, Asked::Command(ask)).await?;
        Ok(told.into_iter().collect())
    }
}

#[async_trait]
impl Health for RedisStore {
    /// A replica, a server without memory and one that loads or cannot write its disk are there, and take no changes.
    async fn check(&self) -> Result<(), Error> {
        Self::check(self).await?;
        // The server refuses this one as it would refuse a change, but for the two cases below.
        let doing = "asking whether Redis takes changes";
        let () = self.ask(doing, Effect::Repeatable, Asked::Command(&cmd("PING"))).await?;
        if is_replica(&self.info("replication").await?) {
            return Err(Error::unavailable(format!(
                "{REPLICA}; the address leads to the primary after a failover"
            )));
        }
        if is_full(&self.info("memory").await?) {
            return Err(Error::unavailable(
                "the memory of this Redis is full, and it takes no changes; raise its `maxmemory`",
            ));
        }
        Ok(())
    }

    async fn weaknesses(&self) -> Result<Vec<String>, Error> {
        Self::weaknesses(self).await
    }
}

/// One line of what the server told.
fn line_of<'a>(told: &'a str, name: &str) -> Option<&'a str> {
    told.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(str::trim))
}

fn is_replica(replication: &str) -> bool {
    line_of(replication, "role").is_some_and(|role| role != "master")
}

/// Whether changes are refused for want of memory. A server that may remove values makes room instead.
fn is_full(memory: &str) -> bool {
    let number =
        |name: &str| line_of(memory, name).and_then(|number| number.parse::<u64>().ok()).unwrap_or(0);
    // What replicas and the file that is written take is not counted.
    let used = number("used_memory").saturating_sub(number("mem_not_counted_for_evict"));
    let room = number("maxmemory");
    room > 0 && used > room && line_of(memory, "maxmemory_policy") == Some("noeviction")
}

fn weak_settings(settings: &[(String, String)]) -> Vec<String> {
    let of = |name: &str| {
        let found = settings.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value.as_str())
    };
    let mut weak = Vec::new();
    if of("appendonly") != "yes" {
        weak.push(
            "appendonly is off: when this Redis ends, it loses what was answered since its last snapshot; set \
             `appendonly yes` and `appendfsync always`"
                .to_owned(),
        );
    } else if of("appendfsync") != "always" {
        weak.push(format!(
            "appendfsync is {}: when the machine of this Redis fails, it loses what was answered in the last moments; \
             set `appendfsync always`",
            of("appendfsync")
        ));
    }
    let (room, policy) = (of("maxmemory"), of("maxmemory-policy"));
    if room != "0" && policy != "noeviction" {
        weak.push(format!(
            "maxmemory-policy is {policy}: when its memory is full, this Redis removes what was stored; set \
             `maxmemory-policy noeviction`, and keep the cache in another Redis"
        ));
    }
    weak
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_server_is_one_that_makes_no_room() {
        let told = |used: u64, room: u64, policy: &str| {
            is_full(&format!(
                "# Memory\r\nused_memory:{used}\r\nmaxmemory:{room}\r\nmaxmemory_policy:{policy}\r\nmem_not_counted_for_evict:10\r\n"
            ))
        };
        assert!(told(111, 100, "noeviction"));
        assert!(
            !told(110, 100, "noeviction") && !told(111, 0, "noeviction") && !told(111, 100, "allkeys-lru")
        );
    }

    #[test]
    fn what_would_be_lost_is_told() {
        let told = |append: &str, flush: &str, room: &str, policy: &str| {
            let names = ["appendonly", "appendfsync", "maxmemory", "maxmemory-policy"];
            let settings: Vec<(String, String)> = names
                .into_iter()
                .zip([append, flush, room, policy])
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect();
            weak_settings(&settings)
        };
        assert!(told("yes", "always", "0", "allkeys-lru").is_empty());
        assert!(told("yes", "always", "100", "noeviction").is_empty());
        for (weak, named) in [
            (told("no", "always", "0", "noeviction"), "appendonly is off"),
            (told("yes", "everysec", "0", "noeviction"), "appendfsync is everysec"),
            (told("yes", "always", "100", "allkeys-lru"), "maxmemory-policy is allkeys-lru"),
        ] {
            assert!(weak.len() == 1 && weak[0].contains(named), "{weak:?}");
        }
    }
}
