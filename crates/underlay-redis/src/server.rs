//! What the server is, and what it would lose.

use redis::{Cmd, cmd};
use underlay_core::Error;

use crate::RedisStore;
use crate::connections::Asked;
use crate::error::Effect;

/// The oldest server that has what is used here.
const VERSION_MIN: u32 = 7;

impl RedisStore {
    /// Where this server would lose what it has answered, each a sentence for an operator. Empty where it flushes each
    /// write to the disk before it answers, removes nothing of its own accord, and is the primary.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Denied`].
    pub async fn weaknesses(&self) -> Result<Vec<String>, Error> {
        let role = self.info("replication", "role").await?;
        let mut weak = Vec::new();
        if role.is_some_and(|role| role != "master") {
            weak.push("this Redis is a replica: it takes no changes".to_owned());
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

    /// Asks whether the server is there and takes changes.
    ///
    /// # Errors
    /// As the table of errors says; [`Error::Invalid`] where the server is too old.
    pub async fn check(&self) -> Result<(), Error> {
        let version = self.info("server", "redis_version").await?.unwrap_or_default();
        let major = version.split('.').next().and_then(|major| major.parse().ok()).unwrap_or(0_u32);
        if major < VERSION_MIN {
            return Err(Error::invalid(format!(
                "this Redis has version {version:?}; what is used here needs {VERSION_MIN} or newer"
            )));
        }
        Ok(())
    }

    /// One line of what the server tells of itself.
    async fn info(&self, section: &str, name: &str) -> Result<Option<String>, Error> {
        let mut ask = cmd("INFO");
        ask.arg(section);
        let asked = Asked::Command(&ask);
        let told: String = self.ask("asking Redis about itself", Effect::Repeatable, asked).await?;
        let value =
            |line: &str| line.strip_prefix(name)?.strip_prefix(':').map(|value| value.trim().to_owned());
        Ok(told.lines().find_map(value))
    }

    async fn told_of(&self, doing: &str, ask: &Cmd) -> Result<Vec<(String, String)>, Error> {
        let told: std::collections::HashMap<String, String> =
            self.ask(doing, Effect::Repeatable, Asked::Command(ask)).await?;
        Ok(told.into_iter().collect())
    }
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
