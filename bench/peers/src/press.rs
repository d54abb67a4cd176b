//! Callers that each wait for their answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use figures::{Booking, Latency, Sample};
use tokio::sync::Barrier;

use crate::entrants::{Appended, Log};
use crate::{Result, Scale};

/// Accounts each caller writes in turn, where each has its own.
pub(crate) const ACCOUNTS_EACH: u64 = 100;
/// Accounts of everybody, where they are shared.
const ACCOUNTS_SHARED: usize = 100;

/// Which accounts the callers write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Accounts {
    /// Nobody writes another's.
    Own,
    /// All write the same hundred; the first is chosen most, the second half as often, and so on.
    Shared,
}

/// What callers share.
struct Press {
    log: Arc<dyn Log>,
    accounts: Accounts,
    /// How far each account is, as the last answer said: what a cache of states would know.
    seen: Vec<AtomicI64>,
    /// For each shared account, the share of all choices up to it.
    chances: Vec<f64>,
    numbers: AtomicU64,
    start: Barrier,
    warm_up: Duration,
    end: Duration,
}

#[derive(Default)]
struct Counted {
    nanoseconds: Vec<u64>,
    conflicts: u64,
}

/// Lets callers write until the time is up, and counts what was answered after the warm-up.
pub(crate) async fn press(
    log: Arc<dyn Log>,
    accounts: Accounts,
    callers: usize,
    scale: &Scale,
) -> Result<Sample> {
    let count = match accounts {
        Accounts::Own => callers * ACCOUNTS_EACH as usize,
        Accounts::Shared => ACCOUNTS_SHARED,
    };
    let press = Arc::new(Press {
        log,
        accounts,
        seen: (0..count).map(|_| AtomicI64::new(0)).collect(),
        chances: chances(ACCOUNTS_SHARED),
        numbers: AtomicU64::new(0),
        start: Barrier::new(callers),
        warm_up: scale.warm_up,
        end: scale.warm_up + scale.run,
    });
    let tasks: Vec<_> = (0..callers as u64).map(|caller| tokio::spawn(call(press.clone(), caller))).collect();
    let (mut nanoseconds, mut conflicts) = (Vec::new(), 0);
    for task in tasks {
        let counted = task.await??;
        nanoseconds.extend(counted.nanoseconds);
        conflicts += counted.conflicts;
    }
    let stored = nanoseconds.len() as f64;
    Ok(Sample {
        value: stored / scale.run.as_secs_f64(),
        latency: Latency::of(nanoseconds),
        conflicts: Some(conflicts as f64 / stored),
    })
}

async fn call(press: Arc<Press>, caller: u64) -> Result<Counted> {
    let mut counted = Counted::default();
    let mut dice = Dice(caller + 1);
    press.start.wait().await;
    let began = Instant::now();
    for turn in 0.. {
        let account = match press.accounts {
            Accounts::Own => caller * ACCOUNTS_EACH + turn % ACCOUNTS_EACH,
            Accounts::Shared => dice.choose(&press.chances),
        };
        let seen = &press.seen[account as usize];
        let number = press.numbers.fetch_add(1, Ordering::Relaxed);
        let asked = Instant::now();
        // A commit is answered when it is stored; the time of its conflicts is its own.
        loop {
            match press.log.append(Booking { account, number }, seen.load(Ordering::Acquire)).await? {
                Appended::Stored(now) => {
                    seen.fetch_max(now, Ordering::AcqRel);
                    break;
                }
                Appended::Conflict(now) => {
                    seen.fetch_max(now, Ordering::AcqRel);
                    counted.conflicts += u64::from(began.elapsed() >= press.warm_up);
                }
            }
            if began.elapsed() >= press.end {
                return Ok(counted);
            }
        }
        let elapsed = began.elapsed();
        if elapsed >= press.end {
            break;
        }
        if elapsed >= press.warm_up {
            counted.nanoseconds.push(u64::try_from(asked.elapsed().as_nanos())?);
        }
    }
    Ok(counted)
}

/// Zipf with the exponent 1: the chance of the nth is 1/n of the first's.
fn chances(count: usize) -> Vec<f64> {
    let weights = (1..=count).map(|place| 1.0 / place as f64);
    let all: f64 = weights.clone().sum();
    weights
        .scan(0.0, |sum, weight| {
            *sum += weight / all;
            Some(*sum)
        })
        .collect()
}

/// Numbers by chance that are the same in every run (xorshift).
struct Dice(u64);

impl Dice {
    fn choose(&mut self, chances: &[f64]) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let thrown = (self.0 >> 11) as f64 / (1_u64 << 53) as f64;
        chances.partition_point(|chance| *chance < thrown).min(chances.len() - 1) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_account_is_chosen_twice_as_often_as_the_second() {
        let (chances, mut dice, mut chosen) = (chances(100), Dice(1), [0_u32; 100]);
        for _ in 0..100_000 {
            chosen[dice.choose(&chances) as usize] += 1;
        }
        let ratio = f64::from(chosen[0]) / f64::from(chosen[1]);
        assert!((1.9..2.1).contains(&ratio), "{ratio}");
        assert!(chosen.iter().all(|count| *count > 0));
    }
}
