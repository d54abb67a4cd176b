//! An axum program that keeps its events in a store of Underlay.
//!
//! Lines that end in `// underlay` are what a program you have needs, beside the imports from `underlay`.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use underlay::words::{EventType, Json as Payload, SchemaVersion};
use underlay::{
    Commit, CommitId, Error, EventStoreExt, ExpectedVersion, NewEvent, RecordedEvent, Store,
    StreamName, TenantId, Version,
};

/// `sqlite:PATH` is one file, made where it is missing. `memory:` is gone with the program.
const DATABASE: &str = "sqlite:{{name}}.db";

/// Whose events these are. A store keeps those of many tenants apart.
fn tenant() -> Result<TenantId, Error> {
    TenantId::new("main")
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let store = Store::open(DATABASE).await?; // underlay
    let listener = tokio::net::TcpListener::bind("127.0.0.1:7070").await?;
    println!("listening on http://{}", listener.local_addr()?);
    let served = axum::serve(listener, routes(store.clone()));
    served.with_graceful_shutdown(told_to_stop()).await?;
    store.close().await?; // underlay
    Ok(())
}

fn routes(store: Store) -> Router {
    Router::new()
        .route("/notes/{id}", get(read).post(append))
        .with_state(store)
}

/// Adds a note to the stream of one thing. It is stored when this answers.
async fn append(
    State(store): State<Store>, // underlay
    Path(id): Path<String>,
    Json(note): Json<Value>,
) -> Result<Json<Value>, Failed> {
    let stream = StreamName::parse(&format!("note-{id}"))?; // underlay
    let note = Payload::encode(&note)?; // underlay
    let event = NewEvent::new(EventType::new("noted")?, SchemaVersion(1), note); // underlay
    let commit = Commit::new(CommitId::draw()); // underlay
    let commit = commit.append(stream, ExpectedVersion::Any, vec![event]); // underlay
    let stored = store.commit(&tenant()?, commit).await?; // underlay
    Ok(Json(json!({ "position": stored.position.to_string() })))
}

/// All that was noted about it, in order.
async fn read(
    State(store): State<Store>,
    Path(id): Path<String>,
) -> Result<Json<Vec<RecordedEvent>>, Failed> {
    let stream = StreamName::parse(&format!("note-{id}"))?;
    let events = store
        .read_stream_whole(&tenant()?, &stream, Version::NONE)
        .await?; // underlay
    Ok(Json(events))
}

/// What the store said, as an answer.
struct Failed(Error);

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        match self.0 {
            error @ Error::Invalid(_) => {
                (StatusCode::BAD_REQUEST, error.to_string()).into_response()
            }
            error @ Error::Conflict(_) => (StatusCode::CONFLICT, error.to_string()).into_response(),
            // What a store says about itself is for the log of a program, not for its callers.
            error => {
                eprintln!("{error}");
                let again = error.is_retryable();
                let status = if again {
                    StatusCode::SERVICE_UNAVAILABLE
                } else {
                    StatusCode::INTERNAL_SERVER_ERROR
                };
                status.into_response()
            }
        }
    }
}

async fn told_to_stop() {
    if let Err(error) = tokio::signal::ctrl_c().await {
        eprintln!("ctrl-c is not heard: {error}");
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::{Method, Request};
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    use super::*;

    async fn ask(program: &Router, method: Method, path: &str, body: &str) -> (StatusCode, Value) {
        let request = Request::builder().method(method).uri(path);
        let request = request.header("Content-Type", "application/json");
        let request = request.body(Body::from(body.to_owned())).unwrap();
        let answer = program.clone().oneshot(request).await.unwrap();
        let status = answer.status();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }

    #[tokio::test]
    async fn what_is_noted_is_read_in_order() {
        let program = routes(Store::open("memory:").await.unwrap());
        for note in ["\"first\"", "\"second\""] {
            let (status, _) = ask(&program, Method::POST, "/notes/1", note).await;
            assert_eq!(status, StatusCode::OK);
        }
        let (status, events) = ask(&program, Method::GET, "/notes/1", "").await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(events[0]["payload"], "first");
        assert_eq!(events[1]["payload"], "second");
        assert_eq!(events[1]["version"], 2);
    }
}
