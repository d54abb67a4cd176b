//! What persons order of views: given once, stored with the view, carried out by one process at a time.
//!
//! ```text
//!  given ──► waiting ──► a process takes the lease of the view's rebuild ──► carried out ──► ended
//!                 ▲                              │
//!                 └── the process is gone: the lease runs out, and the next one goes on ──┘
//! ```
//!
//! Whoever stores what becomes of an order names the number of it that is known, so an order that was cancelled or
//! replaced meanwhile is noticed at the next store, within `STORED_INTERVAL`. The swap names that number too, and the
//! store compares it in the transaction of the swap: nothing is swapped in whose order was cancelled before, however long
//! a process stood still. An order that is given again is the same order.
//!
//! An order in the background is carried out by any process that keeps views and has the view's definition: it looks
//! for such orders at each poll. Any other is for the process that gave it; where that one is gone, the order stands
//! until somebody gives it again.
//!
//! What happens when something fails: a failure that may pass is tried again, and after that the order is left as it is,
//! for the next process. Any other failure ends the order, and is stored as its end. What was built stays.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use tokio::task::{Id, JoinSet};
use underlay_core::{Checkpoint, Error, Position, Swept, Timestamp, ViewInfo};

use super::Views;
use super::fold::ViewFolder;
use super::order::{OrderProgress, OrderStanding, OrderState, Verified, ViewOrder, ViewTask, body_of};
use super::progress::{Progress, ViewHalt};
use super::rebuild::{Built, RebuildFrom, Watcher, rebuild_lease};
use crate::subscription::has_passed;

/// How often it is stored how far an order is.
const STORED_INTERVAL: Duration = Duration::from_secs(1);
/// Orders that one process carries out at one time.
const ORDERS_AT_ONCE_MAX: usize = 2;
/// How often an order is given again where others store theirs at the same moment.
const GIVEN_MAX: u32 = 10;

/// What is ordered of a view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderRequest {
    /// What.
    pub task: ViewTask,
    /// Where a rebuild begins.
    pub from: RebuildFrom,
    /// Who orders it.
    pub by: String,
    /// Whether any process that keeps the view carries it out; otherwise this one does, by
    /// [`Engine::carry_out_order`](crate::Engine::carry_out_order).
    pub in_background: bool,
}

impl Views {
    /// As [`Engine::order_view`](crate::Engine::order_view).
    pub(crate) async fn order(&self, view: &str, request: &OrderRequest) -> Result<ViewOrder, Error> {
        let folder = self.registry.find_view(view)?;
        let schema = folder.schema();
        let start = Checkpoint::start(self.store.store_id());
        match self.rows(view).prepare(&schema, start).await {
            Ok(_) => {}
            Err(Error::ViewChanged { .. }) if request.task == ViewTask::Rebuild => {}
            Err(error) => return Err(error),
        }
        let definition = schema.fingerprint().to_string();
        for _ in 0..GIVEN_MAX {
            let info = self.info(view).await?.ok_or_else(|| Error::NotFound(format!("view {view}")))?;
            let known = info.order.as_ref().map_or(0, |stored| stored.number);
            let standing =
                info.order.as_ref().and_then(ViewOrder::of).filter(|order| !order.state.is_ended());
            let mut order = match standing {
                Some(standing) if standing.definition == definition => {
                    let is_same = standing.task == request.task
                        && (request.from == RebuildFrom::WhereItWas || standing.from_start);
                    if is_same && (standing.in_background || !request.in_background) {
                        self.look_for_orders.notify_one();
                        return Ok(standing);
                    }
                    if is_same {
                        ViewOrder { in_background: true, ..standing }
                    } else {
                        self.check_replaceable(view, &standing, request).await?;
                        self.new_order(request, &definition)
                    }
                }
                _ => self.new_order(request, &definition),
            };
            let left = left_by_a_comparison(view, &info, order.task)?;
            if order.progress.is_none() {
                order.generation = left;
            }
            match self.rows(view).put_order(view, known, &body_of(&order)?).await {
                Ok(_) => {
                    tracing::info!(view, by = request.by, "the view is to be {}", order.task.doing());
                    self.look_for_orders.notify_one();
                    return Ok(order);
                }
                Err(Error::CheckpointMoved { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Err(Error::unavailable(format!("others store orders for view {view} at the same moment; try again")))
    }

    fn new_order(&self, request: &OrderRequest, definition: &str) -> ViewOrder {
        ViewOrder {
            task: request.task,
            state: OrderState::Waiting,
            ordered_by: request.by.clone(),
            ordered_at: self.clock.now(),
            in_background: request.in_background,
            from_start: request.from == RebuildFrom::Start,
            definition: definition.to_owned(),
            generation: None,
            progress: None,
            verified: None,
            ended_at: None,
            reason: None,
        }
    }

    /// Refuses another order while one is carried out, or waits to be.
    async fn check_replaceable(
        &self,
        view: &str,
        standing: &ViewOrder,
        request: &OrderRequest,
    ) -> Result<(), Error> {
        let holder = self.order_holder(view).await?;
        if holder.is_none() && !standing.in_background && standing.task == request.task {
            return Ok(());
        }
        if holder.is_none() && !standing.in_background && standing.task != ViewTask::Rebuild {
            // What an interrupted comparison has folded is folded again.
            return Ok(());
        }
        let by = holder.map_or_else(String::new, |holder| format!(" by {holder}"));
        let (doing, who) = (standing.task.doing(), &standing.ordered_by);
        let program = &self.config.program;
        Err(Error::Busy(format!(
            "view {view} is being {doing}{by}, as {who} ordered at {}; wait for that, or cancel it by `{program} view \
             cancel {view}`",
            standing.ordered_at
        )))
    }

    /// The process that builds a generation of a view; none where none does, or where there are no leases.
    pub(super) async fn order_holder(&self, view: &str) -> Result<Option<String>, Error> {
        let Some(leases) = self.leases(view) else { return Ok(None) };
        Ok(leases.find(&rebuild_lease(view)).await?.map(|lease| lease.holder))
    }

    /// As [`Engine::cancel_order`](crate::Engine::cancel_order).
    pub(crate) async fn cancel_order(&self, view: &str, by: &str) -> Result<OrderStanding, Error> {
        self.registry.find_view(view)?;
        for _ in 0..GIVEN_MAX {
            let info = self.info(view).await?;
            let stored = info.and_then(|info| info.order);
            let known = stored.as_ref().map_or(0, |stored| stored.number);
            let Some(order) = stored.as_ref().and_then(ViewOrder::of).filter(|order| !order.state.is_ended())
            else {
                return Err(Error::invalid(format!(
                    "nothing is ordered of view {view} that could be cancelled"
                )));
            };
            let holder = self.order_holder(view).await?;
            if order.state == OrderState::Swapping && holder.is_some() {
                return Err(Error::Busy(format!(
                    "what was built of view {view} is being swapped in; `{} view revert {view}` takes that back",
                    self.config.program
                )));
            }
            let was_swapping = order.state == OrderState::Swapping;
            let cancelled = ViewOrder {
                state: OrderState::Cancelled,
                ended_at: Some(self.clock.now()),
                reason: Some(format!("{by} cancelled it")),
                ..order
            };
            match self.rows(view).put_order(view, known, &body_of(&cancelled)?).await {
                Ok(number) => {
                    if was_swapping {
                        self.check_not_swapped(view, number, &cancelled).await?;
                    }
                    tracing::info!(view, by, "it is no longer to be {}", cancelled.task.doing());
                    return Ok(OrderStanding::new(cancelled, None));
                }
                // It has come on meanwhile.
                Err(Error::CheckpointMoved { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Err(Error::unavailable(format!(
            "the order for view {view} comes on too fast to be cancelled; try again"
        )))
    }

    /// Says of an order that was cancelled too late that it is done: whoever swapped it in was gone before it could. From
    /// the cancellation on nobody swaps it in.
    async fn check_not_swapped(&self, view: &str, number: u64, cancelled: &ViewOrder) -> Result<(), Error> {
        let read = self.info(view).await?.map(|info| info.active.number);
        if cancelled.generation.is_none() || cancelled.generation != read {
            return Ok(());
        }
        let done = ViewOrder { state: OrderState::Done, reason: None, ..cancelled.clone() };
        match self.rows(view).put_order(view, number, &body_of(&done)?).await {
            // Something else is ordered by now.
            Ok(_) | Err(Error::CheckpointMoved { .. }) => {}
            Err(error) => return Err(error),
        }
        Err(Error::invalid(format!(
            "what was built of view {view} was swapped in before this; `{} view revert {view}` takes that back",
            self.config.program
        )))
    }

    /// As [`Engine::discard_view`](crate::Engine::discard_view).
    pub(crate) async fn discard(&self, view: &str, by: &str) -> Result<Vec<u32>, Error> {
        self.registry.find_view(view)?;
        let Some(info) = self.info(view).await? else { return Ok(Vec::new()) };
        let standing = info.order.as_ref().and_then(ViewOrder::of).filter(|order| !order.state.is_ended());
        if standing.is_some() {
            self.cancel_order(view, by).await?;
        }
        let replaced = info.replaced.map(|(replaced, _)| replaced);
        let mut given_up = Vec::new();
        for generation in info.building.into_iter().chain(replaced).map(|generation| generation.number) {
            match self.rows(view).discard(view, generation).await {
                Ok(()) => given_up.push(generation),
                // Another was faster.
                Err(Error::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
        // A view's runner removes what they have left, in pieces; where none runs, this does.
        while self.rows(view).sweep().await? == Swept::Piece {}
        Ok(given_up)
    }

    /// As [`Engine::carry_out_order`](crate::Engine::carry_out_order).
    pub(crate) async fn carry_out_here(
        &self,
        view: &str,
        mut told: impl FnMut(&ViewOrder) + Send,
    ) -> Result<ViewOrder, Error> {
        let folder = self.registry.find_view(view)?;
        let lease = self.acquire_rebuild(view).await?;
        let carried = self.carry_out(&*folder, &mut told).await;
        if let Some(lease) = lease {
            lease.release().await;
        }
        carried
    }

    /// Carries an order out, under its lease. What could not be done now is left as it is.
    async fn carry_out(
        &self,
        folder: &dyn ViewFolder,
        told: &mut (dyn FnMut(&ViewOrder) + Send),
    ) -> Result<ViewOrder, Error> {
        let schema = folder.schema();
        let view = schema.name.clone();
        let info = self.info(&view).await?.ok_or_else(|| Error::NotFound(format!("view {view}")))?;
        let stored = info.order.as_ref().and_then(|stored| Some((stored.number, ViewOrder::of(stored)?)));
        let Some((number, order)) = stored else {
            return Err(Error::invalid(format!("nothing is ordered of view {view}")));
        };
        if order.state.is_ended() {
            return Ok(order);
        }
        if order.definition != schema.fingerprint().to_string() {
            return Err(Error::invalid(format!(
                "what is ordered of view {view} is for another definition than this program's; order it anew"
            )));
        }
        let begun = self.begun(folder, &schema).await?.filter(|begun| match order.generation {
            Some(generation) => generation == begun.generation && order.progress.is_some(),
            None => order.task == ViewTask::Rebuild && !order.from_start,
        });
        let from = self.stored_position(begun.as_ref()).await;
        let now = self.clock.now();
        let mut underway = Underway { views: self, view, number, order, told, stored_at: now };
        if underway.order.state == OrderState::Swapping
            && underway.order.generation == Some(info.active.number)
        {
            // Whoever swapped it in was gone before it could say so.
            return underway.ends(OrderState::Done, None).await;
        }
        if let Err(refused) = left_by_a_comparison(&underway.view, &info, underway.order.task) {
            // It was begun since this was ordered.
            underway.ends(OrderState::Failed, Some(refused.to_string())).await?;
            return Err(refused);
        }
        underway.order.generation = begun.as_ref().map(|begun| begun.generation);
        underway.order.progress = Some(OrderProgress {
            by: self.holder.clone(),
            since: now,
            from,
            position: from,
            to: self.store.head().await?,
            at: now,
        });
        underway.is_in(OrderState::Folding, true).await?;
        match self.build(folder, begun, &mut underway).await {
            Ok(Built::IsRead(generation)) => {
                underway.order.generation = Some(generation);
                underway.ends(OrderState::Done, None).await
            }
            Ok(Built::IsLeft(generation)) => {
                if !underway.verified().differs() {
                    // It holds what is read.
                    match self.rows(&underway.view).discard(&underway.view, generation).await {
                        Ok(()) => underway.order.generation = None,
                        Err(error) => tracing::debug!(%error, "giving up what was compared"),
                    }
                }
                underway.ends(OrderState::Done, None).await
            }
            Err(error) if error.is_retryable() => {
                tracing::warn!(view = underway.view, %error, "the order is left for later");
                Err(error)
            }
            Err(error) => {
                if let Err(stored) = underway.ends(OrderState::Failed, Some(error.to_string())).await {
                    tracing::debug!(view = schema.name, error = %stored, "saying that an order failed");
                }
                Err(error)
            }
        }
    }

    /// Carries out orders in the background, until it is stopped.
    pub(super) async fn keep_orders(self: Arc<Self>, mut stopped: watch::Receiver<bool>) {
        let mut carried: JoinSet<()> = JoinSet::new();
        let mut views: HashMap<Id, String> = HashMap::new();
        loop {
            while let Some(ended) = carried.try_join_next_with_id() {
                let id = match ended {
                    Ok((id, ())) => id,
                    Err(error) => {
                        tracing::error!(%error, "an order ended badly");
                        error.id()
                    }
                };
                views.remove(&id);
            }
            match self.infos().await {
                Ok(infos) => {
                    for info in infos {
                        let is_carried = views.values().any(|view| *view == info.name);
                        if is_carried || views.len() >= ORDERS_AT_ONCE_MAX || !self.is_ours(&info) {
                            continue;
                        }
                        let carrying = self.clone().carry_in_background(info.name.clone(), stopped.clone());
                        views.insert(carried.spawn(carrying).id(), info.name);
                    }
                }
                Err(error) => tracing::debug!(%error, "looking for orders"),
            }
            tokio::select! {
                biased;
                // An error says that nobody is left to say it.
                _ = stopped.changed() => break,
                () = self.look_for_orders.notified() => {}
                () = self.clock.sleep(self.config.view_poll_interval) => {}
            }
        }
        while carried.join_next().await.is_some() {}
    }

    /// Whether this process may carry out what is ordered of a view.
    fn is_ours(&self, info: &ViewInfo) -> bool {
        let Some(order) = info.order.as_ref().and_then(ViewOrder::of) else { return false };
        let Ok(folder) = self.registry.find_view(&info.name) else { return false };
        !order.state.is_ended()
            && order.in_background
            && order.definition == folder.schema().fingerprint().to_string()
    }

    async fn carry_in_background(self: Arc<Self>, view: String, mut stopped: watch::Receiver<bool>) {
        let Ok(folder) = self.registry.find_view(&view) else { return };
        let lease = match self.acquire_rebuild(&view).await {
            Ok(lease) => lease,
            Err(error) => return tracing::debug!(view, %error, "another process is at it"),
        };
        let mut told = |_: &ViewOrder| {};
        tokio::select! {
            biased;
            // What was begun is not read by anybody; the next process goes on with it.
            _ = stopped.changed() => {}
            carried = self.carry_out(&*folder, &mut told) => match carried {
                Ok(order) => tracing::info!(view, "the view was {}", order.task.doing()),
                Err(error) => tracing::warn!(view, %error, "what was ordered of the view is not done"),
            }
        }
        if let Some(lease) = lease {
            lease.release().await;
        }
    }
}

/// What a comparison has folded and left, which another comparison folds anew. Refuses one that would throw away what
/// somebody may want to go on with.
fn left_by_a_comparison(view: &str, info: &ViewInfo, task: ViewTask) -> Result<Option<u32>, Error> {
    let Some(building) = info.building.filter(|_| task != ViewTask::Rebuild) else { return Ok(None) };
    let before = info.order.as_ref().and_then(ViewOrder::of);
    if before.is_some_and(|before| before.has_folded_to_compare(building.number)) {
        return Ok(Some(building.number));
    }
    Err(Error::invalid(format!(
        "a rebuild of view {view} was interrupted at position {}; go on with it by `view rebuild {view}`, or give up \
         what it has built by `view discard {view}`",
        building.checkpoint.position
    )))
}

/// An order that this process carries out.
pub(crate) struct Underway<'a> {
    pub(super) views: &'a Views,
    view: String,
    /// Its number as it is stored.
    number: u64,
    pub(super) order: ViewOrder,
    told: &'a mut (dyn FnMut(&ViewOrder) + Send),
    stored_at: Timestamp,
}

impl Underway<'_> {
    /// What the comparison has come to.
    pub(super) fn verified(&mut self) -> &mut Verified {
        self.order.verified.get_or_insert_default()
    }

    /// It has to come to a position.
    pub(super) fn goes_to(&mut self, position: Position) {
        if let Some(progress) = &mut self.order.progress {
            progress.to = progress.to.max(position);
        }
    }

    /// Tells where it is, and stores that: at once, or where it was not stored for a while.
    pub(super) async fn is_in(&mut self, state: OrderState, at_once: bool) -> Result<(), Error> {
        self.order.state = state;
        (self.told)(&self.order);
        let now = self.views.clock.now();
        if !at_once && !has_passed(STORED_INTERVAL, self.stored_at, now) {
            return Ok(());
        }
        self.stored_at = now;
        if self.order.task == ViewTask::Rebuild
            && let Ok(head) = self.views.store.head().await
        {
            self.goes_to(head);
        }
        match self.store().await {
            // The work goes on; whoever looks sees it a moment later.
            Err(error) if error.is_retryable() && !at_once => {
                tracing::debug!(view = self.view, %error, "storing how far an order is");
                Ok(())
            }
            stored => stored,
        }
    }

    /// Stores how it ended.
    async fn ends(mut self, state: OrderState, reason: Option<String>) -> Result<ViewOrder, Error> {
        self.order.state = state;
        self.order.ended_at = Some(self.views.clock.now());
        self.order.reason = reason;
        (self.told)(&self.order);
        self.store().await?;
        Ok(self.order)
    }

    async fn store(&mut self) -> Result<(), Error> {
        for _ in 0..GIVEN_MAX {
            let rows = self.views.rows(&self.view);
            match rows.put_order(&self.view, self.number, &body_of(&self.order)?).await {
                Ok(number) => {
                    self.number = number;
                    return Ok(());
                }
                Err(Error::CheckpointMoved { .. }) => {
                    if self.find_again().await? {
                        return Ok(());
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Err(Error::unavailable(format!(
            "the order for view {} is stored by others at the same moment",
            self.view
        )))
    }

    /// Whether an order as it is stored was not ended by anybody else, nor begun by another process since.
    fn is_still_ours(&self, known: &ViewOrder) -> bool {
        let (Some(own), Some(known_progress)) = (&self.order.progress, &known.progress) else {
            return !known.state.is_ended();
        };
        match known.state.is_ended() {
            true => known.state == self.order.state && known_progress.by == own.by,
            false => known_progress.by == own.by || known_progress.since < own.since,
        }
    }

    /// Finds out why the order has another number: it was cancelled, another was given, or it was given again; or the
    /// answer to our own store was lost. Whether it is stored how it ended, by us or by who went on with it.
    async fn find_again(&mut self) -> Result<bool, Error> {
        let stored = self.views.info(&self.view).await?.and_then(|info| info.order);
        let known = stored.as_ref().and_then(ViewOrder::of).filter(|known| known.is_same(&self.order));
        match (stored, known) {
            (Some(stored), Some(known)) if self.is_still_ours(&known) => {
                self.number = stored.number;
                let is_ended = known.state.is_ended();
                match is_ended {
                    true => self.order = known,
                    false => self.order.in_background |= known.in_background,
                }
                Ok(is_ended)
            }
            (_, Some(known)) => {
                let reason = known.reason.unwrap_or_else(|| "another process has taken it over".to_owned());
                Err(Error::invalid(format!(
                    "view {} is not {} here: {reason}",
                    self.view,
                    known.task.doing()
                )))
            }
            (_, None) => Err(Error::invalid(format!(
                "view {} is not {}: something else was ordered of it",
                self.view,
                self.order.task.doing()
            ))),
        }
    }
}

#[async_trait]
impl Watcher for Underway<'_> {
    async fn begun(&mut self, generation: u32) -> Result<(), Error> {
        self.order.generation = Some(generation);
        self.order.verified = None;
        if let Some(progress) = &mut self.order.progress {
            (progress.from, progress.position) = (Position::START, Position::START);
        }
        self.is_in(OrderState::Folding, true).await
    }

    async fn came_to(&mut self, position: Position) -> Result<(), Error> {
        let now = self.views.clock.now();
        if let Some(progress) = &mut self.order.progress {
            (progress.position, progress.at) = (position, now);
            progress.to = progress.to.max(position);
        }
        let state = match self.order.state {
            OrderState::Comparing => OrderState::Comparing,
            _ => OrderState::Folding,
        };
        self.is_in(state, false).await
    }

    async fn inspect(&mut self, folder: &dyn ViewFolder, built: &mut Progress) -> Result<bool, ViewHalt> {
        match self.order.task {
            ViewTask::Rebuild => Ok(true),
            ViewTask::Verify | ViewTask::Repair => self.verify(folder, built).await,
        }
    }

    async fn swaps(&mut self) -> Result<Option<u64>, Error> {
        self.is_in(OrderState::Swapping, true).await?;
        Ok(Some(self.number))
    }

    async fn folds_on(&mut self) -> Result<(), Error> {
        self.is_in(OrderState::Folding, true).await
    }
}
