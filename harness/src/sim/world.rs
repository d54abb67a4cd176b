//! A run of one seed: programs that come and go over the same stores, clients with errands, and an operator who looks
//! after dead letters.
//!
//! ```text
//!  trouble: calls fail, programs are paused, killed and told to end ──► calm: nothing fails any more ──► at rest ──► audit
//! ```
//!
//! Where it does not come to rest in the calm, something is stuck.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use underlay_core::limits::WORK_PAGE_MAX;
use underlay_core::memory::{
    MemoryCheckpoints, MemoryEventStore, MemoryLeases, MemoryReadModels, MemorySchedules,
};
use underlay_core::{
    Clock, Error, EventStore, Json, Payload, TenantId, Timestamp, WorkFilter, WorkHint, WorkInfo, WorkPlace,
    WorkQueue,
};
use underlay_runtime::{Engine, LetterOrder, Missed, Request};

use super::agenda::{AgendaClock, Due};
use super::audit;
use super::bank::{ACCOUNTS, TENANTS, Transfer};
use super::errand::{Answer, Errand, Wish, try_errand};
use super::mistakes::{Mistake, Stores};
use super::network::Weather;
use super::outside::is_poison;
use super::program::{House, Program};
use super::stage::{Breach, Promise, Stage};
use crate::dice::Dice;

/// How long there is trouble.
const TROUBLE: Duration = Duration::from_secs(70);
/// How long schedules are kept after that: longer than any pause, so that every moment of the trouble comes.
pub(crate) const SCHEDULES_KEPT: Duration = Duration::from_secs(35);
/// How long it may take after the trouble until everything is at rest.
const CALM_MAX: Duration = Duration::from_secs(30 * 60);
/// What may happen in one run: more is a program that never rests.
const HAPPENINGS_MAX: u64 = 3_000_000;
/// How long a client waits for an answer before it asks again.
const PATIENCE: Duration = Duration::from_secs(6);
/// How often the operator looks.
const ROUND: Duration = Duration::from_secs(4);
/// How often it is looked whether everything is at rest.
const LOOK: Duration = Duration::from_secs(3);
/// The number of the stores' clock: no program sleeps by it.
const STORES: usize = usize::MAX;
/// What an account has at first.
const FIRST_CENTS: i64 = 500;

/// What happens to the world.
#[derive(Clone, Debug)]
pub(crate) enum Happening {
    /// A program hears that the log may have grown, and where there may be work.
    Hint(usize, WorkHint),
    Start(usize),
    Kill(usize),
    Pause(usize, Duration),
    GoOn {
        program: usize,
        lives: u64,
        pause: u64,
    },
    Cut(usize, Duration),
    Stop(usize),
    /// A program has ended by itself, in that life.
    Ended(usize, u64),
    /// A client tries an errand, which it has tried so often.
    Try(usize, u32),
    Answered {
        errand: usize,
        try_number: u32,
        answer: Answer,
    },
    /// The operator looks after dead letters.
    Round,
    Calm,
    Look,
}

/// What a run came to.
pub(crate) struct Ending {
    pub(crate) trace: Vec<String>,
    pub(crate) hash: u64,
    pub(crate) breaches: Vec<Breach>,
    pub(crate) tally: Tally,
}

/// What was done in a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Tally {
    pub(crate) commits: u64,
    pub(crate) deliveries: u64,
    pub(crate) repeated_deliveries: u64,
    pub(crate) faults: u64,
    pub(crate) kills: u64,
    pub(crate) pauses: u64,
    pub(crate) endings: u64,
    pub(crate) letters: u64,
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.commits += other.commits;
        self.deliveries += other.deliveries;
        self.repeated_deliveries += other.repeated_deliveries;
        self.faults += other.faults;
        self.kills += other.kills;
        self.pauses += other.pauses;
        self.endings += other.endings;
        self.letters += other.letters;
    }
}

/// Everything there is in a run.
pub(crate) struct World {
    pub(crate) house: House,
    pub(crate) errands: Vec<Errand>,
    programs: Vec<Program>,
    dice: Dice,
    tally: Tally,
    calm_since: Option<i64>,
    is_over: bool,
}

/// Plays a seed.
pub(crate) fn play(seed: u64, mistake: Option<Mistake>) -> Ending {
    let mut world = World::new(seed, mistake);
    world.run();
    world.end()
}

impl World {
    fn new(seed: u64, mistake: Option<Mistake>) -> Self {
        let mut dice = Dice::new(seed);
        // Some day of a week in which clocks are put forward.
        let began = 1_774_400_000_000_000_i64 + i64::try_from(dice.below(604_800_000_000)).unwrap_or(0);
        let began = Timestamp::from_microsecond(began).unwrap_or(Timestamp::UNIX_EPOCH);
        let stage = Arc::new(Stage::new(began, mistake));
        let agenda = stage.agenda.clone();
        let clock: Arc<dyn Clock> = Arc::new(AgendaClock { agenda, program: STORES, ahead: 0 });
        let leases = MemoryLeases::new(clock.clone());
        let log = MemoryEventStore::new(clock);
        let stores = Stores::new(log, MemoryReadModels::with_leases(leases.clone()), mistake);
        let programs = 1 + dice.index(3);
        let weather = Weather::draw(&mut dice);
        stage.tell("-", format_args!("seed {seed}: {programs} programs, {weather:?}"));
        let house = House {
            stage,
            stores,
            checkpoints: MemoryCheckpoints::new(leases.clone()),
            leases,
            schedules: MemorySchedules::default(),
            snapshots: underlay_core::memory::MemorySnapshots::default(),
            weather,
            programs,
        };
        let programs = (0..programs).map(Program::new).collect();
        let (errands, tally) = (Vec::new(), Tally::default());
        let mut world = Self { house, errands, programs, dice, tally, calm_since: None, is_over: false };
        world.plan();
        world
    }

    /// Puts down all that is to happen.
    fn plan(&mut self) {
        for program in 0..self.programs.len() {
            let after = self.dice.time_below(Duration::from_secs(2));
            self.later(after, Happening::Start(program));
        }
        self.plan_errands();
        let (kills, pauses, stops, cuts) =
            (self.dice.below(5), self.dice.below(3), self.dice.below(4), self.dice.below(3));
        let troubles = [(kills, 0), (pauses, 1), (stops, 2), (cuts, 3)];
        for (count, kind) in troubles {
            for _ in 0..count {
                let (at, program) = (self.dice.time_below(TROUBLE), self.dice.index(self.programs.len()));
                let long = self.dice.time_below(Duration::from_secs(20));
                let happening = match kind {
                    0 => Happening::Kill(program),
                    1 => Happening::Pause(program, long),
                    2 => Happening::Stop(program),
                    _ => Happening::Cut(program, long),
                };
                self.later(at, happening);
            }
        }
        self.later(ROUND, Happening::Round);
        self.later(TROUBLE, Happening::Calm);
    }

    fn plan_errands(&mut self) {
        let now = self.house.stage.agenda.now();
        for tenant in TENANTS {
            for account in 0..ACCOUNTS {
                let account = format!("a{account}");
                self.wish(tenant, Duration::ZERO, Wish::Deposit { account, cents: FIRST_CENTS });
            }
            let account = self.account();
            let missed = [Missed::All, Missed::One][self.dice.index(2)];
            let at = self.dice.time_below(Duration::from_secs(3));
            self.wish(tenant, at, Wish::PutSchedule { account, missed });
            self.wish(tenant, TROUBLE + SCHEDULES_KEPT, Wish::RemoveSchedule);
        }
        for number in 0..20 + self.dice.below(40) {
            let tenant = TENANTS[self.dice.index(TENANTS.len())];
            let at = self.dice.time_below(TROUBLE * 3 / 4);
            let (account, cents) = (self.account(), 1 + i64::try_from(self.dice.below(120)).unwrap_or(0));
            let wish = match self.dice.below(10) {
                0 | 1 => Wish::Deposit { account, cents },
                2 => Wish::Withdraw { account, cents },
                3 => {
                    let first = self.dice.below(ACCOUNTS);
                    let second = (first + 1 + self.dice.below(ACCOUNTS - 1)) % ACCOUNTS;
                    Wish::Transfer(Transfer { from: format!("a{first}"), to: format!("a{second}"), cents })
                }
                4..=6 => {
                    let later = self.dice.chance(50);
                    let is_urgent = self.dice.chance(20);
                    let wait = self.dice.time_below(Duration::from_secs(20));
                    let due_at = now + micros(at) + micros(wait);
                    let due_at = Timestamp::from_microsecond(due_at).ok().filter(|_| later);
                    let errand = self.wish(tenant, at, Wish::Submit { account, cents, due_at, is_urgent });
                    if self.dice.chance(30) {
                        let at = at + self.dice.time_below(Duration::from_secs(15));
                        self.wish(tenant, at, Wish::Cancel { errand });
                    }
                    continue;
                }
                _ => Wish::Place { order: format!("o{number}"), account, cents },
            };
            self.wish(tenant, at, wish);
        }
    }

    fn account(&mut self) -> String {
        format!("a{}", self.dice.below(ACCOUNTS))
    }

    fn wish(&mut self, tenant: &str, at: Duration, wish: Wish) -> usize {
        let number = self.errands.len();
        let Ok(tenant) = TenantId::new(tenant) else { return number };
        let key = format!("errand-{number}");
        self.errands.push(Errand { tenant, wish, key, tries: 0, answer: None, began: None });
        self.later(at, Happening::Try(number, 0));
        number
    }

    fn later(&self, after: Duration, happening: Happening) {
        self.house.stage.agenda.after(after, happening);
    }

    fn tell(&self, program: usize, what: impl fmt::Display) {
        self.house.stage.tell(format_args!("#{program}"), what);
    }

    fn run(&mut self) {
        let stage = self.house.stage.clone();
        for _ in 0..HAPPENINGS_MAX {
            if self.is_over {
                return;
            }
            match stage.agenda.next() {
                None => return stage.breach(Promise::NotStuck, "nothing is to come any more"),
                Some(Due::Wake(sleeper)) => {
                    let number = sleeper.program;
                    if let Some(program) = self.programs.get_mut(number) {
                        program.wake(sleeper, || stage.agenda.next_of(number));
                    }
                }
                Some(Due::Happens(happening)) => self.happen(happening),
            }
        }
        stage
            .breach(Promise::NotStuck, format_args!("{HAPPENINGS_MAX} things happened, and there is no end"));
    }

    fn happen(&mut self, happening: Happening) {
        let is_calm = self.house.stage.is_calm();
        match happening {
            Happening::Hint(program, hint) => self.programs[program].hint(hint),
            Happening::Start(program) => self.start(program),
            // What was to go wrong comes too late.
            Happening::Kill(_) | Happening::Pause(..) | Happening::Cut(..) | Happening::Stop(_)
                if is_calm => {}
            Happening::Kill(program) => self.kill(program),
            Happening::Pause(program, duration) => {
                if let Some(pause) = self.programs[program].pause() {
                    self.tally.pauses += 1;
                    self.tell(program, format_args!("is paused for {duration:?}"));
                    let lives = self.programs[program].lives;
                    self.later(duration, Happening::GoOn { program, lives, pause });
                }
            }
            Happening::GoOn { program, lives, pause } => {
                if self.programs[program].go_on(lives, pause) {
                    self.tell(program, "went on");
                }
            }
            Happening::Cut(program, duration) => {
                if self.programs[program].cut(duration) {
                    self.tell(program, format_args!("reaches nothing for {duration:?}"));
                }
            }
            Happening::Stop(program) => {
                self.tell(program, "is told to end");
                self.programs[program].stop();
            }
            Happening::Ended(program, lives) => {
                if self.programs[program].lives == lives && self.programs[program].kill() {
                    self.tally.endings += 1;
                    self.tell(program, "has ended");
                    self.start_later(program);
                }
            }
            Happening::Try(errand, tries) => self.try_errand(errand, tries),
            Happening::Answered { errand, try_number, answer } => self.answered(errand, try_number, answer),
            Happening::Round => self.make_round(),
            Happening::Calm => {
                self.house.stage.calm_down();
                self.calm_since = Some(self.house.stage.agenda.now());
                self.later(LOOK, Happening::Look);
            }
            Happening::Look => self.look(),
        }
    }

    fn start(&mut self, program: usize) {
        if self.programs[program].is_up() {
            return;
        }
        self.tell(program, "starts");
        let mut dice = self.dice.fork();
        if let Err(error) = self.programs[program].start(&self.house, &mut dice) {
            self.house
                .stage
                .breach(Promise::NotStuck, format_args!("program {program} does not start: {error}"));
        }
    }

    fn start_later(&mut self, program: usize) {
        let after = self.dice.time_below(Duration::from_secs(6));
        self.later(after, Happening::Start(program));
    }

    fn kill(&mut self, program: usize) {
        if self.programs[program].kill() {
            self.tally.kills += 1;
            self.tell(program, "is killed");
            self.start_later(program);
        }
    }

    /// A program that is up, whoever that is.
    fn any_program(&mut self) -> Option<usize> {
        let up: Vec<usize> =
            (0..self.programs.len()).filter(|number| self.programs[*number].is_up()).collect();
        self.dice.pick(&up).copied()
    }

    fn try_errand(&mut self, number: usize, tries: u32) {
        let errand = &mut self.errands[number];
        if errand.answer.is_some() || errand.tries != tries {
            return;
        }
        errand.tries += 1;
        let tries = errand.tries;
        errand.began.get_or_insert(self.house.stage.agenda.now());
        let mut request = Request::new(errand.tenant.clone()).with_key(&errand.key);
        let is_decided =
            matches!(errand.wish, Wish::Deposit { .. } | Wish::Withdraw { .. } | Wish::Transfer(_));
        if self.house.stage.mistake == Some(Mistake::RepeatWithoutId) && is_decided {
            request = Request::new(errand.tenant.clone()).with_key(&format!("{}-{tries}", errand.key));
        }
        let wish = errand.wish.clone();
        let cancels = match wish {
            Wish::Cancel { errand } => {
                let cancelled = &self.errands[errand];
                cancelled.answer.is_some().then(|| cancelled.command_id())
            }
            _ => None,
        };
        self.later(PATIENCE, Happening::Try(number, tries));
        let Some(program) = self.any_program() else { return };
        let stage = self.house.stage.clone();
        self.programs[program]
            .call(|engine| try_errand(engine, stage, (number, tries), (request, cancels), wish));
    }

    fn answered(&mut self, number: usize, try_number: u32, answer: Answer) {
        let again = Duration::from_millis(100) + self.dice.time_below(Duration::from_millis(1_500));
        let stage = self.house.stage.clone();
        let errand = &mut self.errands[number];
        match answer {
            Answer::Wrong(what) => stage.breach(
                Promise::Answers,
                format_args!("{:?} of {} was answered by: {what}", errand.wish, errand.key),
            ),
            Answer::Again(_) => {
                if errand.tries == try_number {
                    self.later(again, Happening::Try(number, try_number));
                }
            }
            answer => {
                stage.tell("client", format_args!("{}: {answer:?}", errand.key));
                match &errand.answer {
                    None => errand.answer = Some((answer, stage.agenda.now())),
                    Some((first, _)) if *first != answer => stage.breach(
                        Promise::Answers,
                        format_args!("{} was answered {first:?}, then {answer:?}", errand.key),
                    ),
                    Some(_) => {}
                }
            }
        }
    }

    /// The operator replays what was given up, and discards what can never arrive.
    fn make_round(&mut self) {
        if !self.is_over {
            self.later(ROUND, Happening::Round);
        }
        let letters = list_work(&self.house.stores.log, true).len();
        if letters == 0 {
            return;
        }
        if let Some(program) = self.any_program() {
            self.tally.letters += letters as u64;
            let stage = self.house.stage.clone();
            self.programs[program].call(|engine| look_after_letters(engine, stage));
        }
    }

    /// Looks whether everything is at rest.
    fn look(&mut self) {
        let stage = self.house.stage.clone();
        let restless = self.restless();
        let since = self.calm_since.unwrap_or(i64::MAX);
        if restless.is_empty() || stage.has_breach() {
            self.is_over = true;
        } else if stage.agenda.now() - since > micros(CALM_MAX) {
            self.is_over = true;
            stage.breach(
                Promise::NotStuck,
                format_args!("after {CALM_MAX:?} of calm: {}", restless.join("; ")),
            );
        } else {
            self.later(LOOK, Happening::Look);
        }
    }

    /// What has not come to its end.
    fn restless(&self) -> Vec<String> {
        let mut restless = Vec::new();
        restless.extend(self.errands.iter().filter(|errand| errand.answer.is_none()).take(3).map(|errand| {
            format!("{} ({:?}) has no answer after {} tries", errand.key, errand.wish, errand.tries)
        }));
        for is_dead in [false, true] {
            let work = list_work(&self.house.stores.log, is_dead);
            restless.extend(work.first().map(|first| {
                let sent = &first.work.sent;
                format!(
                    "{} pieces of work are left, the first is {} {} of {} for {} ({:?}, attempts {}, {:?})",
                    work.len(),
                    sent.kind.name(),
                    sent.name,
                    sent.key,
                    sent.receiver,
                    first.standing,
                    first.work.attempts,
                    first.work.last_error
                )
            }));
        }
        restless.extend(audit::behind(&self.house));
        restless
    }

    fn end(mut self) -> Ending {
        let stage = self.house.stage.clone();
        if !stage.has_breach() {
            audit::audit(&self);
        }
        // What is still running ends without a word.
        self.programs.clear();
        let (deliveries, repeats) = stage.outside.deliveries();
        let commits = stage.commits().len() as u64;
        let (trace, hash, breaches, faults) = stage.take();
        let tally = Tally { commits, deliveries, repeated_deliveries: repeats, faults, ..self.tally };
        Ending { trace, hash, breaches, tally }
    }
}

pub(crate) fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// Work that is not done, or was given up: stores in memory answer at once.
pub(crate) fn list_work(log: &MemoryEventStore, dead: bool) -> Vec<WorkInfo> {
    let filter = WorkFilter { dead, ..WorkFilter::default() };
    let listed = log.list_work(&filter, WorkPlace::START, WORK_PAGE_MAX).now_or_never();
    listed.and_then(Result::ok).map(|listed| listed.work).unwrap_or_default()
}

/// The head of the log.
pub(crate) fn head(log: &MemoryEventStore) -> u64 {
    log.head().now_or_never().and_then(Result::ok).map_or(0, |head| head.number())
}

async fn look_after_letters(engine: Engine, stage: Arc<Stage>) {
    let Ok(letters) = engine.dead_letters(&WorkFilter::default(), WorkPlace::START, WORK_PAGE_MAX).await
    else {
        return;
    };
    for letter in letters.work {
        let order = if never_arrives(&letter) { LetterOrder::Discard } else { LetterOrder::Replay };
        stage.letter(&letter.work);
        let settle =
            |order| engine.settle_dead_letter(order, &letter.work.tenant, letter.work.id, "the operator");
        // What fails is done in the next round. Of what cannot be replayed a process was told.
        if let Err(Error::Invalid(_)) = settle(order).await {
            settle(LetterOrder::Discard).await.ok();
        }
    }
}

fn never_arrives(letter: &WorkInfo) -> bool {
    let payload: &Payload = &letter.work.sent.payload;
    let number = |json: &Json| json.decode::<serde_json::Value>().ok()?.get("number")?.as_u64();
    letter.work.sent.receiver == "inbox" && payload.json().ok().and_then(number).is_some_and(is_poison)
}
