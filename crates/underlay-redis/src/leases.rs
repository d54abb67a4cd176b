use std::sync::LazyLock;
use std::time::Duration;

use async_trait::async_trait;
use redis::Script;
use underlay_core::adapter::stored_time;
use underlay_core::{Error, Lease, LeaseId, Leases, check_lease};

use crate::RedisStore;
use crate::connections::Asked;
use crate::error::Effect;

macro_rules! script {
    ($file:literal) => {
        LazyLock::new(|| {
            Script::new(concat!(include_str!("scripts/hold.lua"), include_str!(concat!("scripts/", $file))))
        })
    };
}

static ACQUIRE: LazyLock<Script> = script!("acquire_lease.lua");
static RENEW: LazyLock<Script> = script!("renew_lease.lua");
static FIND: LazyLock<Script> = script!("find_lease.lua");
static RELEASE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/release_lease.lua")));

const DOING: &str = "using a lease in Redis";

#[async_trait]
impl Leases for RedisStore {
    async fn acquire(&self, name: &str, holder: &str, duration: Duration) -> Result<Option<Lease>, Error> {
        check_lease(name, holder, duration)?;
        let mut script = ACQUIRE.prepare_invoke();
        script.key(self.0.keys.lease(name)).arg(self.now()).arg(microseconds(duration));
        script.arg(holder).arg(stored_id(LeaseId::draw()));
        self.lease(name, Asked::Script(&script)).await
    }

    async fn renew(&self, lease: &Lease, duration: Duration) -> Result<Lease, Error> {
        check_lease(&lease.name, &lease.holder, duration)?;
        let mut script = RENEW.prepare_invoke();
        script.key(self.0.keys.lease(&lease.name)).arg(self.now()).arg(microseconds(duration));
        script.arg(lease.term.to_string()).arg(stored_id(lease.id));
        self.lease(&lease.name, Asked::Script(&script)).await?.ok_or_else(|| lease.term().lost())
    }

    async fn find(&self, name: &str) -> Result<Option<Lease>, Error> {
        let mut script = FIND.prepare_invoke();
        script.key(self.0.keys.lease(name)).arg(self.now());
        self.lease(name, Asked::Script(&script)).await
    }

    async fn release(&self, lease: &Lease) -> Result<(), Error> {
        let mut script = RELEASE.prepare_invoke();
        script.key(self.0.keys.lease(&lease.name)).arg(lease.term.to_string()).arg(stored_id(lease.id));
        self.ask::<i64>(DOING, Effect::Repeatable, Asked::Script(&script)).await.map(drop)
    }
}

impl RedisStore {
    /// The microseconds since 1970 that leases go by; empty are those of the server.
    pub(crate) fn now(&self) -> String {
        let clock = self.0.config.clock.as_ref();
        clock.map_or_else(String::new, |clock| clock.now().as_microsecond().to_string())
    }

    /// What a script says of a lease. Each of them may be asked again.
    async fn lease(&self, name: &str, asked: Asked<'_>) -> Result<Option<Lease>, Error> {
        let stored: Vec<Option<String>> = self.ask(DOING, Effect::Repeatable, asked).await?;
        if stored.is_empty() {
            return Ok(None);
        }
        let read = || {
            let [Some(holder), Some(term), Some(id), Some(until)] = stored.as_slice() else { return None };
            Some(Lease {
                name: name.to_owned(),
                holder: holder.clone(),
                term: term.parse().ok()?,
                id: LeaseId(id.parse().ok()?),
                expires_at: stored_time(until.parse().ok()?)?,
            })
        };
        read().map(Some).ok_or_else(|| Error::Damaged(format!("lease {name:?} cannot be read")))
    }
}

/// The id of an acquisition as it is stored.
pub(crate) fn stored_id(id: LeaseId) -> String {
    id.0.to_string()
}

fn microseconds(duration: Duration) -> String {
    duration.as_micros().to_string()
}
