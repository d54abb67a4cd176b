use std::time::Duration;

use underlay_core::limits::CACHE_TTL_MAX;
use underlay_core::options::{ConfigOption, Configurable, Place};

/// The bounds of a cache in a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheConfig {
    /// Values that are kept in the process: at least 1.
    pub items_max: usize,
    /// Bytes of them, about. A value counts its bytes twice, since it is kept as it is stored and as it is used.
    pub bytes_max: usize,
    /// Bytes of them that one tenant keeps for certain while others want room; what is free anybody may use.
    pub tenant_bytes_max: usize,
    /// How long a value stays in the process before the cache behind it is asked again, where there is one.
    pub inner_ttl: Duration,
}

impl Default for CacheConfig {
    fn default() -> Self {
        Self {
            items_max: 100_000,
            bytes_max: 64 << 20,
            tenant_bytes_max: 16 << 20,
            inner_ttl: Duration::from_secs(30),
        }
    }
}

impl CacheConfig {
    /// What a value takes at least of [`CacheConfig::bytes_max`], so that there are never more than
    /// [`CacheConfig::items_max`], and a tenant with many small ones comes beyond its share too.
    pub(super) fn item_bytes_min(&self) -> usize {
        self.bytes_max.div_ceil(self.items_max.max(1))
    }
}

impl Configurable for CacheConfig {
    const OPTIONS: &'static [ConfigOption<Self>] = &[
        ConfigOption::<Self>::new("items_max", "Values that the cache keeps in the process", |config| {
            Place::Count(&mut config.items_max)
        })
        .at_least(1),
        ConfigOption::<Self>::new("bytes_max", "Bytes of them", |config| Place::Bytes(&mut config.bytes_max)),
        ConfigOption::<Self>::new(
            "tenant_bytes_max",
            "Bytes of them that one tenant keeps while others want room",
            |config| Place::Bytes(&mut config.tenant_bytes_max),
        ),
        ConfigOption::<Self>::new(
            "inner_ttl",
            "How long a value stays in the process before the store of the cache is asked again",
            |config| Place::Time(&mut config.inner_ttl),
        )
        .at_least(1)
        .at_most(CACHE_TTL_MAX.as_millis() as u64),
    ];
}
