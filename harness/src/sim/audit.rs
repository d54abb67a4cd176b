//! Compares what is stored, what the outside was told and what clients heard, once everything is at rest.

use std::collections::BTreeMap;

use futures_util::FutureExt;
use underlay_core::memory::MemoryEventStore;
use underlay_core::{
    CANCELLED, CommitId, Event, EventStore, LogFilter, LogScope, Metadata, Origin, Outcome, Position,
    ReadModels, RecordedEvent, TenantId, Timestamp, Value, View, ViewTable,
};
use underlay_runtime::Missed;

use super::bank::{ACCOUNTS, AccountEvent, OrderEvent, TENANTS};
use super::errand::{Answer, Errand, SCHEDULE, Wish};
use super::outside::{is_poison, last_notice_of};
use super::program::House;
use super::stage::Promise;
use super::world::{SCHEDULES_KEPT, World, head, micros};
use crate::balances::{Balances, Movement};

const MINUTE: i64 = 60_000_000;
/// How far the clock of a program may be off, and how long a change of a schedule takes to be known.
const ABOUT: i64 = 3_000_000;
/// Events in one page.
const PAGE: usize = 1_000;

/// An event of an account, and what led to it.
struct Booking {
    event: AccountEvent,
    account: String,
    command: CommitId,
    recorded_at: Timestamp,
}

/// When a stored command was submitted and decided, as places among the commits, and its key.
type Stored<'a> = (usize, usize, &'a str);

/// What the log says.
#[derive(Default)]
struct Books {
    bookings: BTreeMap<String, Vec<Booking>>,
    orders: BTreeMap<(String, String), Vec<OrderEvent>>,
}

fn log_of(log: &MemoryEventStore) -> Vec<RecordedEvent> {
    let (mut events, mut after) = (Vec::new(), Position::START);
    loop {
        let page = log.read_all(&LogScope::EveryTenant, after, &LogFilter::default(), PAGE).now_or_never();
        let Some(Ok(page)) = page else { return events };
        (after, events) = (page.scanned_to, events.into_iter().chain(page.events).collect());
        if page.at_head {
            return events;
        }
    }
}

fn decode<E: Event>(event: &RecordedEvent) -> Option<E> {
    let json = event.payload.json().ok()?;
    E::decode(event.event_type.as_str(), event.schema_version.0, json.as_str()).ok()?
}

impl Books {
    fn read(log: &MemoryEventStore) -> Self {
        let mut books = Self::default();
        for event in log_of(log) {
            let (tenant, id) = (event.tenant.as_str().to_owned(), event.stream.id().to_owned());
            let metadata: Metadata = event.metadata.decode().unwrap_or_default();
            if let Some(booked) = decode::<AccountEvent>(&event) {
                let command = metadata.command_id.unwrap_or(CommitId(uuid::Uuid::nil()));
                let recorded_at = event.recorded_at;
                let booking = Booking { event: booked, account: id, command, recorded_at };
                books.bookings.entry(tenant).or_default().push(booking);
            } else if let Some(happened) = decode::<OrderEvent>(&event) {
                books.orders.entry((tenant, id)).or_default().push(happened);
            }
        }
        books
    }

    fn of(&self, tenant: &str) -> &[Booking] {
        self.bookings.get(tenant).map_or(&[], Vec::as_slice)
    }

    fn of_account<'a>(&'a self, tenant: &str, account: &'a str) -> impl Iterator<Item = &'a Booking> {
        self.of(tenant).iter().filter(move |booking| booking.account == account)
    }

    fn of_command<'a>(&'a self, tenant: &TenantId, command: CommitId) -> impl Iterator<Item = &'a Booking> {
        self.of(tenant.as_str()).iter().filter(move |booking| booking.command == command)
    }
}

fn accounts() -> impl Iterator<Item = (&'static str, String)> {
    TENANTS.into_iter().flat_map(|tenant| (0..ACCOUNTS).map(move |number| (tenant, format!("a{number}"))))
}

/// A row of the view: the cents, and how many events were folded into it.
fn row(house: &House, tenant: &str, account: &str) -> (i64, i64) {
    let table = ViewTable { schema: Balances::<AccountEvent>::schema(), generation: 1 };
    let Ok(tenant) = TenantId::new(tenant) else { return (0, 0) };
    let values =
        house.stores.rows.get(&table, &tenant, account).now_or_never().and_then(Result::ok).flatten();
    let number = |value: &Value| match value {
        Value::Integer(number) => *number,
        _ => 0,
    };
    let values = values.as_deref().unwrap_or_default();
    (values.first().map_or(0, number), values.get(1).map_or(0, number))
}

/// What has not come to the end of the log yet.
pub(crate) fn behind(house: &House) -> Vec<String> {
    let books = Books::read(&house.stores.log);
    let mut behind = Vec::new();
    for (tenant, account) in accounts() {
        let (events, folded) = (books.of_account(tenant, &account).count(), row(house, tenant, &account).1);
        if usize::try_from(folded).unwrap_or(0) < events {
            behind.push(format!("the row of {account} of {tenant} has {folded} of {events} events"));
        }
    }
    for ((tenant, order), events) in &books.orders {
        if !events.iter().any(|event| matches!(event, OrderEvent::Completed | OrderEvent::Declined)) {
            behind.push(format!("order {order} of {tenant} has come to {events:?}"));
        }
    }
    let (copied, head) = (house.stage.outside.copied(), head(&house.stores.log));
    if copied < head {
        behind.push(format!("the copy has {copied} of {head} events"));
    }
    behind
}

/// Looks for promises that were broken.
pub(crate) fn audit(world: &World) {
    let books = Books::read(&world.house.stores.log);
    for errand in &world.errands {
        check_errand(world, &books, errand);
    }
    check_bookings(world, &books);
    check_order(world);
    check_schedules(world, &books);
    check_orders(world, &books);
    for (tenant, account) in accounts() {
        check_account(&world.house, &books, tenant, &account);
    }
}

fn outcome(house: &House, tenant: &TenantId, command: CommitId) -> Option<Outcome> {
    let found = house.stores.log.find_commit(tenant, command).now_or_never().and_then(Result::ok).flatten();
    found.map(|found| found.committed.outcome)
}

fn is_cancelled(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Refused { code, .. } if code == CANCELLED)
}

fn check_errand(world: &World, books: &Books, errand: &Errand) {
    let (stage, key) = (&world.house.stage, &errand.key);
    let Some((answer, _)) = &errand.answer else { return };
    let command = errand.command_id();
    let booked: Vec<&Booking> = books.of_command(&errand.tenant, command).collect();
    let expect = |count: usize| {
        if booked.len() != count {
            let what = format!("{key} was answered {answer:?}, and has {} bookings", booked.len());
            stage.breach(Promise::Once, what);
        }
    };
    let outcome = outcome(&world.house, &errand.tenant, command);
    match (&errand.wish, answer) {
        (Wish::Deposit { .. } | Wish::Withdraw { .. }, Answer::Accepted) => expect(1),
        (Wish::Transfer(_), Answer::Accepted) => expect(2),
        (Wish::Withdraw { .. } | Wish::Transfer(_), Answer::Refused(_)) => expect(0),
        (Wish::Submit { due_at, .. }, Answer::Submitted) => match &outcome {
            None => {
                stage.breach(
                    Promise::NothingDropped,
                    format_args!("{key} was submitted, and was never decided"),
                );
            }
            Some(Outcome::Accepted) => {
                expect(1);
                let is_early = |booking: &&Booking| due_at.is_some_and(|due_at| booking.recorded_at < due_at);
                if booked.iter().any(is_early) {
                    stage.breach(Promise::Order, format_args!("{key} ran before it was due"));
                }
            }
            Some(refused) => {
                expect(0);
                if !is_cancelled(refused) {
                    stage.breach(Promise::Answers, format_args!("{key} ended as {refused:?}"));
                }
            }
        },
        (Wish::Cancel { errand }, answer) => {
            let cancelled = &world.errands[*errand];
            let outcome = self::outcome(&world.house, &cancelled.tenant, cancelled.command_id());
            let is_so = outcome.as_ref().is_some_and(is_cancelled);
            if is_so != (*answer == Answer::Cancelled) {
                let what =
                    format!("the cancelling of {} was answered {answer:?}: {outcome:?}", cancelled.key);
                stage.breach(Promise::Answers, what);
            }
        }
        (Wish::Place { .. }, Answer::Accepted) | (Wish::PutSchedule { .. } | Wish::RemoveSchedule, _) => {}
        (wish, answer) => stage.breach(Promise::Answers, format_args!("{wish:?} was answered {answer:?}")),
    }
}

/// Whatever was booked was asked for.
fn check_bookings(world: &World, books: &Books) {
    for tenant in TENANTS {
        let known: Vec<CommitId> = world
            .errands
            .iter()
            .filter(|errand| errand.tenant.as_str() == tenant)
            .map(Errand::command_id)
            .chain(moments(world, tenant).into_iter().map(|(_, command)| command))
            .collect();
        for booking in books.of(tenant) {
            let by_client = matches!(
                booking.event,
                AccountEvent::Deposited { .. } | AccountEvent::Withdrawn { .. } | AccountEvent::Sent { .. }
            );
            if by_client && !known.contains(&booking.command) {
                let what =
                    format!("{:?} of {} of {tenant} was asked for by nobody", booking.event, booking.account);
                world.house.stage.breach(Promise::Once, what);
            }
        }
    }
}

/// Stored commands for one account run in the order they were submitted in.
fn check_order(world: &World) {
    let stage = &world.house.stage;
    let places: BTreeMap<(TenantId, CommitId), usize> = stage.commits().into_iter().zip(0..).collect();
    let mut lines: BTreeMap<(&TenantId, &str), Vec<Stored<'_>>> = BTreeMap::new();
    for errand in &world.errands {
        let Wish::Submit { account, due_at: None, is_urgent: false, .. } = &errand.wish else { continue };
        let command = errand.command_id();
        let parts = [command.0.as_bytes().as_slice()];
        let submission = CommitId::derived(&errand.tenant, Origin::Submission, parts);
        let place = |id: CommitId| places.get(&(errand.tenant.clone(), id)).copied();
        let has_run =
            outcome(&world.house, &errand.tenant, command).is_some_and(|outcome| !is_cancelled(&outcome));
        if let (Some(submitted), Some(decided), true) = (place(submission), place(command), has_run) {
            let line = lines.entry((&errand.tenant, account)).or_default();
            line.push((submitted, decided, &errand.key));
        }
    }
    for line in lines.values_mut() {
        line.sort_unstable();
        for pair in line.windows(2) {
            if pair[0].1 > pair[1].1 {
                stage.breach(Promise::Order, format_args!("{} ran after {}", pair[0].2, pair[1].2));
            }
        }
    }
}

/// The full minutes of a tenant's schedule, each with the identity of its command.
fn moments(world: &World, tenant: &str) -> Vec<(i64, CommitId)> {
    let Ok(owner) = TenantId::new(tenant) else { return Vec::new() };
    let of_tenant = world.errands.iter().filter(|errand| errand.tenant == owner);
    let began = of_tenant.clone().find(|errand| matches!(errand.wish, Wish::PutSchedule { .. }));
    let Some(began) = began.and_then(|errand| errand.began) else { return Vec::new() };
    let now = world.house.stage.agenda.now();
    let first = (began - ABOUT).div_euclid(MINUTE) * MINUTE;
    let moments = (0..).map(|number| first + number * MINUTE).take_while(|moment| *moment <= now + ABOUT);
    let command = |moment: i64| {
        CommitId::derived(&owner, Origin::Schedule, [SCHEDULE.as_bytes(), &moment.to_le_bytes()])
    };
    moments.map(|moment| (moment, command(moment))).collect()
}

fn check_schedules(world: &World, books: &Books) {
    for tenant in TENANTS {
        let Ok(owner) = TenantId::new(tenant) else { continue };
        let find = |wanted: fn(&Wish) -> bool| {
            world.errands.iter().find(|errand| errand.tenant == owner && wanted(&errand.wish))
        };
        let put = find(|wish| matches!(wish, Wish::PutSchedule { .. }));
        let removed = find(|wish| matches!(wish, Wish::RemoveSchedule)).and_then(|errand| errand.began);
        let (Some(put), Some(removed)) = (put, removed) else { continue };
        let (Wish::PutSchedule { missed, .. }, Some((_, answered))) = (&put.wish, &put.answer) else {
            continue;
        };
        let (first, last) = (answered + ABOUT, removed - micros(SCHEDULES_KEPT) - ABOUT);
        let mut later_ran = false;
        for (moment, command) in moments(world, tenant).into_iter().rev() {
            let count = books.of_command(&owner, command).count();
            let is_due = first < moment && moment < last;
            // A moment may be missed where one runs for several, and a later one did.
            let may_be_missed = !is_due || (*missed == Missed::One && later_ran);
            if count > 1 || (count == 0 && !may_be_missed) {
                let what = format!("the schedule of {tenant} ran {count} times for the minute {moment}");
                world.house.stage.breach(Promise::Schedules, what);
            }
            later_ran |= count > 0;
        }
    }
}

fn check_orders(world: &World, books: &Books) {
    let stage = &world.house.stage;
    let charges = stage.outside.charges();
    for ((tenant, order), events) in &books.orders {
        let count = |wanted: &OrderEvent| events.iter().filter(|event| *event == wanted).count();
        let (completed, declined) = (count(&OrderEvent::Completed), count(&OrderEvent::Declined));
        if completed + declined != 1 {
            stage.breach(Promise::Once, format_args!("order {order} of {tenant} has come to {events:?}"));
        }
        let charge = charges.get(&(tenant.clone(), order.clone()));
        let is_charged = charge.is_some_and(|charge| charge.is_charged == Some(true));
        let settled = books.of(tenant).iter().filter_map(|booking| match &booking.event {
            AccountEvent::Settled { order: of, cents, .. } if of == order => Some(*cents),
            _ => None,
        });
        let settled: Vec<i64> = settled.collect();
        let is_right = match is_charged {
            true => completed == 1 && settled == [charge.map_or(0, |charge| charge.cents)],
            false => declined == 1 && settled.is_empty(),
        };
        if !is_right {
            let what =
                format!("order {order} of {tenant}: charged {is_charged}, settled {settled:?}, {events:?}");
            stage.breach(Promise::Money, what);
        }
    }
}

fn check_account(house: &House, books: &Books, tenant: &str, account: &str) {
    let stage = &house.stage;
    let (mut balance, mut reserved, mut paid, mut count) = (0, 0, 0, 0);
    for booking in books.of_account(tenant, account) {
        count += 1;
        balance += booking.event.change();
        match &booking.event {
            AccountEvent::Reserved { cents, .. } => reserved += cents,
            AccountEvent::Released { cents, .. } => reserved -= cents,
            AccountEvent::Settled { cents, .. } => (reserved, paid) = (reserved - cents, paid + cents),
            _ => {}
        }
        if booking.event.number() != count {
            let what = format!("event {count} of {account} of {tenant} was decided as {:?}", booking.event);
            stage.breach(Promise::Answers, what);
        }
    }
    if balance < 0 || reserved != 0 {
        let what = format!("{account} of {tenant} has {balance}, {reserved} are reserved, {paid} are paid");
        stage.breach(Promise::Money, what);
    }
    let (cents, folded) = row(house, tenant, account);
    if cents != balance || folded != i64::try_from(count).unwrap_or(i64::MAX) {
        let what = format!(
            "the row of {account} of {tenant} has {cents} by {folded} events, the log {balance} by {count}"
        );
        stage.breach(Promise::ViewsExactlyOnce, what);
    }
    let poison = (1..=count).filter(|number| is_poison(*number)).count();
    let letters = stage.letters(tenant, "inbox", account);
    if letters < poison {
        let what = format!(
            "{poison} notices of {account} of {tenant} never arrive, and {letters} were dead letters"
        );
        stage.breach(Promise::NothingDropped, what);
    }
    let (came, sent) = (stage.outside.last_notice(tenant, account), last_notice_of(count));
    if came != sent {
        let what =
            format!("{came} is the last notice of {account} of {tenant} that came, {sent} the last of all");
        stage.breach(Promise::NothingDropped, what);
    }
}
