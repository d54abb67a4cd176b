//! The cache of a service: typed values that events take away, in two processes before one Redis that comes and goes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use underlay::ports::SystemClock;
use underlay::{
    Aggregate, Clock, Context, Decision, Engine, Error, EventStoreExt, Keep, Recorded, Request, Service,
    Store, TenantId, Version,
};

#[underlay::event]
enum PriceEvent {
    #[event(name = "priced", version = 1)]
    Priced { cents: i64 },
}

#[underlay::command]
enum PriceCommand {
    #[command(name = "set")]
    Set { cents: i64 },
}

#[underlay::refusal]
enum NoPrice {
    #[refusal(code = "negative", message = "{cents} is less than nothing")]
    Negative { cents: i64 },
}

#[derive(Clone, Default)]
struct Price;

impl Aggregate for Price {
    const CATEGORY: &'static str = "price";
    type Id = String;
    type Command = PriceCommand;
    type Event = PriceEvent;
    type Refusal = NoPrice;

    fn decide(&self, command: PriceCommand, _: &Context) -> Result<Decision<PriceEvent>, NoPrice> {
        let PriceCommand::Set { cents } = command;
        if cents < 0 { Err(NoPrice::Negative { cents }) } else { Ok(PriceEvent::Priced { cents }.into()) }
    }

    fn evolve(&mut self, _: &PriceEvent) {}
}

// region: register
fn service() -> Service {
    Service::new("shop")
        .aggregate::<Price>()
        .cache_invalidated_by(|event: &Recorded<PriceEvent>| vec![format!("price:{}", event.stream().id())])
}
// endregion: register

// region: load
/// All prices that an article has had, the last one last.
async fn prices(engine: &Engine, request: &Request, article: &str) -> Result<Arc<Vec<i64>>, Error> {
    let keep = Keep::new(Duration::from_secs(300)).tagged(format!("price:{article}"));
    let load = async || read_prices(engine, request, article).await;
    engine.cache(request).get_or_load(&format!("prices:{article}"), keep, load).await
}
// endregion: load

async fn read_prices(engine: &Engine, request: &Request, article: &str) -> Result<Vec<i64>, Error> {
    let stream = Price::stream(&article.to_owned())?;
    let events = engine.store().read_stream_whole(&request.tenant, &stream, Version::NONE).await?;
    let cents = |event| match Recorded::<PriceEvent>::decode(event) {
        Ok(Some(Recorded { event: PriceEvent::Priced { cents }, .. })) => Ok(cents),
        _ => Err(Error::Damaged("the stream has something else".to_owned())),
    };
    events.into_iter().map(cents).collect()
}

fn request() -> Request {
    Request::new(TenantId::new("acme").unwrap())
}

async fn price(engine: &Engine, article: &str, cents: i64) {
    engine.execute::<Price>(&request(), &article.to_owned(), PriceCommand::Set { cents }).await.unwrap();
}

async fn shown(engine: &Engine, article: &str) -> Vec<i64> {
    prices(engine, &request(), article).await.unwrap().to_vec()
}

/// Asks until it is so.
async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    let began = Instant::now();
    while !is_so().await {
        assert!(began.elapsed() < Duration::from_secs(20), "{what}");
        SystemClock.sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn an_event_takes_away_what_it_makes_stale() {
    let store = Store::open("memory:").await.unwrap();
    let engine = service().open(&store).unwrap();
    let running = engine.start_subscribers().await.unwrap();
    price(&engine, "tea", 250).await;
    until("the first price", async || shown(&engine, "tea").await == [250]).await;
    price(&engine, "tea", 270).await;
    until("the second price", async || shown(&engine, "tea").await == [250, 270]).await;
    running.stop().await;
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_store_without_a_cache_is_not_put_behind_it() {
    let backend = underlay::Adapters::default().open("memory:", &Default::default()).await.unwrap();
    let store = Store::open("memory:").await.unwrap();
    let refused = store.with_cache("memory:", backend).unwrap_err();
    assert_eq!(refused.to_string(), "the store memory: keeps no cache");
}

#[cfg(feature = "redis")]
mod redis {
    use servers::Redis;
    use underlay::Adapters;
    use underlay::adapter::OptionValues;

    use super::*;

    const LONG: Duration = Duration::from_secs(600);

    /// A process over the log of a store, before a Redis.
    async fn process(log: &Store, address: &str) -> Engine {
        let behind = Adapters::default().open(address, &OptionValues::new()).await.unwrap();
        let store = log.clone().with_cache("redis:", behind).unwrap();
        service().open(&store).unwrap()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn two_processes_share_a_redis_and_go_on_without_it() {
        let mut server = match Redis::start() {
            Ok(server) => server,
            Err(missing) => return missing.skip_test(),
        };
        let log = Store::open("memory:").await.unwrap();
        let address = server.address();
        let (one, two) = (process(&log, &address).await, process(&log, &address).await);
        let running = [one.start_subscribers().await.unwrap(), two.start_subscribers().await.unwrap()];
        let (of_one, of_two) = (one.cache(&request()), two.cache(&request()));

        // What one has kept the other finds.
        of_one.set("shared", "text".to_owned(), Keep::new(LONG).tagged("texts")).await.unwrap();
        let found = of_two.get::<String>("shared").await.unwrap();
        assert_eq!(found.as_deref().map(String::as_str), Some("text"));
        price(&one, "tea", 250).await;
        until("both see the price", async || {
            shown(&one, "tea").await == [250] && shown(&two, "tea").await == [250]
        })
        .await;
        price(&two, "tea", 270).await;
        until("both see the next", async || {
            shown(&one, "tea").await == [250, 270] && shown(&two, "tea").await == [250, 270]
        })
        .await;

        // The service goes on without the server, and nobody waits long for it.
        for key in ["deleted", "tagged"] {
            of_one.set(key, 1_u64, Keep::new(LONG).tagged(format!("tag of {key}"))).await.unwrap();
        }
        server.stop("KILL").unwrap();
        let began = Instant::now();
        assert!(of_one.exists("deleted").await.unwrap(), "the process has it");
        of_one.delete("deleted").await.unwrap();
        of_one.invalidate_tag("tag of tagged").await.unwrap();
        for key in ["deleted", "tagged"] {
            assert_eq!(of_one.get::<u64>(key).await.unwrap(), None, "{key} was taken away");
        }
        for number in 0..50_u64 {
            let loaded = of_one.get_or_load(&format!("n{number}"), LONG, async || Ok(number)).await.unwrap();
            assert_eq!(*loaded, number);
        }
        of_one.set("kept here", 7_u64, LONG).await.unwrap();
        assert_eq!(of_one.get::<u64>("kept here").await.unwrap().as_deref(), Some(&7));
        price(&two, "tea", 300).await;
        until("both see the last", async || {
            shown(&one, "tea").await.last() == Some(&300) && shown(&two, "tea").await.last() == Some(&300)
        })
        .await;
        let took = began.elapsed();
        assert!(took < Duration::from_secs(10), "without the server it took {took:?}");

        // It comes back by itself, and nothing that was taken away comes with it.
        server.resume().unwrap();
        until("a value goes through it again", async || {
            of_one.set("back", 1_u64, LONG).await.unwrap();
            of_two.exists("back").await.unwrap()
        })
        .await;
        let third = process(&log, &address).await;
        for key in ["deleted", "tagged"] {
            assert!(!of_one.exists(key).await.unwrap(), "{key}");
            assert!(!third.cache(&request()).exists(key).await.unwrap(), "{key} is not in the server either");
        }
        for running in running {
            running.stop().await;
        }
    }
}
