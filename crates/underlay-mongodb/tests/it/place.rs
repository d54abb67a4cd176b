//! The place of a test: a database of its own, on the server that the environment names or on a private one.

use std::env;

use mongodb::bson::{Document, doc};
use mongodb::{Client, Database};
use servers::{MONGODB_VARIABLE, Missing, Mongodb};
use underlay_mongodb::{MongoConfig, MongoStore};
use underlay_testkit::Skip;
use uuid::Uuid;

/// Runs a test in a database of its own, or says that there is no server for it.
pub(crate) fn with_place(test: impl AsyncFnOnce(Place)) {
    run(Place::create(), test);
}

/// The same on a server of the test's own.
pub(crate) fn with_private_place(test: impl AsyncFnOnce(Place)) {
    run(Place::create_private(), test);
}

fn run(place: Result<Place, Missing>, test: impl AsyncFnOnce(Place)) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
    match place {
        Ok(place) => runtime.block_on(test(place)),
        Err(missing) => missing.skip_test(),
    }
}

pub(crate) struct Place {
    private: Option<Mongodb>,
    /// The server, with a database that nobody uses.
    server: String,
    /// The name of the database, and of whoever connects to it.
    name: String,
}

impl Place {
    pub(crate) fn create() -> Result<Self, Missing> {
        match env::var(MONGODB_VARIABLE) {
            Ok(server) => Ok(Self { private: None, server, name: new_name() }),
            Err(_) => Self::create_private(),
        }
    }

    pub(crate) fn create_private() -> Result<Self, Missing> {
        let private = Mongodb::start()?;
        Ok(Self { server: private.address_of("underlay"), private: Some(private), name: new_name() })
    }

    /// The same for a case of the test kit.
    pub(crate) fn for_case() -> Result<Self, Skip> {
        Self::create().map_err(|missing| Skip::new(missing.reason))
    }

    /// The server, where it is a private one.
    pub(crate) fn private(&mut self) -> &mut Mongodb {
        self.private.as_mut().expect("the server is private")
    }

    /// The address of the database. Whoever connects by it has its name, so that a failure can be theirs alone.
    pub(crate) fn address(&self) -> String {
        let (place, options) = self.server.split_once('?').unwrap_or((&self.server, ""));
        let host = place.trim_start_matches("mongodb://").split('/').next().unwrap_or_default();
        let joined = if options.is_empty() { "" } else { "&" };
        format!("mongodb://{host}/{0}?appName={0}{joined}{options}", self.name)
    }

    pub(crate) async fn open(&self) -> MongoStore {
        self.open_with(MongoConfig::default()).await
    }

    pub(crate) async fn open_with(&self, config: MongoConfig) -> MongoStore {
        MongoStore::connect(&self.address(), config).await.unwrap()
    }

    /// The database, past the store and under another name.
    pub(crate) async fn database(&self) -> Database {
        Client::with_uri_str(&self.server).await.unwrap().database(&self.name)
    }

    /// Lets commands of whoever connects by [`Place::address`] fail, as often as `times` says. A server has one such
    /// failure at a time, so the place is a private one.
    pub(crate) async fn fail(&self, times: i32, mut data: Document) {
        data.insert("appName", &self.name);
        self.configure_fault(doc! { "times": times }, data).await;
    }

    /// The same, until [`Place::heal`].
    pub(crate) async fn fail_always(&self, mut data: Document) {
        data.insert("appName", &self.name);
        self.configure_fault("alwaysOn", data).await;
    }

    pub(crate) async fn heal(&self) {
        self.configure_fault("off", doc! {}).await;
    }

    async fn configure_fault(&self, mode: impl Into<mongodb::bson::Bson>, data: Document) {
        let mode: mongodb::bson::Bson = mode.into();
        assert!(self.private.is_some(), "the failure is of the whole server");
        let command = doc! { "configureFailPoint": "failCommand", "mode": mode, "data": data };
        let client = Client::with_uri_str(&self.server).await.unwrap();
        client.database("admin").run_command(command).await.unwrap();
    }
}

fn new_name() -> String {
    format!("underlay_test_{}", Uuid::now_v7().simple())
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.private.is_some() {
            return;
        }
        let (server, name) = (self.server.clone(), self.name.clone());
        // A thread of its own, since this one may be in a runtime. What stays behind is no failure of a test.
        let tidying = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
            runtime.block_on(async {
                Client::with_uri_str(&server).await.ok()?.database(&name).drop().await.ok()
            })
        });
        tidying.join().ok();
    }
}
