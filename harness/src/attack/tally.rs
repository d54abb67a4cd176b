//! What the attacks came to: how many tries, what leaked, and what did not work as an attack.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Examples kept of one attack.
const EXAMPLES_MAX: usize = 5;

/// All attacks of one run.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) attacks: Vec<Attack>,
    /// Tries by method of a port or of the engine.
    pub(super) methods: BTreeMap<&'static str, u64>,
}

impl Tally {
    /// Adds an attack that has ended.
    pub(super) fn add(&mut self, mut attack: Attack) {
        attack.time = attack.began.elapsed();
        for (method, tries) in std::mem::take(&mut attack.methods) {
            *self.methods.entry(method).or_default() += tries;
        }
        self.attacks.push(attack);
    }

    pub(super) fn leaks(&self) -> u64 {
        self.attacks.iter().map(|attack| attack.leaks.count).sum()
    }

    /// Whether every attack was one, and found nothing.
    pub(super) fn is_good(&self) -> bool {
        self.attacks.iter().all(|attack| attack.leaks.count == 0 && attack.works())
    }
}

/// Things of a kind: how many, and the first of them.
#[derive(Debug, Default)]
pub(super) struct Kind {
    pub(super) count: u64,
    pub(super) examples: Vec<String>,
}

impl Kind {
    fn add(&mut self, text: String) {
        self.count += 1;
        if self.examples.len() < EXAMPLES_MAX {
            self.examples.push(text);
        }
    }
}

/// One way to attack.
#[derive(Debug)]
pub(super) struct Attack {
    pub(super) name: &'static str,
    pub(super) tries: u64,
    /// Rows or rights of others that were had.
    pub(super) leaks: Kind,
    /// Tries that did not attack anything: what they should have been given was not.
    pub(super) broken: Kind,
    /// Why nothing was tried, where something it needs is missing.
    pub(super) skipped: Option<String>,
    /// How long it took, once it has ended.
    pub(super) time: Duration,
    began: Instant,
    methods: BTreeMap<&'static str, u64>,
}

impl Attack {
    pub(super) fn new(name: &'static str) -> Self {
        Self {
            name,
            tries: 0,
            leaks: Kind::default(),
            broken: Kind::default(),
            skipped: None,
            time: Duration::ZERO,
            began: Instant::now(),
            methods: BTreeMap::new(),
        }
    }

    /// Counts a try of a method.
    pub(super) fn tried_method(&mut self, method: &'static str) {
        self.tries += 1;
        *self.methods.entry(method).or_default() += 1;
    }

    pub(super) fn leak(&mut self, text: impl Into<String>) {
        self.leaks.add(text.into());
    }

    /// Counts a try; what it says is a leak where `leaked`.
    pub(super) fn judge(&mut self, leaked: bool, text: impl FnOnce() -> String) {
        self.tries += 1;
        if leaked {
            self.leaks.add(text());
        }
    }

    /// That an attack is one: with its own tenant and role it gets what it should.
    pub(super) fn control(&mut self, works: bool, text: impl FnOnce() -> String) {
        if !works {
            self.broken.add(text());
        }
    }

    pub(super) fn skip(&mut self, reason: impl Into<String>) {
        self.skipped = Some(reason.into());
    }

    pub(super) fn works(&self) -> bool {
        self.broken.count == 0 && (self.tries > 0 || self.skipped.is_some())
    }
}
