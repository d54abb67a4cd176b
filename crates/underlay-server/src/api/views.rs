use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use underlay_core::{
    Actor, Column, ColumnType, Cursor, Error, PagedRow, Position, RowPage, RowSchema, RowValues, Sort,
    TenantId, Timestamp, ViewSchema, text_bytes,
};
use underlay_runtime::{FollowerStatus, ViewAnswer, ViewStanding};

use crate::answer::Answer;
use crate::app::App;
use crate::door::credentials::Caller;
use crate::door::roles::{operates_store, suffice};
use crate::edge::stopping::Stopping;
use crate::feed;
use crate::parameters::Parameters;
use crate::path::Segments;
use crate::problem::Problem;
use crate::view_query::{ViewQuery, Wait};

/// Bytes of a value in an answer with its name, about, beside those of a text.
const VALUE_BYTES: usize = 32;

/// A view, and where it stands. Why it stopped is not told: the event that stopped it may be another
/// tenant's.
#[derive(Debug, Serialize)]
pub(crate) struct ViewBody {
    pub(crate) name: String,
    pub(crate) version: u32,
    pub(crate) columns: Vec<ColumnBody>,
    pub(crate) status: FollowerStatus,
    /// The rows reflect every event at or below it. It counts what all tenants do, so it is told where there is one, and
    /// to operators of the store. What a query answers has its position in any case: who has written waits by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) position: Option<Position>,
    /// Since when it is stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) stopped_since: Option<Timestamp>,
}

#[derive(Debug, Serialize)]
pub(crate) struct ColumnBody {
    pub(crate) name: String,
    #[serde(rename = "type")]
    pub(crate) column_type: ColumnType,
    pub(crate) nullable: bool,
    pub(crate) indexed: bool,
}

impl From<&Column> for ColumnBody {
    fn from(column: &Column) -> Self {
        Self {
            name: column.name.clone(),
            column_type: column.column_type,
            nullable: column.nullable,
            indexed: column.indexed,
        }
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct ViewsBody {
    views: Vec<ViewBody>,
}

/// `GET /v1/views`: the views the caller may read, and where they stand.
pub(crate) async fn list(
    State(app): State<App>,
    Caller(principal): Caller,
    parameters: Parameters,
) -> Result<Answer<ViewsBody>, Problem> {
    parameters.finish(&[])?;
    Ok(Answer(ViewsBody { views: all(&app, &principal.actor).await? }))
}

/// Every view that somebody may read, by name.
pub(crate) async fn all(app: &App, reader: &Actor) -> Result<Vec<ViewBody>, Error> {
    let standings = app.engine().view_standings().await?;
    let is_told = app.config().is_of_one_tenant() || operates_store(app, reader);
    let view = |(schema, standing): (&ViewSchema, ViewStanding)| ViewBody {
        name: schema.name.clone(),
        version: schema.version,
        columns: schema.columns.iter().map(ColumnBody::from).collect(),
        status: standing.status,
        position: is_told.then_some(standing.position),
        stopped_since: standing.stop.map(|stop| stop.since),
    };
    let registry = app.engine().registry();
    let may = |(schema, _): &(&ViewSchema, ViewStanding)| suffice(reader, registry.view_roles(&schema.name));
    // Both are by name.
    Ok(app.schemas().iter().zip(standings.views).filter(may).map(view).collect())
}

#[derive(Debug, Serialize)]
pub(crate) struct RowsBody {
    pub(crate) rows: Vec<RowBody>,
    /// What `cursor` is for the next page; null where this is the last.
    pub(crate) next: Option<String>,
    /// The rows reflect every event at or below it.
    pub(crate) position: Position,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) count: Option<u64>,
}

/// A row: its key and its columns, in the order of the view.
#[derive(Debug)]
pub(crate) struct RowBody {
    pub(crate) schema: Arc<ViewSchema>,
    pub(crate) key: String,
    pub(crate) values: RowValues,
}

impl Serialize for RowBody {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1 + self.values.len()))?;
        map.serialize_entry("key", &self.key)?;
        for (column, value) in self.schema.columns.iter().zip(&self.values) {
            map.serialize_entry(&column.name, value)?;
        }
        map.end()
    }
}

/// `GET /v1/views/{view}`: a page of rows, or a feed of them and of what changes.
pub(crate) async fn query(
    State(app): State<App>,
    Caller(principal): Caller,
    Segments(view): Segments<String>,
    stopping: Stopping,
    headers: HeaderMap,
    parameters: Parameters,
) -> Result<Response, Problem> {
    if feed::is_asked_for(&headers) {
        return feed::follow_view(app, principal, view, &headers, stopping, parameters).await;
    }
    let asked = ViewQuery::parse(parameters, app.schema(&view)?, app.config().wait_max)?;
    wait_for(&app, &stopping, &view, &asked.wait).await?;
    Ok(Answer(rows(&app, &principal.tenant, &view, &asked).await?).into_response())
}

/// A page of a tenant's rows of a view, as they are now.
pub(crate) async fn rows(
    app: &App,
    tenant: &TenantId,
    view: &str,
    asked: &ViewQuery,
) -> Result<RowsBody, Error> {
    let mut answer = app.engine().query(tenant, view, &asked.query).await?;
    cut(&mut answer, &asked.query.sort, app.config().page_bytes_max);
    let count = match asked.count {
        true => Some(app.engine().count(tenant, view, &asked.query).await?),
        false => None,
    };
    let schema = Arc::new(answer.schema);
    let row = |(key, values)| RowBody { schema: schema.clone(), key, values };
    Ok(RowsBody {
        next: answer.page.next.map(|cursor| cursor.to_text(&asked.query.sort)),
        position: answer.page.position,
        count,
        rows: answer.page.rows.into_iter().map(row).collect(),
    })
}

/// Ends a page with the row that reaches the bytes; the next one goes on from there.
pub(crate) fn cut(answer: &mut ViewAnswer, sort: &Sort, bytes_max: usize) {
    let RowPage { rows, next, .. } = &mut answer.page;
    cut_rows(rows, next, (&answer.schema, sort), bytes_max);
}

/// The same of rows, whatever they are rows of.
pub(crate) fn cut_rows<R: PagedRow>(
    rows: &mut Vec<R>,
    next: &mut Option<Cursor>,
    (schema, sort): (&RowSchema, &Sort),
    bytes_max: usize,
) {
    let mut bytes = 0;
    let fits = rows.iter().position(|row| {
        bytes += text_bytes(row.key(), row.values()) + VALUE_BYTES * row.values().len();
        bytes >= bytes_max
    });
    let Some(last) = fits.filter(|last| last + 1 < rows.len()) else { return };
    rows.truncate(last + 1);
    *next = rows.last().map(|last| Cursor::behind(last, schema, sort));
}

/// `GET /v1/views/{view}/{key}`: one row. The key may hold slashes.
pub(crate) async fn row(
    State(app): State<App>,
    Caller(principal): Caller,
    Segments((view, key)): Segments<(String, String)>,
    stopping: Stopping,
    mut parameters: Parameters,
) -> Result<Answer<RowBody>, Problem> {
    app.schema(&view)?;
    let wait = Wait::parse(&mut parameters, app.config().wait_max)?;
    parameters.finish(&["min_position", "wait"])?;
    wait_for(&app, &stopping, &view, &wait).await?;
    Ok(Answer(one_row(&app, &principal.tenant, &view, key).await?))
}

/// One of a tenant's rows, as it is now.
pub(crate) async fn one_row(app: &App, tenant: &TenantId, view: &str, key: String) -> Result<RowBody, Error> {
    let answer = app.engine().row(tenant, view, &key).await?;
    Ok(RowBody { schema: Arc::new(answer.schema), key, values: answer.values })
}

async fn wait_for(app: &App, stopping: &Stopping, view: &str, wait: &Option<Wait>) -> Result<(), Problem> {
    let &Some(Wait { position, timeout }) = wait else { return Ok(()) };
    let reached = tokio::select! {
        biased;
        reached = app.engine().wait_for_view(view, position, timeout) => reached,
        () = stopping.stopped() => return Err(Problem::stopping("the service ends")),
    };
    match reached {
        Err(Error::Unavailable { retry_after, overloaded: false, .. }) => {
            // The error may quote the event that stopped the view, and that may be another tenant's.
            let states = app.engine().view_states();
            let stopped = states.iter().find(|state| state.name == view && state.status.is_stopped());
            let detail = match stopped {
                Some(state) => format!("view {view} has stopped at position {}", state.position),
                None => format!("view {view} has not reached position {position} within {timeout:?}"),
            };
            Err(Problem::unavailable(detail, retry_after))
        }
        reached => Ok(reached?),
    }
}
