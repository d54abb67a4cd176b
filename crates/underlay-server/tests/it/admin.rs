//! What operators see and do: queues, pumps, dead letters; of whom, and who may.

use std::time::Duration;

use serde_json::{Value, json};
use underlay_core::{
    BusSubscription, Commit, CommitId, EventStore, HandlerError, Input, Json, NewWork, Process, ProcessStart,
    Recorded, RecordedEvent, Settled, Settlement, Sink, Step, StepContext, Subscriber, WorkKind, WorkPlace,
    WorkQueue, Worker,
};
use underlay_derive::{event, value};
use underlay_server::ServerConfig;

use crate::account::registry;
use crate::place::{ByHeader, Place, get_with, post_with, tenant};

pub const OPERATOR: &str = "Bearer acme.operator";

pub fn site() -> Place {
    Place::with(|config| config.with_credentials(ByHeader))
}

/// Stores dead letters of a tenant, each of a key of its own, and gives their ids.
pub async fn give_up(place: &Place, owner: &str, texts: &[&str]) -> Vec<String> {
    let store = &place.store.inner;
    for text in texts {
        let payload = Json::encode(&json!({ "text": text })).unwrap();
        let work = NewWork::new(WorkKind::Message, "mailer", *text, "note", payload);
        store.commit(&tenant(owner), Commit::new(CommitId::draw()).send(work)).await.unwrap();
    }
    let worker = Worker::embedded("a test");
    let share = store.share(&worker, Duration::from_secs(60), &[]).await.unwrap();
    let all = underlay_core::WorkFilter { tenant: Some(tenant(owner)), ..Default::default() };
    let found = store.list_work(&all, WorkPlace::START, 1_000).await.unwrap();
    let settlement = |info: &underlay_core::WorkInfo| Settlement {
        term: share.held.iter().find(|held| held.term.shard == info.work.shard).unwrap().term,
        place: info.work.place,
        settled: Settled::Dead { error: "no such address".to_owned(), is_final: true, holds: false },
    };
    let settlements: Vec<Settlement> = found.work.iter().map(settlement).collect();
    assert!(store.settle(&settlements).await.unwrap().is_empty());
    store.leave(&worker).await.unwrap();
    found.work.iter().map(|info| info.work.id.to_string()).collect()
}

async fn list(place: &Place, query: &str, who: &str) -> Value {
    place.send(get_with(&format!("/v1/admin/dead-letters{query}"), &[("authorization", who)])).await.ok()
}

async fn order(place: &Place, id: &str, order: &str, who: &str) -> crate::place::Answer {
    let path = format!("/v1/admin/dead-letters/{id}/{order}");
    place.send(post_with(&path, "", &[("authorization", who)])).await
}

#[tokio::test]
async fn dead_letters_are_shown_and_settled_of_the_callers_tenant_alone() {
    let place = site();
    let ours = give_up(&place, "acme", &["one", "two"]).await;
    let theirs = give_up(&place, "globex", &["secret"]).await;
    let page = list(&place, "", OPERATOR).await;
    let letters = page["dead_letters"].as_array().unwrap();
    assert_eq!(letters.len(), 2, "{page}");
    let first = &letters[0];
    for (member, value) in [
        ("work_id", json!(ours[0])),
        ("kind", json!("message")),
        ("receiver", json!("mailer")),
        ("key", json!("one")),
        ("name", json!("note")),
        ("payload", json!({ "text": "one" })),
        ("attempts", json!(1)),
        ("last_error", json!("no such address")),
        ("is_final", json!(true)),
        ("holds_key", json!(false)),
    ] {
        assert_eq!(first[member], value, "{member} of {first}");
    }
    assert!(page["next"].is_null() && first.get("tenant").is_none());

    let show = async |id: &str| {
        place.send(get_with(&format!("/v1/admin/dead-letters/{id}"), &[("authorization", OPERATOR)])).await
    };
    assert_eq!(&show(&ours[0]).await.ok(), first);
    let foreign = show(&theirs[0]).await.problem(404, "problem:not-found");
    let nobodys = show(&CommitId::draw().to_string()).await.problem(404, "problem:not-found");
    assert_eq!(foreign["title"], nobodys["title"]);
    show("not-an-id").await.invalid();

    for what in ["replay", "discard"] {
        let foreign = order(&place, &theirs[0], what, OPERATOR).await.problem(404, "problem:not-found");
        let nobodys = order(&place, &CommitId::draw().to_string(), what, OPERATOR).await;
        assert_eq!(foreign["title"], nobodys.problem(404, "problem:not-found")["title"]);
        order(&place, "not-an-id", what, OPERATOR).await.invalid();
    }
    assert_eq!(order(&place, &ours[0], "replay", OPERATOR).await.ok()["status"], "replayed");
    assert_eq!(order(&place, &ours[1], "discard", OPERATOR).await.ok()["status"], "discarded");
    order(&place, &ours[0], "replay", OPERATOR).await.problem(404, "problem:not-found");
    assert_eq!(list(&place, "", OPERATOR).await["dead_letters"], json!([]));
    assert_eq!(list(&place, "", "Bearer globex.operator").await["dead_letters"].as_array().unwrap().len(), 1);
    let left = place.engine.queue().unwrap().queue_depths(None).await.unwrap();
    assert_eq!((left[0].ready + left[0].later, left[0].dead), (1, 1), "one waits again, one is theirs");
}

#[tokio::test]
async fn dead_letters_come_in_pages_by_what_is_asked_for() {
    let place = site();
    let texts: Vec<String> = (0..45).map(|number| format!("letter {number}")).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let ids = give_up(&place, "acme", &texts).await;
    let (mut seen, mut query) = (Vec::new(), "?limit=20".to_owned());
    loop {
        let page = list(&place, &query, OPERATOR).await;
        let letters = page["dead_letters"].as_array().unwrap();
        seen.extend(letters.iter().map(|letter| letter["work_id"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        assert_eq!(letters.len(), 20);
        query = format!("?limit=20&after={next}");
    }
    assert_eq!(seen, ids);
    let found =
        async |query: &str| list(&place, query, OPERATOR).await["dead_letters"].as_array().unwrap().len();
    assert_eq!(found("?key=letter+7").await, 1);
    assert_eq!(found("?receiver=mailer&kind=message").await, 45);
    assert_eq!(found("?receiver=other").await, 0);
    assert_eq!(found("?kind=timer").await, 0);
    for wrong in ["?kind=letter", "?limit=0", "?limit=1000", "?after=x", "?tenant=globex"] {
        let path = format!("/v1/admin/dead-letters{wrong}");
        place.send(get_with(&path, &[("authorization", OPERATOR)])).await.invalid();
    }
    // A page ends with the letter that reaches its bytes.
    let small = Place::with(|mut config| {
        config.page_bytes_max = 20_000;
        config.with_credentials(ByHeader)
    });
    give_up(&small, "acme", &texts).await;
    let page = list(&small, "", OPERATOR).await;
    let count = page["dead_letters"].as_array().unwrap().len();
    assert!((16..45).contains(&count) && page["next"].is_string(), "{count}");
}

#[tokio::test]
async fn the_work_is_for_operators() {
    let place = site();
    let id = give_up(&place, "acme", &["one"]).await.remove(0);
    let others = ["Bearer acme", "Bearer acme.manager", "Bearer acme.Operator", "Bearer acme.operator-"];
    for who in others {
        let with = [("authorization", who)];
        let one = format!("/v1/admin/dead-letters/{id}");
        for path in ["/v1/admin/queues", "/v1/admin/dead-letters", &one] {
            place.send(get_with(path, &with)).await.problem(403, "problem:role-required");
        }
        for what in ["replay", "discard"] {
            order(&place, &id, what, who).await.problem(403, "problem:role-required");
        }
        let page = place.send(get_with("/", &with)).await;
        assert!(!page.text().contains("mailer"), "the overview shows it to operators");
    }
    place.get("/v1/admin/queues").await.problem(401, "problem:unidentified");
    place.send(get_with("/v1/admin/queues", &[("authorization", OPERATOR)])).await.ok();
    let page = place.send(get_with("/", &[("authorization", OPERATOR)])).await;
    assert!(page.text().contains("mailer"), "{}", page.text());
    let nobody = |mut config: ServerConfig| {
        config.operators = Vec::new();
        config
    };
    for place in [Place::with(nobody), Place::with(|config| nobody(config.with_credentials(ByHeader)))] {
        place
            .send(get_with("/v1/admin/queues", &[("authorization", OPERATOR)]))
            .await
            .problem(403, "problem:role-required");
    }
}

/// Takes nothing.
struct Broken;

#[async_trait::async_trait]
impl Sink for Broken {
    async fn take(&self, _: &[RecordedEvent]) -> Result<(), HandlerError> {
        Err(HandlerError::last("the index of tenant globex is full"))
    }
}

#[async_trait::async_trait]
impl Subscriber for Broken {
    async fn take(&self, _: &RecordedEvent) -> Result<(), HandlerError> {
        Err(HandlerError::last("what tenant globex sent"))
    }
}

/// Cannot read what is noted.
struct Lost;

#[event(crate = underlay_core)]
enum Note {
    #[event(name = "noted", version = 1)]
    Noted { number: u32 },
}

#[value(crate = underlay_core)]
struct LostState {
    sum: u32,
}

impl Process for Lost {
    const NAME: &'static str = "lost";
    const STARTS: ProcessStart = ProcessStart::Beginning;
    type Event = Note;
    type State = LostState;

    fn route(&self, event: &Recorded<Note>) -> Option<String> {
        let Note::Noted { number } = &event.event;
        Some(number.to_string())
    }

    fn step(&self, state: Option<&LostState>, _: &Input<Note>, _: &StepContext) -> Step<LostState> {
        Step::to(LostState { sum: state.map_or(1, |state| state.sum + 1) })
    }
}

pub fn broken(configure: impl FnOnce(ServerConfig) -> ServerConfig) -> Place {
    let wanted = BusSubscription::new("feed").with_dead_letters_max(1);
    Place::of(registry().process(Lost).pump("audit", Broken).subscriber(wanted, Broken), configure)
}

#[tokio::test]
async fn readiness_tells_what_waits_and_what_stopped_and_no_more_than_it_may() {
    for is_open in [true, false] {
        let place = broken(|config| if is_open { config } else { config.with_credentials(ByHeader) });
        give_up(&place, "acme", &["one", "two"]).await;
        let engine = &place.engine;
        let running = (engine.start_subscribers().await.unwrap(), engine.start_pumps(), engine.start_work());
        place.store_big_events("acme", "note-1", 2).await;
        let mut ready = Value::Null;
        for _ in 0..500 {
            place.clock.advance(Duration::from_millis(100));
            ready = place.get("/readyz").await.ok();
            let stopped = ["processes_stopped", "pumps_stopped", "subscribers_stopped"];
            if stopped.into_iter().all(|member| ready.get(member).is_some()) {
                break;
            }
        }
        assert_eq!(ready["status"], "degraded", "{ready}");
        assert_eq!(ready["processes_stopped"], json!({ "lost": "paused" }));
        assert_eq!(ready["pumps_stopped"], json!({ "audit": "paused" }));
        assert_eq!(ready["subscribers_stopped"], json!(["feed"]));
        if is_open {
            let queue = &ready["queues"][0];
            assert_eq!(
                (&queue["receiver"], &queue["dead"], &queue["lag_seconds"]),
                (&json!("mailer"), &json!(2), &json!(0))
            );
        } else {
            assert!(ready.get("queues").is_none(), "{ready}");
        }
        let who = [("authorization", OPERATOR)];
        let queues = place.send(get_with("/v1/admin/queues", &who)).await.ok();
        assert_eq!(queues["queues"][0]["dead"], 2);
        assert_eq!(queues["pumps"][0]["status"], "paused");
        assert!(queues["pumps"][0]["stopped_since"].is_string() && queues["shards_held"].is_number());
        let lost = &queues["processes"][0];
        assert_eq!((&lost["name"], &lost["status"]), (&json!("lost"), &json!("paused")), "{lost}");
        assert!(lost["stopped_since"].is_string(), "{lost}");
        let feed = &queues["subscribers"][0];
        // How much of all tenants there is, is told where everybody is let in.
        let dead = if is_open { json!(1) } else { Value::Null };
        assert_eq!((&feed["dead"], &feed["lag"]["waiting"]), (&dead, &json!(1)), "{feed}");
        for follower in [lost, &queues["pumps"][0]] {
            assert_eq!(follower.get("position").is_some(), is_open, "{follower}");
            assert_eq!(follower.get("behind").is_some(), is_open, "{follower}");
        }
        assert_eq!(queues["left"].is_number(), is_open, "{queues}");
        let other =
            place.send(get_with("/v1/admin/queues", &[("authorization", "Bearer zeta.operator")])).await;
        if !is_open {
            assert!(other.ok()["subscribers"][0].get("lag").is_none(), "of other tenants nothing is told");
        }
        let page = place.send(get_with("/", &who)).await;
        for told in [queues.to_string(), ready.to_string(), page.text().to_owned()] {
            assert!(!told.contains("globex"), "why it stopped is for the log: {told}");
        }
        assert!(
            page.text().contains("audit") && page.text().contains("lost") && page.text().contains("mailer"),
            "{}",
            page.text()
        );
        drop(running);
    }
}

#[tokio::test]
async fn an_operator_is_told_of_the_queues_of_the_own_tenant_alone() {
    let place = site();
    let queues = async |who: &str| {
        let told = place.send(get_with("/v1/admin/queues", &[("authorization", who)])).await.ok();
        told["queues"].clone()
    };
    give_up(&place, "acme", &["one", "two"]).await;
    place.clock.advance(Duration::from_secs(60));
    give_up(&place, "globex", &["three"]).await;
    let sent = NewWork::new(WorkKind::Message, "mailer", "four", "note", Json::encode(&json!({})).unwrap());
    place.store.inner.commit(&tenant("globex"), Commit::new(CommitId::draw()).send(sent)).await.unwrap();
    let ours = queues(OPERATOR).await;
    assert_eq!(ours.as_array().unwrap().len(), 1, "{ours}");
    assert_eq!(
        (&ours[0]["dead"], &ours[0]["ready"], &ours[0]["oldest_sent_at"]),
        (&json!(2), &json!(0), &Value::Null)
    );
    let theirs = queues("Bearer globex.operator").await;
    assert_eq!((&theirs[0]["dead"], &theirs[0]["ready"]), (&json!(1), &json!(1)));
    assert_eq!(queues("Bearer zeta.operator").await, json!([]), "who has nothing is told of nothing");
    let page = |who: &'static str| place.send(get_with("/", &[("authorization", who)]));
    assert!(!page("Bearer zeta.operator").await.text().contains("mailer"));
    assert!(page(OPERATOR).await.text().contains("mailer"));
    // Where everybody is let in there is one operator.
    let open = Place::new();
    give_up(&open, "globex", &["three"]).await;
    assert_eq!(open.get("/v1/admin/queues").await.ok()["queues"][0]["dead"], 1);
}

#[tokio::test]
async fn a_service_without_work_says_so() {
    let place = Place::new();
    assert_eq!(place.get("/v1/admin/queues").await.ok()["queues"], json!([]));
    assert!(!place.get("/").await.text().contains("Queues"));
    assert_eq!(place.get("/v1/admin/dead-letters").await.ok()["dead_letters"], json!([]));
}
