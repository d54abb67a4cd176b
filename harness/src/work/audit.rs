//! What callers were told and what was sent on, held against the log, the queue and the receiver.

use std::collections::{BTreeMap, HashMap, HashSet};

use underlay_core::limits::WORK_PAGE_MAX;
use underlay_core::{CommitId, Handler, Outcome, TenantId, WorkFilter, WorkKind, WorkPlace};
use underlay_runtime::{CommandStatus, Engine};

use super::deliveries::{Deliveries, Line as ParcelLine};
use super::domain::{
    Courier, Ending, Herald, OrderEvent, PurseEvent, SlipEvent, is_for_herald, is_refused, slip,
};
use super::errand::{Ask, Errand, Line, Manner, Told};
use super::findings::{Fault, Findings};
use super::log::{Log, Of};
use super::receiver::{Answer, Arrival};
use crate::Result;
use crate::subject::OpenStore;

/// All that is known of work that has flowed and come to its end.
#[derive(Clone)]
pub(crate) struct Evidence {
    /// The journals of all processes.
    pub(crate) lines: Vec<Line>,
    pub(crate) log: Log,
    pub(crate) deliveries: Deliveries,
}

impl Evidence {
    /// Looks at all of it; `open` and `engine` are of the store as it is at the end.
    pub(crate) async fn audit(mut self, open: &OpenStore, engine: &Engine) -> Result<Findings> {
        let mut findings = Findings::default();
        let errands = Errands::of(&self.lines, &mut findings);
        audit_commands(&errands, &self.log, engine, &mut findings).await?;
        audit_orders(&self.log, &mut findings);
        self.deliveries.sent = sent(&self.log, &mut findings);
        self.deliveries.audit(&mut findings);
        audit_slips(&self.log, &self.deliveries, &mut findings);
        audit_queue(&errands, &self.deliveries, open, &mut findings).await?;
        Ok(findings)
    }
}

/// What was asked for, and all that was told of each.
#[derive(Default)]
struct Errands(HashMap<CommitId, (Errand, Vec<Told>)>);

impl Errands {
    fn of(lines: &[Line], findings: &mut Findings) -> Self {
        let mut errands: HashMap<CommitId, (Errand, Vec<Told>)> = HashMap::new();
        for line in lines {
            match line {
                Line::Asked(errand) => {
                    errands.entry(errand.id).or_insert_with(|| (errand.clone(), Vec::new()));
                }
                Line::Told(id, told) => {
                    let known = errands.get_mut(id);
                    if let Some((_, all)) = known.filter(|_| *told != Told::Nothing) {
                        all.push(told.clone());
                    }
                }
                Line::LostTerms { .. } => {}
            }
        }
        for (errand, told) in errands.values() {
            for told in told {
                if let Told::Wrong(what) = told {
                    findings.add(Fault::Untrue, || format!("{errand:?} was answered by: {what}"));
                }
            }
        }
        Self(errands)
    }
}

/// Every command that was acknowledged has ended as it should, and has written what it stands for once.
async fn audit_commands(
    errands: &Errands,
    log: &Log,
    engine: &Engine,
    findings: &mut Findings,
) -> Result<()> {
    let mut known: HashSet<(TenantId, CommitId)> = HashSet::new();
    for (errand, told) in errands.0.values() {
        let of = (errand.tenant.clone(), errand.id);
        let written = log.commands.get(&of).copied().unwrap_or(0);
        known.insert(of);
        if errand.manner == Manner::Outdated {
            known.insert((errand.tenant.clone(), errand.first_id()));
        }
        if written > 1 {
            findings.add(Fault::Twice, || format!("{errand:?} has written {written} events"));
        }
        if told.is_empty() {
            continue;
        }
        findings.acknowledged += 1;
        let info = engine.command_status(&errand.tenant, errand.id).await?;
        let Some(info) = info else {
            findings.add(Fault::Lost, || format!("nothing is known of {errand:?}, which got {told:?}"));
            continue;
        };
        let is_cancelled = told.contains(&Told::Cancelled);
        let fits = match &info.status {
            CommandStatus::Processed(committed) => {
                let accepted = committed.outcome == Outcome::Accepted;
                let may_be_done = !matches!(errand.manner, Manner::Doomed | Manner::Outdated);
                !is_cancelled && may_be_done && accepted && written == 1
            }
            CommandStatus::Conflicted(_) => errand.manner == Manner::Outdated && written == 0,
            CommandStatus::Cancelled(_) => matches!(errand.manner, Manner::Cancelled(_)) && written == 0,
            CommandStatus::Failed { is_final, .. } => {
                errand.manner == Manner::Doomed && *is_final && written == 0
            }
            CommandStatus::Pending
            | CommandStatus::Consumed
            | CommandStatus::Discarded
            | CommandStatus::Uncertain => {
                findings.add(Fault::Lost, || format!("{errand:?} got {told:?}, and is {info:?}"));
                continue;
            }
        };
        if !fits {
            findings.add(Fault::Untrue, || {
                format!("{errand:?} got {told:?}, has written {written} events, and is {:?}", info.status)
            });
        }
    }
    // What nobody asked for was sent on by the process or a handler; what callers ask for are these.
    let asked = |event: &PurseEvent| matches!(event, PurseEvent::Filled { .. });
    let filled = log.purses.values().flatten().filter(|event| asked(event)).count() + log.orders.len();
    let theirs: usize = known.iter().map(|of| log.commands.get(of).copied().unwrap_or(0)).sum();
    if filled != theirs {
        findings.add(Fault::Untrue, || {
            format!("callers asked for {theirs} of {filled} purses filled and orders placed")
        });
    }
    Ok(())
}

/// The money of one order, by what happened to it.
#[derive(Default)]
struct Moved {
    taken: Vec<i64>,
    given: Vec<i64>,
    returned: Vec<i64>,
}

/// Each step of an order was done once, and its money is where it should be.
fn audit_orders(log: &Log, findings: &mut Findings) {
    let mut moved: BTreeMap<Of, Moved> = BTreeMap::new();
    for ((tenant, _), events) in &log.purses {
        for event in events {
            let of = |order: &String| (tenant.clone(), order.clone());
            match event {
                PurseEvent::Taken { cents, order, .. } => {
                    moved.entry(of(order)).or_default().taken.push(*cents);
                }
                PurseEvent::Given { cents, order, .. } => {
                    moved.entry(of(order)).or_default().given.push(*cents);
                }
                PurseEvent::Returned { cents, order, .. } => {
                    moved.entry(of(order)).or_default().returned.push(*cents);
                }
                PurseEvent::Filled { .. } => {}
            }
        }
    }
    let nothing = Moved::default();
    for (order, events) in &log.orders {
        let Moved { taken, given, returned } = moved.get(order).unwrap_or(&nothing);
        let [OrderEvent::Placed { cents, .. }, rest @ ..] = events.as_slice() else {
            findings.add(Fault::Untrue, || format!("order {order:?} is {events:?}"));
            continue;
        };
        let counts = [taken, given, returned].map(Vec::len);
        let closed = events.iter().filter(|event| matches!(event, OrderEvent::Closed { .. })).count();
        let is_twice = counts.iter().any(|count| *count > 1) || events.len() > 3 || closed > 1;
        let is_right = match rest {
            [OrderEvent::Closed { ending: Ending::Refused }] => counts == [0, 0, 0],
            [OrderEvent::Reminded, OrderEvent::Closed { ending: Ending::Paid }] => counts == [1, 1, 0],
            [OrderEvent::Reminded, OrderEvent::Closed { ending: Ending::Returned }] => counts == [1, 0, 1],
            _ => false,
        };
        let is_whole = taken.iter().chain(given).chain(returned).all(|moved| moved == cents);
        let told =
            || format!("order {order:?} is {events:?}, taken {taken:?}, given {given:?}, back {returned:?}");
        match (is_twice, closed, is_right && is_whole) {
            (true, ..) => findings.add(Fault::Twice, told),
            (_, 0, _) => findings.add(Fault::Lost, told),
            (.., false) => findings.add(Fault::Untrue, told),
            (.., true) => findings.orders += 1,
        }
    }
    for order in moved.keys().filter(|order| !log.orders.contains_key(*order)) {
        findings.add(Fault::Untrue, || format!("money moved for {order:?}, which was never placed"));
    }
    // Transfers neither make money nor lose it.
    let in_all: i64 = moved.values().flat_map(|moved| &moved.taken).sum();
    let out: i64 = moved.values().flat_map(|moved| moved.given.iter().chain(&moved.returned)).sum();
    if in_all != out {
        findings.add(Fault::Untrue, || format!("{in_all} cents were taken and {out} given"));
    }
}

/// What the events of purses have sent on; each purse counts its own.
fn sent(log: &Log, findings: &mut Findings) -> BTreeMap<ParcelLine, Vec<u64>> {
    let mut sent = BTreeMap::new();
    for ((tenant, purse), events) in &log.purses {
        let numbers: Vec<u64> = events.iter().map(PurseEvent::number).collect();
        if !numbers.iter().copied().eq(1..=events.len() as u64) {
            findings.add(Fault::Untrue, || format!("purse {purse} of {tenant} counts {numbers:?}"));
        }
        let line = |handler: &str| (tenant.clone(), handler.to_owned(), purse.clone());
        let news: Vec<u64> = numbers.iter().copied().filter(|number| is_for_herald(*number)).collect();
        if !news.is_empty() {
            sent.insert(line(Herald::NAME), news);
        }
        sent.insert(line(Courier::NAME), numbers);
    }
    sent
}

/// What was taken is signed for once, in order, under the key that it was delivered by.
fn audit_slips(log: &Log, deliveries: &Deliveries, findings: &mut Findings) {
    let mut keys: HashMap<(&str, &str, &str, u64), &str> = HashMap::new();
    for Arrival { parcel, .. } in deliveries.arrivals.iter().filter(|came| came.answer == Answer::Taken) {
        let of = (parcel.tenant.as_str(), parcel.handler.as_str(), parcel.key.as_str(), parcel.number);
        keys.insert(of, &parcel.idempotency_key);
    }
    for ((tenant, handler, key), numbers) in &deliveries.sent {
        let meant: Vec<u64> =
            numbers.iter().copied().filter(|number| !is_refused(handler, *number)).collect();
        let of = (tenant.clone(), slip(handler, key));
        let signed = log.slips.get(&of).map_or(&[][..], Vec::as_slice);
        let mut numbers = Vec::new();
        for SlipEvent::Signed { number, idempotency_key } in signed {
            numbers.push(*number);
            let delivered = keys.get(&(tenant.as_str(), handler.as_str(), key.as_str(), *number));
            if delivered != Some(&idempotency_key.as_str()) {
                findings.add(Fault::Untrue, || {
                    format!("{number} of {of:?} is signed by {idempotency_key}, it came by {delivered:?}")
                });
            }
        }
        if numbers == meant {
            continue;
        }
        let once: HashSet<u64> = numbers.iter().copied().collect();
        let fault = match (numbers.len() > once.len(), meant.iter().all(|number| once.contains(number))) {
            (true, _) => Fault::Twice,
            (_, false) => Fault::Lost,
            (false, true) => Fault::Reordered,
        };
        findings.add(fault, || format!("{of:?} is signed for {numbers:?}, and meant are {meant:?}"));
    }
}

/// Nothing waits any more, and dead letters are what cannot be done.
async fn audit_queue(
    errands: &Errands,
    deliveries: &Deliveries,
    open: &OpenStore,
    findings: &mut Findings,
) -> Result<()> {
    let (queue, _) = open.work()?;
    for depth in queue.queue_depths(None).await? {
        if depth.ready + depth.later > 0 {
            findings.add(Fault::Lost, || format!("nobody does what waits: {depth:?}"));
        }
    }
    let refused = deliveries.sent.iter().map(|((_, handler, _), numbers)| {
        numbers.iter().filter(|number| is_refused(handler, **number)).count() as u64
    });
    let refused: u64 = refused.sum();
    // One that was asked for and not answered may have been stored.
    let doomed = errands.0.values().filter(|(errand, _)| errand.manner == Manner::Doomed);
    let doomed: HashSet<String> = doomed
        .map(|(errand, _)| match &errand.ask {
            Ask::Fill { purse, .. } => format!("purse-{purse}"),
            Ask::Place { .. } => errand.order(),
        })
        .collect();
    let filter = WorkFilter { dead: true, ..WorkFilter::default() };
    let (mut after, mut letters) = (WorkPlace::START, 0);
    loop {
        let page = queue.list_work(&filter, after, WORK_PAGE_MAX).await?;
        for info in &page.work {
            let sent = &info.work.sent;
            findings.dead += 1;
            match sent.kind {
                WorkKind::Message if sent.receiver == Herald::NAME => letters += 1,
                WorkKind::Command if doomed.contains(&sent.key) => {}
                _ => findings.add(Fault::Untrue, || format!("{info:?} was given up")),
            }
        }
        let Some(next) = page.next() else { break };
        after = next;
    }
    if letters != refused {
        findings.add(Fault::Lost, || {
            format!("{refused} parcels are refused for good, and {letters} of them are dead letters")
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use uuid::Uuid;

    use super::*;
    use crate::dice::Dice;
    use crate::subject::Address;
    use crate::work::domain::{SHUT, TENANTS};
    use crate::work::flow::{evidence, until_quiet};
    use crate::work::receiver::Receiver;
    use crate::work::station::{LEASE, Plan, Station};

    /// A store in which work has flowed, with nobody killed.
    struct House {
        open: OpenStore,
        station: Station,
        evidence: Evidence,
        _folder: tempfile::TempDir,
    }

    impl House {
        async fn new() -> Self {
            let (folder, receiver) = (tempfile::tempdir().unwrap(), Receiver::start().await.unwrap());
            let open = Address::Memory.open().await.unwrap();
            let plan = Plan {
                worker: Uuid::from_u128(1),
                receiver: receiver.port(),
                journal: folder.path().join("work"),
                past: Vec::new(),
                callers: 0,
                backlog: None,
                lease: LEASE,
                scheduler: None,
                falls: None,
                seed: 1,
            };
            let station = Station::start(open.clone(), plan).unwrap();
            let mut lines = Vec::new();
            for errand in errands(&mut Dice::new(1)) {
                let told = errand.run(&station.engine).await;
                lines.push(Line::Asked(errand.clone()));
                lines.push(Line::Told(errand.id, told));
            }
            let log = until_quiet(&open, &receiver).await.unwrap();
            let evidence = evidence(lines, log, &receiver, HashMap::new());
            Self { open, station, evidence, _folder: folder }
        }

        async fn audit(&self, evidence: Evidence) -> Findings {
            evidence.audit(&self.open, &self.station.engine).await.unwrap()
        }

        /// What is found where something is not as it was.
        async fn found(&self, change: impl FnOnce(&mut Evidence)) -> [bool; 4] {
            let mut evidence = self.evidence.clone();
            change(&mut evidence);
            let findings = self.audit(evidence).await;
            Fault::ALL.map(|fault| findings.count(fault) > 0)
        }
    }

    /// Money for two purses, and orders of every ending; one that is cancelled, one that conflicts, and one that cannot be done.
    fn errands(dice: &mut Dice) -> Vec<Errand> {
        let tenant = TenantId::new(TENANTS[0]).unwrap();
        // Its work stands in the store until then. Where it should have run by then, it is told that it is too late.
        let soon = underlay_core::Timestamp::now().as_microsecond() + 1_000_000;
        let mut errand =
            |ask, manner| Errand { id: CommitId(dice.uuid()), tenant: tenant.clone(), ask, manner };
        let fill = |purse: &str, cents| Ask::Fill { purse: purse.to_owned(), cents };
        let place = |from: &str, to: &str, cents| {
            let (from, to) = (from.to_owned(), to.to_owned());
            Ask::Place { from, to, cents }
        };
        vec![
            errand(fill("1", 100), Manner::Executed),
            errand(fill("2", 100), Manner::Crowded),
            errand(fill("1", 7), Manner::Cancelled(soon)),
            errand(fill("outdated", 1), Manner::Outdated),
            errand(fill("doomed", 1), Manner::Doomed),
            errand(place("1", "2", 10), Manner::Submitted),
            errand(place("2", "1", 10), Manner::Submitted),
            errand(place("1", SHUT, 10), Manner::Submitted),
            errand(place("1", "2", 1_000), Manner::Submitted),
        ]
    }

    fn purse(evidence: &mut Evidence) -> &mut Vec<PurseEvent> {
        evidence.log.purses.get_mut(&(TENANTS[0].to_owned(), "1".to_owned())).unwrap()
    }

    fn slip_of(evidence: &mut Evidence) -> &mut Vec<SlipEvent> {
        evidence.log.slips.get_mut(&(TENANTS[0].to_owned(), slip(Courier::NAME, "1"))).unwrap()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn whatever_is_not_as_it_was_told_is_found() {
        let house = House::new().await;
        let clean = house.audit(house.evidence.clone()).await;
        assert!(clean.is_clean(), "{clean:#?}");
        assert_eq!((clean.acknowledged, clean.orders, clean.dead), (9, 4, 1), "{clean:#?}");

        let [lost, twice, reordered, untrue] = [0, 1, 2, 3];
        let found = house.found(|evidence| {
            evidence.deliveries.arrivals.retain(|arrival| arrival.parcel.number != 2);
        });
        assert!(found.await[lost], "a message that was never delivered");
        let found = house.found(|evidence| {
            let errand = errands(&mut Dice::new(2)).remove(0);
            let id = errand.id;
            evidence.lines.extend([Line::Asked(errand), Line::Told(id, Told::Submitted)]);
        });
        assert!(found.await[lost], "a command that was acknowledged and is not known");
        let found = house.found(|evidence| {
            evidence.log.orders.values_mut().for_each(|events| drop(events.pop()));
        });
        assert!(found.await[lost], "orders that do not end");
        let found = house.found(|evidence| drop(slip_of(evidence).pop()));
        assert!(found.await[lost], "what was taken and not signed for");
        let found = house.found(|evidence| {
            let order = evidence.log.orders.values_mut().next().unwrap();
            order.push(order[order.len() - 1].clone());
        });
        assert!(found.await[twice], "a step that was taken twice");
        let found = house.found(|evidence| {
            evidence.log.commands.values_mut().for_each(|written| *written += 1);
        });
        assert!(found.await[twice], "a command that ran twice");
        let found = house.found(|evidence| {
            let signed = slip_of(evidence);
            signed.push(signed[0].clone());
        });
        assert!(found.await[twice], "a message that was signed for twice");
        let found = house.found(|evidence| slip_of(evidence).swap(0, 1));
        assert!(found.await[reordered], "a slip that is out of order");
        let found = house.found(|evidence| {
            purse(evidence).iter_mut().for_each(|event| {
                if let PurseEvent::Taken { cents, .. } = event {
                    *cents += 1;
                }
            });
        });
        assert!(found.await[untrue], "money that is gone");
        let found = house.found(|evidence| {
            for line in &mut evidence.lines {
                if let Line::Told(_, told) = line {
                    *told = Told::Cancelled;
                }
            }
        });
        assert!(found.await[untrue], "a command that was cancelled and has run");
        let found = house.found(|evidence| {
            let number = purse(evidence).len() as u64 + 1;
            purse(evidence).push(PurseEvent::Filled { number, cents: 1 });
        });
        assert!(found.await[untrue], "money from nowhere");
        house.station.finish().await.unwrap();
    }
}
