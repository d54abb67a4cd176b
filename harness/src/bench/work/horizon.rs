//! A transaction stays open for minutes, so that no dead row of the queue can be cleaned away, while messages are sent
//! and handled all the time. The same runs beside it in another database, where dead rows are cleaned.

use std::sync::Arc;

use underlay_runtime::EngineConfig;

use super::Ground;
use super::courier::Round;
use super::crew::Crew;
use super::flow::{Flow, rate};
use crate::Result;
use crate::bench::Scale;
use crate::bench::figure::{Aim, Figure, Sample};
use crate::subject::{OpenStore, Place, Way};

const PIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM underlay.commits";
const DEAD: &str =
    "SELECT n_dead_tup FROM pg_stat_user_tables WHERE schemaname = 'underlay' AND relname = 'work'";

pub(super) async fn measure(ground: &Ground, scale: &Scale) -> Result<Vec<Figure>> {
    // The horizon of a database is its own.
    let (pinned, free) = (Side::start(ground).await?, Side::start(ground).await?);
    let watch = async || tokio::join!(rate(&pinned.round, scale.window()), rate(&free.round, scale.window()));
    // Plans, caches and files are warm.
    tokio::time::sleep(scale.window()).await;
    let before = watch().await;
    let database = pinned.place.database().ok_or("the horizon is that of a database")?;
    let pin = database.admin().await?;
    pin.batch_execute(PIN).await?;
    tokio::time::sleep(scale.pinned.saturating_sub(scale.window())).await;
    let at_the_end = watch().await;
    let dead: i64 = database.admin().await?.query_one(DEAD, &[]).await?.get(0);
    pin.batch_execute("COMMIT").await?;
    for side in [pinned, free] {
        side.stop().await?;
    }
    eprintln!("  {dead} dead rows in the queue at the end");
    // A machine has its moods: what slows both sides is no fault of the horizon.
    let sample = |beside: f64| vec![Sample::of(beside)];
    let name = format!("messages through, horizon pinned for {} s", scale.pinned.as_secs());
    Ok(vec![
        Figure::new(name, "messages/s", sample(at_the_end.0 / at_the_end.1 * before.1))
            .with_baseline("before", sample(before.0))
            .with_aim(Aim::RatioAtLeast(0.8)),
    ])
}

/// A database under load.
struct Side {
    round: Arc<Round>,
    crew: Crew,
    flow: Flow,
    sender: OpenStore,
    place: Arc<dyn Place>,
}

impl Side {
    async fn start(ground: &Ground) -> Result<Self> {
        let place = ground.place().await?;
        let round = Arc::new(Round::open());
        let crew = Crew::start(&*place, 1, &round, &EngineConfig::default()).await?;
        let sender = place.address(Way::USUAL).open().await?;
        let flow = Flow::start(&sender.store, &round)?;
        Ok(Self { round, crew, flow, sender, place })
    }

    async fn stop(self) -> Result<()> {
        self.flow.stop().await?;
        self.crew.stop().await?;
        self.sender.close().await
    }
}
