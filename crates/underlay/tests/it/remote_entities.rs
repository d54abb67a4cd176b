//! Entities that another service has: the contract of the port, over a service on this machine.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_LENGTH, IF_NONE_MATCH};
use axum::http::{HeaderMap, Method};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use serde_json::{Value as Json, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use underlay::server::{ServerConfig, bearer};
use underlay::words::{EntitySchema, Timestamp};
use underlay::{
    Credentials, Decimal, Denied, Engine, EntityVersion, EventStore, Principal, Service, Store, TenantId,
};
use underlay_core::Entities;
use underlay_core::adapter::Backend;
use underlay_core::memory::MemoryEntities;
use underlay_outbound::http::{HttpConfig, HttpEntities};
use underlay_testkit::{Damage, EntitiesFixture, Fixture, Skip};

const TOKEN: &str = "token-of-the-tests";
/// The header that names a tenant to the remote service.
const TENANT: &str = "x-tenant";

// The entities of the suite, as the remote service has them.

#[underlay::entity(name = "member", version = 1)]
struct Member {
    #[id]
    id: String,
    #[version]
    version: EntityVersion,
    #[column(unique)]
    code: String,
    #[column(indexed)]
    owner: String,
    #[column(indexed)]
    entries: i64,
    #[column(indexed)]
    balance: Decimal,
    #[column(indexed)]
    open: bool,
    #[column(indexed)]
    changed_at: Timestamp,
    note: Option<String>,
    rank: Option<i64>,
    floor: Option<Decimal>,
    frozen: Option<bool>,
    closed_at: Option<Timestamp>,
}

#[underlay::entity(name = "rate", version = 1)]
struct Rate {
    #[id]
    id: String,
    #[version]
    version: EntityVersion,
    #[column(indexed)]
    base: String,
    value: Decimal,
}

#[underlay::entity(name = "many", version = 1)]
struct Many {
    #[id]
    id: String,
    #[version]
    version: EntityVersion,
    #[column(indexed)]
    owner: String,
    #[column(indexed)]
    number: i64,
    note: Option<String>,
}

#[underlay::entity(name = "large", version = 1)]
struct Large {
    #[id]
    id: String,
    #[version]
    version: EntityVersion,
    text_0: String,
    text_1: String,
    text_2: String,
    text_3: String,
    text_4: String,
}

#[underlay::entity(name = "thing", version = 1)]
struct Thing {
    #[id]
    id: String,
    #[version]
    version: EntityVersion,
    #[column(unique)]
    number: i64,
    #[column(unique)]
    amount: Decimal,
    #[column(unique)]
    at: Timestamp,
}

/// Believes whoever has the token, whichever tenant they name.
struct ByHeader;

#[async_trait]
impl Credentials for ByHeader {
    async fn identify(&self, headers: &HeaderMap) -> Result<Principal, Denied> {
        if bearer(headers)? != TOKEN {
            return Err(Denied::Forbidden("another token".to_owned()));
        }
        let tenant = headers.get(TENANT).and_then(|tenant| tenant.to_str().ok());
        let tenant = tenant.and_then(|tenant| TenantId::new(tenant).ok());
        tenant.map(Principal::new).ok_or_else(|| Denied::Forbidden("no tenant".to_owned()))
    }

    fn trouble(&self) -> Option<String> {
        None
    }
}

/// What is wrong with the answers about an entity, by tenant and id.
type Hurts = Arc<Mutex<HashMap<(String, String), (String, Damage)>>>;

/// A service with entities, on this machine.
struct Remote<const PLAIN: bool> {
    engine: Engine,
    stored: MemoryEntities,
    hurts: Hurts,
    folder: TempDir,
    address: String,
    stop: oneshot::Sender<()>,
    served: JoinHandle<std::io::Result<()>>,
}

async fn serve(
    engine: &Engine,
    hurts: &Hurts,
) -> (String, oneshot::Sender<()>, JoinHandle<std::io::Result<()>>) {
    let mut config = ServerConfig::new("Remote").with_credentials(ByHeader);
    config.body_bytes_max = 16 << 20;
    let router = underlay::server::router(engine.clone(), config).unwrap();
    let router = router.layer(from_fn_with_state(hurts.clone(), hurt));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (stop, stopped) = oneshot::channel();
    let served = underlay::server::serve(listener, router, async {
        let _stopped_or_gone = stopped.await;
    });
    (address, stop, tokio::spawn(served))
}

/// Answers as a service whose entities are damaged does.
async fn hurt(State(hurts): State<Hurts>, mut request: Request, next: Next) -> Response {
    if request.method() == Method::GET && !hurts.lock().unwrap().is_empty() {
        // What has not changed for the service has for who asks it.
        request.headers_mut().remove(IF_NONE_MATCH);
    }
    let tenant = request.headers().get(TENANT).map(|tenant| tenant.to_str().unwrap().to_owned());
    let response = next.run(request).await;
    let hurts = hurts.lock().unwrap().clone();
    let Some(tenant) = tenant.filter(|_| !hurts.is_empty() && response.status().is_success()) else {
        return response;
    };
    let (mut head, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let Ok(mut json) = serde_json::from_slice::<Json>(&body) else {
        return Response::from_parts(head, Body::from(body));
    };
    let mut change = |entity: &mut Json| {
        let id = entity["id"].as_str().unwrap_or_default().to_owned();
        let Some((column, damage)) = hurts.get(&(tenant.clone(), id)) else { return };
        let members = entity.as_object_mut().unwrap();
        match damage {
            Damage::Missing => drop(members.remove(column)),
            Damage::OtherType => drop(members.insert(column.clone(), json!("none of it"))),
            Damage::Unknown => drop(members.insert(column.clone(), json!(1))),
        }
    };
    match json.get_mut("entities").and_then(Json::as_array_mut) {
        Some(entities) => entities.iter_mut().for_each(&mut change),
        None => change(&mut json),
    }
    head.headers.remove(CONTENT_LENGTH);
    Response::from_parts(head, Body::from(Bytes::from(json.to_string())))
}

impl<const PLAIN: bool> Fixture for Remote<PLAIN> {
    async fn create() -> Result<Self, Skip> {
        let service = Service::new("remote");
        let service =
            service.entity::<Member>().entity::<Rate>().entity::<Many>().entity::<Large>().entity::<Thing>();
        let stored = MemoryEntities::default();
        let backend = Backend { entities: Some(Arc::new(stored.clone())), ..Backend::default() };
        let store = Store::open("memory:").await.unwrap().with_entities("stored", &[], backend).unwrap();
        let engine = service.open(&store).unwrap();
        let hurts = Hurts::default();
        let (address, stop, served) = serve(&engine, &hurts).await;
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("tokens"), TOKEN).unwrap();
        Ok(Self { engine, stored, hurts, folder, address, stop, served })
    }

    async fn reopen(self) -> Self {
        let Self { engine, stored, hurts, folder, stop, served, .. } = self;
        stop.send(()).unwrap();
        served.await.unwrap().unwrap();
        let (address, stop, served) = serve(&engine, &hurts).await;
        Self { engine, stored, hurts, folder, address, stop, served }
    }
}

impl<const PLAIN: bool> EntitiesFixture for Remote<PLAIN> {
    fn entities(&self) -> Arc<dyn Entities> {
        let plain = "&api=plain&items=entities&version=version&etag_is_version=true&page_rows=1000";
        let address = format!(
            "http://{}/v1/entities/{{entity}}?tenant_header={TENANT}&token_file={}{}",
            self.address,
            self.folder.path().join("tokens").display(),
            if PLAIN { plain } else { "" }
        );
        // Time is not what the sentences are about, and other tests run beside them.
        let patience = Duration::from_secs(120);
        let config = HttpConfig { attempt_timeout: patience, timeout: patience, ..HttpConfig::default() };
        Arc::new(HttpEntities::new(&address, config).unwrap())
    }

    fn log_of_entities(&self) -> Option<Arc<dyn EventStore>> {
        None
    }

    fn keeps_definitions(&self) -> bool {
        false
    }

    fn fast_entities(&self) -> Option<Arc<dyn Entities>> {
        Some(Arc::new(self.stored.clone()))
    }

    async fn damage(
        &self,
        schema: &EntitySchema,
        tenant: &TenantId,
        id: &str,
        column: &str,
        damage: Damage,
    ) -> bool {
        assert_eq!(schema.name, "member");
        let place = (tenant.to_string(), id.to_owned());
        self.hurts.lock().unwrap().insert(place, (column.to_owned(), damage));
        true
    }
}

mod of_underlay {
    use super::*;

    underlay_testkit::conformance!(entities, Remote<false>);
}

/// The same service as a plain API, which cannot be asked for an order nor for conditions. What an index serves is no promise
/// there: the whole list is walked.
mod of_a_plain_api {
    use underlay_testkit::entities;

    use super::*;

    macro_rules! hold {
        ($($case:ident)*) => {$(
            #[tokio::test(flavor = "multi_thread")]
            async fn $case() {
                entities::$case(Remote::<true>::create().await.unwrap()).await;
            }
        )*};
    }

    hold! {
        entities_are_read_back
        what_is_there_is_not_created_again
        an_update_needs_the_stored_version
        one_of_equal_updates_is_stored
        removed_entities_are_gone
        a_unit_past_the_atomicity_is_refused
        conditions_hold
        entity_pages_follow_each_other
        entities_belong_to_their_tenant
        hostile_text_in_entities_is_data
        reopening_keeps_entities
        a_damaged_entity_is_named
        a_caller_that_goes_away_leaves_no_half
    }
}
