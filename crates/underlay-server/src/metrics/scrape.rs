use std::time::Duration;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use tokio::sync::Mutex;
use underlay_core::Timestamp;
use underlay_runtime::{Exposition, Family, Kind, Lags};

use super::{Connections, process};
use crate::app::App;
use crate::health::{self, Looked};
use crate::parameters::Parameters;
use crate::problem::Problem;

/// Where metrics are read.
pub(crate) const PATH: &str = "/metrics";
/// The format they are written in.
pub(crate) const MEDIA_TYPE: &str = "text/plain";
/// How long a text is told again before another is written.
const TEXT_AGE_MAX: Duration = Duration::from_secs(1);
/// How long the parts may take to say how they are.
const PARTS_WAIT_MAX: Duration = Duration::from_secs(7);
/// How long the store may take to say how old that is which somebody has not taken. Both together are below the ten
/// seconds that Prometheus waits.
const LAGS_WAIT_MAX: Duration = Duration::from_secs(2);

static BUILD: Family = Family::new(
    "underlay_build_info",
    Kind::Gauge,
    &["service", "version"],
    "1, with the name of the service and the version of Underlay in it.",
);
static STORE_UP: Family = Family::new(
    "underlay_store_up",
    Kind::Gauge,
    &[],
    "1 where the store of the log answers, 0 where it does not; what stands in it is left out then.",
);
static PART_READY: Family = Family::new(
    "underlay_part_ready",
    Kind::Gauge,
    &["part"],
    "1 where a part of the service does what it is there for, as /readyz tells, 0 where it is degraded.",
);
static PART_EXPIRY: Family = Family::new(
    "underlay_part_expiry_timestamp_seconds",
    Kind::Gauge,
    &["part"],
    "When a part such as the certificate ends, in seconds since 1970.",
);

/// The text that was told last, and since when.
#[derive(Default)]
pub(super) struct LastText(Mutex<Option<(Timestamp, Bytes)>>);

/// `GET /metrics`: what is counted in this process, and where everything stands.
pub(crate) async fn show(
    State(app): State<App>,
    connections: Option<Extension<Connections>>,
    parameters: Parameters,
) -> Result<Response, Problem> {
    parameters.finish(&[])?;
    let now = || app.engine().clock().now();
    // Whoever comes meanwhile waits, and is told the same.
    let mut last = app.metrics().last.0.lock().await;
    let since = now();
    let known = last.as_ref().filter(|(told_at, _)| {
        let age = since.duration_since(*told_at);
        // A clock that was set back makes nothing fresh.
        !age.is_negative() && Duration::try_from(age).is_ok_and(|age| age < TEXT_AGE_MAX)
    });
    let text = match known {
        Some((_, text)) => text.clone(),
        None => {
            let text = Bytes::from(write(&app, connections.as_deref()).await);
            *last = Some((now(), text.clone()));
            text
        }
    };
    drop(last);
    let content_type = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    Ok(([(CONTENT_TYPE, content_type)], text).into_response())
}

async fn write(app: &App, connections: Option<&Connections>) -> String {
    let looked = tokio::select! {
        biased;
        looked = health::look(app) => looked.ok(),
        () = app.engine().clock().sleep(PARTS_WAIT_MAX) => None,
    };
    let mut out = Exposition::default();
    let (service, version) = (app.config().service.as_str(), env!("CARGO_PKG_VERSION"));
    out.begin(&BUILD).add(&[service, version], 1);
    out.begin(&STORE_UP).add(&[], u8::from(looked.is_some()));
    write_parts(app, looked.as_ref(), &mut out);
    if let Some(looked) = &looked {
        let lags = read_lags(app, looked).await;
        app.engine().write_standings(&mut out, looked.views.as_ref(), looked.work.as_ref(), lags.as_ref());
    }
    app.engine().write_metrics(&mut out);
    let metrics = app.metrics();
    metrics.requests.write(&mut out);
    metrics.tenants.write(&mut out);
    metrics.feeds.write(&mut out);
    app.budgets().write_metrics(&mut out, app.admission());
    if let Some(connections) = connections {
        connections.write(&mut out);
    }
    process::write(&mut out);
    out.into_text()
}

fn write_parts(app: &App, looked: Option<&Looked>, out: &mut Exposition) {
    let mut ready = out.begin(&PART_READY);
    for (part, is_ready) in health::parts_ready(app, looked) {
        ready.add(&[part], u8::from(is_ready));
    }
    let mut ends = out.begin(&PART_EXPIRY);
    for part in &app.config().parts.0 {
        if let Some(end) = part.ends_at() {
            ends.add(&[part.name()], end.as_second());
        }
    }
}

/// How old that is which somebody has not taken; none where the store does not say so in time.
async fn read_lags(app: &App, looked: &Looked) -> Option<Lags> {
    let engine = app.engine();
    tokio::select! {
        biased;
        lags = engine.lags(looked.views.as_ref(), looked.work.as_ref()) => match lags {
            Ok(lags) => Some(lags),
            Err(error) => {
                tracing::warn!(%error, "how old that is which somebody has not taken cannot be read");
                None
            }
        },
        () = engine.clock().sleep(LAGS_WAIT_MAX) => {
            tracing::warn!("the store did not say within {LAGS_WAIT_MAX:?} how old that is which somebody has not taken");
            None
        }
    }
}
