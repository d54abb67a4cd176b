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
        if errand.manner == Manner::Doomed {
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
                !is_cancelled && errand.manner != Manner::Doomed && accepted && written == 1
            }
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
    for depth in queue.queue_depths().await? {
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
        let Some(last) = page.last() else { break };
        after = last.work.place;
        for info in &page {
            let sent = &info.work.sent;
            findings.dead += 1;
            match sent.kind {
                WorkKind::Message if sent.receiver == Herald::NAME => letters += 1,
                WorkKind::Command if doomed.contains(&sent.key) => {}
                _ => findings.add(Fault::Untrue, || format!("{info:?} was given up")),
            }
        }
    }
    if letters != refused {
        findings.add(Fault::Lost, || {
            format!("{refused} parcels are refused for good, and {letters} of them are dead letters")
        });
    }
    Ok(())
}
