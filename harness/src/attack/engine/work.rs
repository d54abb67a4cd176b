//! What follows commits, through the engine: submitted commands, schedules, processes and dead letters of one tenant,
//! with another's ids and names.

use std::time::Duration;

use underlay_core::{Actor, CommitId, Error, Timestamp, WorkFilter, WorkId, WorkKind, WorkPlace};
use underlay_runtime::{
    CommandList, CommandStatus, Engine, LetterChoice, LetterOrder, ProcessFilter, Request,
    ScheduleDefinition, SubmitOptions,
};

use super::{PATIENCE, Pair, SHARED, command};
use crate::Result;
use crate::attack::marks::Marked;
use crate::attack::population::own_commit;
use crate::attack::tally::Attack;
use crate::attack::vault::{Copy, Vault, VaultCommand};

/// The process that watches vaults.
const WATCH: &str = "watch";
/// The schedule every tenant has.
const YEARLY: &str = "yearly";
/// Pieces of work in the commit of each tenant.
const PIECES: u32 = 4;
/// How long the process is waited for between two looks.
const LOOK: Duration = Duration::from_millis(20);

/// What every tenant has before it is attacked: a command for later, a schedule, and instances of a process.
pub(super) async fn fill(engine: &Engine, tenants: &[Marked]) -> Result<()> {
    for tenant in tenants {
        let options = SubmitOptions::default().due_at(Timestamp::MAX);
        let request = Request::new(tenant.id.clone()).with_command_id(later(tenant));
        engine.submit::<Vault>(&request, &tenant.mark(), &fill_with(tenant), options).await?;
        put(engine, tenant).await?;
    }
    let clock = engine.clock();
    let patience = clock.now() + PATIENCE;
    for tenant in tenants {
        while let Err(Error::NotFound(told)) = engine.process(&tenant.id, WATCH, SHARED).await {
            if clock.now() > patience {
                return Err(format!("process {WATCH} does not begin: {told}").into());
            }
            clock.sleep(LOOK).await;
        }
    }
    Ok(())
}

/// What every tenant has is still there, and as it was.
pub(super) async fn look_after(engine: &Engine, tenants: &[Marked], attack: &mut Attack) -> Result<()> {
    for tenant in tenants {
        let info = engine.command_status(&tenant.id, later(tenant)).await?;
        let waits = info.is_some_and(|info| info.status == CommandStatus::Pending);
        attack.judge(!waits, || format!("a command of {} was begun or taken back by another", tenant.id));
        let kept = engine.schedules(Some(&tenant.id), None, 100).await?;
        let kept = kept.iter().any(|schedule| schedule.name == YEARLY && schedule.definition.is_some());
        attack.judge(!kept, || format!("a schedule of {} was taken away by another", tenant.id));
    }
    // One discards all that are its own: those of the others stay.
    let [first, others @ ..] = tenants else { return Ok(()) };
    let mut before = Vec::new();
    for other in others {
        before.push(engine.count_dead_letters(&letters_of(other)).await?.count);
    }
    let own = engine.count_dead_letters(&letters_of(first)).await?;
    let up_to = WorkPlace::from_number(u64::MAX);
    let order = LetterOrder::Discard;
    let settled = engine.settle_dead_letters(order, &letters_of(first), up_to, "the attack").await;
    attack.tried_method("Engine::settle_dead_letters");
    attack.control(own.count > 0 && settled.as_ref().is_ok_and(|settled| *settled == own.count), || {
        format!("{} of {} letters discarded", format_args!("{settled:?}"), own.count)
    });
    for (other, before) in others.iter().zip(before) {
        let after = engine.count_dead_letters(&letters_of(other)).await?.count;
        attack.judge(after != before, || format!("{} of {before} letters are left to {}", after, other.id));
    }
    Ok(())
}

async fn put(engine: &Engine, tenant: &Marked) -> Result<()> {
    let yearly =
        ScheduleDefinition::command::<Vault>("0 0 1 1 *", "UTC", &tenant.mark(), &fill_with(tenant))?;
    engine.put_schedule(&tenant.id, YEARLY, yearly).await.map_err(|error| format!("{error:?}"))?;
    Ok(())
}

/// The command that a tenant has submitted for later.
fn later(tenant: &Marked) -> CommitId {
    command(tenant.number, 3)
}

fn fill_with(tenant: &Marked) -> VaultCommand {
    VaultCommand::Fill { secret: tenant.mark() }
}

fn letters_of(tenant: &Marked) -> WorkFilter {
    WorkFilter { tenant: Some(tenant.id.clone()), dead: true, ..WorkFilter::default() }
}

impl Pair<'_> {
    pub(super) async fn submissions(&self, attack: &mut Attack) -> Result<()> {
        let (engine, own) = (self.engine, &self.own.id);
        let theirs = later(self.victim);
        let found = engine.command_status(own, theirs).await;
        attack.judge(!matches!(found, Ok(None)), || format!("{own} finds a command: {found:?}"));
        self.judge("Engine::command_status", found.map_err(|error| error.to_string().len()), attack);
        let found = engine.look_for_command(own, theirs).await;
        attack.judge(!matches!(found, Ok(None)), || format!("{own} finds a command: {found:?}"));
        self.judge("Engine::look_for_command", found.map_err(|error| error.to_string().len()), attack);
        let cancelled = engine.cancel_command(own, &Actor::default(), theirs, |_| true).await;
        let refused = matches!(cancelled, Err(Error::NotFound(_)));
        attack.judge(!refused, || format!("{own} cancels a command: {cancelled:?}"));
        self.judge("Engine::cancel_command", cancelled.map_err(|_| ()), attack);
        for list in [CommandList::Waiting, CommandList::Failed] {
            for after in [WorkPlace::START, WorkPlace::from_number(1 << 20)] {
                self.judge("Engine::commands", engine.commands(own, list, after, 100).await, attack);
            }
        }
        let waiting = engine.commands(own, CommandList::Waiting, WorkPlace::START, 100).await?;
        let has_own = waiting.commands.iter().any(|info| info.command_id == later(self.own));
        attack.control(has_own, || format!("commands of {own}: {waiting:?}"));
        let filter = WorkFilter { tenant: Some(own.clone()), ..WorkFilter::default() };
        let listed = engine.list_work(&filter, WorkPlace::START, 100).await;
        attack.control(listed.as_ref().is_ok_and(|page| !page.work.is_empty()), || {
            format!("work of {own}: {listed:?}")
        });
        self.judge("Engine::list_work", listed, attack);
        // The others have more of the same queues.
        let queues = engine.tenant_queues(own).await;
        let told = queues.as_ref().map_or(0, |queues| {
            let commands = queues.iter().filter(|queue| queue.depth.kind == WorkKind::Command);
            commands.map(|queue| queue.depth.later).sum()
        });
        self.judge("Engine::tenant_queues", queues, attack);
        let count = waiting.commands.len() as u64;
        attack.judge(told > count, || format!("{own} is told of {told} commands, and has {count}"));
        attack.control(told > 0, || format!("{own} is told of none of its commands"));
        // The same id is a command of one's own, and says nothing of the other.
        let request = Request::new(own.clone()).with_command_id(theirs);
        let options = SubmitOptions::default().due_at(Timestamp::MAX);
        let copy = Copy { from: self.victim.mark(), to: self.own.mark() };
        let body = format!("{{\"from\":\"{}\",\"to\":\"{}\"}}", copy.from, copy.to);
        let fill = format!("{{\"secret\":\"{}\"}}", self.own.mark());
        let mark = self.own.mark();
        let submitted = engine.submit::<Vault>(&request, &mark, &fill_with(self.own), options).await;
        self.judge_submitted("Engine::submit", submitted, theirs, attack);
        let submitted = engine.submit_named(&request, "vault", &mark, "fill", &fill, options).await;
        self.judge_submitted("Engine::submit_named", submitted, theirs, attack);
        let submitted = engine.submit_operation(&request, &copy, options).await;
        self.judge_submitted("Engine::submit_operation", submitted, theirs, attack);
        let submitted = engine.submit_operation_named(&request, "copy", &body, options).await;
        self.judge_submitted("Engine::submit_operation_named", submitted, theirs, attack);
        engine.cancel_command(own, &Actor::default(), theirs, |_| true).await?;
        Ok(())
    }

    /// As [`Pair::judge`], of an answer that repeats the id that was asked for.
    fn judge_submitted<T: std::fmt::Debug, E: std::fmt::Debug>(
        &self,
        method: &'static str,
        submitted: std::result::Result<T, E>,
        id: CommitId,
        attack: &mut Attack,
    ) {
        let text = format!("{submitted:?}").replace(&id.to_string(), "asked");
        self.judge(method, Err::<(), String>(text), attack);
    }

    pub(super) async fn timetable(&self, attack: &mut Attack) -> Result<()> {
        let (engine, own) = (self.engine, &self.own.id);
        for after in [None, Some((&self.victim.id, YEARLY)), Some((&self.victim.id, "'; --"))] {
            let listed = engine.schedules(Some(own), after, 100).await;
            let alone = |listed: &Vec<underlay_runtime::ScheduleInfo>| {
                listed.iter().all(|schedule| schedule.tenant == *own)
            };
            let leaks = listed.as_ref().is_ok_and(|listed| !alone(listed));
            attack.judge(leaks, || format!("{own} lists {listed:?}"));
            self.judge("Engine::schedules", listed, attack);
        }
        let removed = engine.remove_schedule(own, YEARLY).await;
        attack.control(matches!(removed, Ok(true)), || format!("its own schedule: {removed:?}"));
        self.judge("Engine::remove_schedule", removed, attack);
        attack.tried_method("Engine::put_schedule");
        put(engine, self.own).await
    }

    pub(super) async fn processes(&self, attack: &mut Attack) {
        let (engine, own) = (self.engine, &self.own.id);
        let shown = engine.process(own, WATCH, &self.victim.mark()).await;
        attack.judge(shown.is_ok(), || format!("{own} is shown {shown:?}"));
        // The name of the instance is the caller's own word.
        self.judge("Engine::process", shown.map_err(|error| error.to_string().len()), attack);
        let shown = engine.process(own, WATCH, SHARED).await;
        attack.control(format!("{shown:?}").contains(&self.own.mark()), || format!("process: {shown:?}"));
        self.judge("Engine::process", shown, attack);
        for filter in
            [ProcessFilter::Every, ProcessFilter::Open, ProcessFilter::Finished, ProcessFilter::Stuck]
        {
            for after in [None, Some("")] {
                let listed = engine.processes(own, WATCH, filter, after, 100).await;
                self.judge("Engine::processes", listed, attack);
            }
        }
    }

    pub(super) async fn letters(&self, attack: &mut Attack) -> Result<()> {
        let (engine, own) = (self.engine, &self.own.id);
        let filter = letters_of(self.own);
        let listed = engine.dead_letters(&filter, WorkPlace::START, 100).await;
        attack.control(listed.as_ref().is_ok_and(|listed| !listed.work.is_empty()), || {
            format!("letters: {listed:?}")
        });
        self.judge("Engine::dead_letters", listed, attack);
        let counted = engine.count_dead_letters(&filter).await;
        self.judge("Engine::count_dead_letters", counted, attack);
        for number in 0..PIECES {
            let id = WorkId::of(&self.victim.id, own_commit(self.victim), number);
            let found = engine.find_dead_letter(&filter, id).await;
            attack.judge(found.is_ok(), || format!("{own} finds letter {found:?}"));
            self.judge("Engine::find_dead_letter", found, attack);
            for order in [LetterOrder::Replay, LetterOrder::Discard] {
                let settled = engine.settle_dead_letter(order, own, id, "the attack").await;
                attack.judge(settled.is_ok(), || format!("{own} settles a letter of {}", self.victim.id));
                self.judge("Engine::settle_dead_letter", settled, attack);
            }
        }
        let theirs = (0..PIECES).map(|number| WorkId::of(&self.victim.id, own_commit(self.victim), number));
        let choice = LetterChoice { filter, ids: Some(theirs.collect()), ..LetterChoice::default() };
        for order in [LetterOrder::Replay, LetterOrder::Discard] {
            let settled = engine.settle_chosen_letters(order, &choice, 100, "the attack").await;
            let none = settled.as_ref().is_ok_and(|settled| settled.count + settled.told == 0);
            attack.judge(!none, || format!("{own} settles letters of {}: {settled:?}", self.victim.id));
            self.judge("Engine::settle_chosen_letters", settled, attack);
        }
        Ok(())
    }
}
