//! How fast the log grows, commands are answered, and whatever follows the log goes on.
//!
//! ```text
//!  /readyz, /metrics, a page ─► what the store said anyway ─► reading ─► readings of the last minute
//!                                                                            │
//!                                       between the oldest and the newest: Pace ─► page
//! ```
//!
//! Nothing runs for it by itself, and the store is asked nothing more: whoever looks at where everything stands leaves a
//! reading. So a pace is known from the second look on.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use underlay_core::{Position, Timestamp};
use underlay_runtime::{FollowerStanding, Overview, Standings};

/// How far back a pace is taken from.
const WINDOW: Duration = Duration::from_secs(60);
/// The shortest time that says anything: what the store said may be a second old at either end.
const SPAN_MIN: Duration = Duration::from_secs(4);
/// Between two readings that are kept.
const BETWEEN_MIN: Duration = Duration::from_secs(1);
/// Readings that are kept.
const READINGS_MAX: usize = 64;

/// What follows the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Follows {
    View,
    Process,
    Pump,
}

/// Where everything stood at one moment. What was not known is left out.
#[derive(Debug)]
struct Reading {
    at: Timestamp,
    /// Commands that this process had answered.
    commands: u64,
    head: Option<Position>,
    positions: BTreeMap<(Follows, String), Position>,
}

/// The readings of the last minute.
#[derive(Debug, Default)]
pub(crate) struct Paces(Mutex<VecDeque<Reading>>);

impl Paces {
    /// Keeps what was read, unless something was read just before.
    pub(crate) fn keep(
        &self,
        at: Timestamp,
        commands: u64,
        views: Option<&Standings>,
        work: Option<&Overview>,
    ) {
        let views_at = views.into_iter().flat_map(|known| &known.views);
        let views_at = views_at.map(|view| ((Follows::View, view.view.clone()), view.position));
        let of = |follows, standings: Option<&[FollowerStanding]>| {
            let standings = standings.unwrap_or_default().iter();
            standings.map(move |one| ((follows, one.name.clone()), one.position)).collect::<Vec<_>>()
        };
        let processes = of(Follows::Process, work.map(|known| known.processes.as_slice()));
        let pumps = of(Follows::Pump, work.map(|known| known.pumps.as_slice()));
        let positions = views_at.chain(processes).chain(pumps).collect();
        self.keep_reading(Reading { at, commands, head: views.map(|known| known.head), positions });
    }

    fn keep_reading(&self, reading: Reading) {
        let mut readings = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A clock that was set back makes the older ones say nothing. Of two who look at one moment, the first may come
        // second.
        if readings.back().is_some_and(|last| between(reading.at, last.at) >= BETWEEN_MIN) {
            readings.clear();
        }
        if readings.back().is_some_and(|last| between(last.at, reading.at) < BETWEEN_MIN) {
            return;
        }
        while readings.len() >= READINGS_MAX
            || readings.front().is_some_and(|first| between(first.at, reading.at) > WINDOW)
        {
            readings.pop_front();
        }
        readings.push_back(reading);
    }

    /// How fast everything was in the last minute, or in as much of it as there are readings of.
    pub(crate) fn told(&self, now: Timestamp) -> Pace {
        let readings = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let recent =
            || readings.iter().filter(|reading| reading.at <= now && between(reading.at, now) <= WINDOW);
        let rate_of = |value: &dyn Fn(&Reading) -> Option<u64>| {
            let mut known = recent().filter_map(|reading| Some((reading.at, value(reading)?)));
            let first = known.next()?;
            let last = known.last()?;
            rate(first, last)
        };
        let names = recent().flat_map(|reading| reading.positions.keys()).cloned();
        let names: BTreeSet<(Follows, String)> = names.collect();
        let followers = names.into_iter().filter_map(|name| {
            let rate = rate_of(&|reading| Some(reading.positions.get(&name)?.number()))?;
            Some((name, rate))
        });
        Pace {
            events: rate_of(&|reading| Some(reading.head?.number())),
            commands: rate_of(&|reading| Some(reading.commands)),
            followers: followers.collect(),
        }
    }
}

/// How fast everything is, in so many a second. What is not known yet is none.
#[derive(Debug)]
pub(crate) struct Pace {
    /// Events that all processes store, of all tenants.
    pub(crate) events: Option<f64>,
    /// Commands that this process answers.
    pub(crate) commands: Option<f64>,
    followers: BTreeMap<(Follows, String), f64>,
}

/// When somebody will have reached the end of the log who goes on as now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    In(Duration),
    /// The log grows as fast, or faster.
    Never,
}

impl Pace {
    /// Events a second that somebody goes past.
    pub(crate) fn of(&self, follows: Follows, name: &str) -> Option<f64> {
        self.followers.get(&(follows, name.to_owned())).copied()
    }

    /// When somebody is at the end of the log who is so many events behind it.
    #[expect(clippy::cast_precision_loss, reason = "a time that is told in whole seconds")]
    pub(crate) fn arrival(&self, follows: Follows, name: &str, behind: u64) -> Option<Arrival> {
        let gains = self.of(follows, name)? - self.events?;
        let seconds = behind as f64 / gains;
        match Duration::try_from_secs_f64(seconds) {
            Ok(left) if gains > 0.0 => Some(Arrival::In(left)),
            _ => Some(Arrival::Never),
        }
    }
}

fn between(earlier: Timestamp, later: Timestamp) -> Duration {
    Duration::try_from(later.duration_since(earlier)).unwrap_or_default()
}

/// None where too little time has passed, or what is counted began anew.
#[expect(clippy::cast_precision_loss, reason = "a rate is told with two digits")]
fn rate((from, first): (Timestamp, u64), (until, last): (Timestamp, u64)) -> Option<f64> {
    let span = between(from, until);
    let more = last.checked_sub(first)?;
    (span >= SPAN_MIN).then(|| more as f64 / span.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + second).unwrap()
    }

    fn read(paces: &Paces, second: i64, head: u64, view: u64) {
        let positions = BTreeMap::from([((Follows::View, "v".to_owned()), Position::from_number(view))]);
        paces.keep_reading(Reading {
            at: at(second),
            commands: head / 2,
            head: Some(Position::from_number(head)),
            positions,
        });
    }

    #[test]
    fn nothing_is_known_of_one_reading_or_of_two_close_ones() {
        let paces = Paces::default();
        assert!(paces.told(at(0)).events.is_none());
        read(&paces, 0, 100, 0);
        assert!(paces.told(at(0)).events.is_none());
        read(&paces, 3, 200, 0);
        assert!(paces.told(at(3)).events.is_none());
        read(&paces, 10, 300, 0);
        assert_eq!(paces.told(at(10)).events, Some(20.0));
        assert_eq!(paces.told(at(10)).commands, Some(10.0));
    }

    #[test]
    fn a_pace_is_that_of_the_last_minute() {
        let paces = Paces::default();
        for (second, head) in [(0, 0), (50, 5_000), (100, 5_500)] {
            read(&paces, second, head, 0);
        }
        assert_eq!(paces.told(at(100)).events, Some(10.0));
        assert!(paces.told(at(300)).events.is_none(), "nobody has looked since");
    }

    #[test]
    fn who_follows_arrives_where_it_is_faster_than_the_log_grows() {
        let paces = Paces::default();
        read(&paces, 0, 1_000, 0);
        read(&paces, 10, 1_100, 300);
        let pace = paces.told(at(10));
        assert_eq!(pace.of(Follows::View, "v"), Some(30.0));
        assert_eq!(pace.arrival(Follows::View, "v", 800), Some(Arrival::In(Duration::from_secs(40))));
        assert_eq!(pace.of(Follows::Pump, "v"), None);
        assert_eq!(pace.arrival(Follows::Pump, "v", 800), None);
        read(&paces, 20, 2_000, 310);
        assert_eq!(paces.told(at(20)).arrival(Follows::View, "v", 1_690), Some(Arrival::Never));
    }

    #[test]
    fn what_began_anew_and_a_clock_that_was_set_back_say_nothing() {
        let paces = Paces::default();
        read(&paces, 0, 1_000, 500);
        read(&paces, 10, 1_100, 100);
        assert_eq!(paces.told(at(10)).of(Follows::View, "v"), None, "a rebuild began from the start");
        read(&paces, 5, 1_200, 200);
        assert!(paces.told(at(5)).events.is_none());
    }

    #[test]
    fn of_two_who_look_at_one_moment_the_first_may_come_second() {
        let paces = Paces::default();
        read(&paces, 0, 1_000, 500);
        read(&paces, 10, 1_100, 600);
        let at = at(10).saturating_sub(Duration::from_micros(20)).unwrap();
        paces.keep_reading(Reading { at, commands: 0, head: None, positions: BTreeMap::new() });
        assert_eq!(paces.told(self::at(10)).events, Some(10.0));
    }

    #[test]
    fn readings_are_bounded() {
        let paces = Paces::default();
        for second in 0..500 {
            read(&paces, second / 4, 0, 0);
        }
        assert!(paces.0.lock().unwrap().len() <= READINGS_MAX);
    }
}
