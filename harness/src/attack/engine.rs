//! The engine on the store: commands, operations and queries of one tenant with another's names and ids.

mod work;

use std::fmt::Debug;
use std::time::Duration;

use underlay_core::{
    Aggregate, CommitId, Comparison, Cursor, Direction, Position, Query, StreamName, Value, View,
};
use underlay_runtime::{AsOf, Engine, EngineConfig, RebuildFrom, Request};

use super::marks::{self, Marked};
use super::population::{Population, own_commit};
use super::tally::Attack;
use super::vault::{Copy, Secrets, Vault, VaultCommand, Watch, registry};
use crate::Result;
use crate::subject::OpenStore;

/// How long a view may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// The vault every tenant has.
const SHARED: &str = "shared";
/// The view of all vaults.
const SECRETS: &str = <Secrets as View>::NAME;
/// The view that lists the instances of processes.
const PROCESS_INSTANCES: &str = "underlay_process_instances";

/// Fills a vault for every tenant, and calls everything as one tenant against another.
pub(super) async fn attack(
    store: &OpenStore,
    population: &Population,
    pairs: &[(usize, usize)],
) -> Result<Attack> {
    let mut attack = Attack::new("commands and queries of the engine");
    let engine = Engine::new(store.ports(), registry().process(Watch), EngineConfig::default())?;
    let (views, working) = (engine.start_views(), engine.start_work());
    let position = fill(&engine, store, population).await?;
    work::fill(&engine, &population.tenants).await?;
    engine.wait_for_view(SECRETS, position, PATIENCE).await?;
    engine.wait_for_view(PROCESS_INSTANCES, store.store.head().await?, PATIENCE).await?;
    for (own, victim) in pairs {
        let pair =
            Pair { engine: &engine, own: &population.tenants[*own], victim: &population.tenants[*victim] };
        pair.queries(&mut attack).await?;
        pair.states(&mut attack).await?;
        pair.submissions(&mut attack).await?;
        pair.timetable(&mut attack).await?;
        pair.processes(&mut attack).await;
        pair.letters(&mut attack).await?;
        pair.commands(&mut attack).await;
    }
    work::look_after(&engine, &population.tenants, &mut attack).await?;
    // Also from the rows of another generation.
    engine.rebuild_view(SECRETS, RebuildFrom::default(), |_| ()).await?;
    for (own, victim) in pairs {
        let pair =
            Pair { engine: &engine, own: &population.tenants[*own], victim: &population.tenants[*victim] };
        pair.queries(&mut attack).await?;
    }
    working.stop().await;
    views.stop().await;
    Ok(attack)
}

async fn fill(engine: &Engine, store: &OpenStore, population: &Population) -> Result<Position> {
    for tenant in &population.tenants {
        for (vault, id) in
            [(SHARED.to_owned(), command(marks::EVERYBODY, 1)), (tenant.mark(), command(tenant.number, 2))]
        {
            let request = Request::new(tenant.id.clone()).with_command_id(id);
            let fill = VaultCommand::Fill { secret: tenant.mark() };
            engine.execute::<Vault>(&request, &vault, fill).await.map_err(|error| format!("{error:?}"))?;
        }
    }
    Ok(store.store.head().await?)
}

/// The id of a command.
fn command(tenant: u32, number: u32) -> CommitId {
    CommitId(marks::uuid(tenant, 2_000 + number))
}

struct Pair<'a> {
    engine: &'a Engine,
    own: &'a Marked,
    victim: &'a Marked,
}

impl Pair<'_> {
    /// Judges an answer by what it holds of others; whether it was given.
    fn judge<T: Debug, E: Debug>(
        &self,
        method: &'static str,
        answer: std::result::Result<T, E>,
        attack: &mut Attack,
    ) -> Option<T> {
        attack.tried_method(method);
        if let Some(sign) = self.sign(&format!("{answer:?}")) {
            attack.leak(format!("{method} for {} against {}: {sign}", self.own.id, self.victim.id));
        }
        answer.ok()
    }

    /// What of others is in a text, beside the names that were asked for and the shared ids.
    fn sign(&self, text: &str) -> Option<String> {
        let asked = format!("{:?}", self.victim.mark());
        let text = text.replace(&asked, "asked");
        marks::foreign(Some(self.own.number), &text)
    }

    async fn queries(&self, attack: &mut Attack) -> Result<()> {
        let (engine, own) = (self.engine, &self.own.id);
        let row = engine.row(own, SECRETS, &self.victim.mark()).await;
        let row = self.judge("Engine::row", row.map_err(|error| error.to_string().len()), attack);
        attack.judge(row.is_some(), || format!("row of {} for {}", self.victim.id, self.own.id));
        let row = engine.row(own, SECRETS, SHARED).await;
        attack.control(format!("{row:?}").contains(&self.own.mark()), || format!("row: {row:?}"));
        self.judge("Engine::row", row, attack);
        let keys = [self.victim.mark(), SHARED.to_owned()];
        let rows = engine.rows_at(own, SECRETS, &keys, Position::START).await;
        attack.control(format!("{rows:?}").contains(&self.own.mark()), || format!("rows: {rows:?}"));
        if let Some(rows) = self.judge("Engine::rows_at", rows, attack) {
            let found = rows.rows.get(&keys[0]).is_some_and(Option::is_some);
            attack.judge(found, || format!("row of {} for {}", self.victim.id, self.own.id));
        }
        let mut queries = vec![Query::default()];
        for comparison in [Comparison::Eq, Comparison::Ge, Comparison::Le, Comparison::Prefix] {
            for text in [self.victim.mark(), String::new(), "' OR true --".to_owned()] {
                queries.push(Query::default().filter("secret", comparison, Value::Text(text)));
            }
        }
        for direction in [Direction::Ascending, Direction::Descending] {
            let cursor = Cursor { value: Some(Value::Text(self.victim.mark())), key: SHARED.to_owned() };
            queries.push(Query { after: Some(cursor), ..Query::default().sort("secret", direction) });
        }
        let everything = engine.count(own, SECRETS, &Query::default()).await?;
        for query in queries {
            self.judge("Engine::query", engine.query(own, SECRETS, &query).await, attack);
            let count = self.judge("Engine::count", engine.count(own, SECRETS, &query).await, attack);
            attack.judge(count.is_some_and(|count| count > everything), || format!("count of {query:?}"));
        }
        attack.control(everything >= 2, || format!("{} has {everything} rows", self.own.id));
        Ok(())
    }

    async fn states(&self, attack: &mut Attack) -> Result<()> {
        let (engine, own) = (self.engine, &self.own.id);
        let stream = |id: &str| StreamName::new(Vault::CATEGORY, id);
        let state = engine.past_state(own, &stream(&self.victim.mark())?, AsOf::Now).await;
        let state = self.judge("Engine::past_state", state.map_err(|error| error.to_string().len()), attack);
        attack.judge(state.is_some(), || format!("state of {} for {}", self.victim.id, self.own.id));
        let state = engine.past_state(own, &stream(SHARED)?, AsOf::Now).await;
        attack.control(format!("{state:?}").contains(&self.own.mark()), || format!("state: {state:?}"));
        self.judge("Engine::past_state", state, attack);
        Ok(())
    }

    async fn commands(&self, attack: &mut Attack) {
        let engine = self.engine;
        let request = || Request::new(self.own.id.clone());
        let fill = || VaultCommand::Fill { secret: self.own.mark() };
        // The refusal quotes what is in it.
        let refused = engine.execute::<Vault>(&request(), &SHARED.to_owned(), fill()).await;
        attack.control(format!("{refused:?}").contains(&self.own.mark()), || format!("refusal: {refused:?}"));
        self.judge("Engine::execute", refused, attack);
        // What another's command was answered is not an answer here.
        for id in [command(marks::EVERYBODY, 1), command(self.victim.number, 2), own_commit(self.victim)] {
            let asked = request().with_command_id(id);
            let answer = engine.execute::<Vault>(&asked, &format!("new-{}", self.own.mark()), fill()).await;
            // The id of the command is the caller's own word.
            let text = format!("{answer:?}").replace(&id.to_string(), "asked");
            self.judge("Engine::execute", Err::<(), String>(text), attack);
        }
        let copy = Copy { from: self.victim.mark(), to: format!("copy-{}", self.own.mark()) };
        let answer = engine.operate(&request(), copy.clone()).await;
        attack.judge(answer.is_ok(), || format!("{} copied a vault of {}", self.own.id, self.victim.id));
        self.judge("Engine::operate", answer, attack);
        let body = format!("{{\"from\":\"{}\",\"to\":\"{}\"}}", copy.from, copy.to);
        let answer = engine.operate_named(&request(), "copy", &body).await;
        attack.judge(answer.is_ok(), || format!("{} copied a vault of {}", self.own.id, self.victim.id));
        self.judge("Engine::operate_named", answer, attack);
        let body = format!("{{\"secret\":\"{}\"}}", self.own.mark());
        let answer = engine.execute_named(&request(), "vault", SHARED, "fill", &body).await;
        self.judge("Engine::execute_named", answer, attack);
    }
}
