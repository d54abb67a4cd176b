use std::time::Duration;

/// How long a value is kept, and what it belongs to. A [`Duration`] alone is one without tags.
///
/// ```
/// # use std::time::Duration;
/// # use underlay_runtime::Keep;
/// let keep = Keep::new(Duration::from_secs(60)).tagged("rates").none_for(Duration::from_secs(5));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keep {
    /// How long at most: a millisecond to [`CACHE_TTL_MAX`](underlay_core::limits::CACHE_TTL_MAX).
    pub ttl: Duration,
    /// The tags, one of which takes it away when it is invalidated.
    pub tags: Vec<String>,
    /// How long it is kept that there is nothing; it is not kept where nothing is said.
    pub none_ttl: Option<Duration>,
}

impl Keep {
    /// For so long, without tags.
    #[must_use]
    pub fn new(ttl: Duration) -> Self {
        Self { ttl, tags: Vec::new(), none_ttl: None }
    }

    /// Adds a tag.
    #[must_use]
    pub fn tagged(mut self, tag: impl Into<String>) -> Self {
        self.tags.push(tag.into());
        self
    }

    /// Keeps it for so long that there is nothing.
    #[must_use]
    pub fn none_for(mut self, ttl: Duration) -> Self {
        self.none_ttl = Some(ttl);
        self
    }
}

impl From<Duration> for Keep {
    fn from(ttl: Duration) -> Self {
        Self::new(ttl)
    }
}
