use std::collections::HashSet;
use std::fmt;
use std::future::IntoFuture;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use mongodb::bson::{Document, doc};
use mongodb::options::{
    ClientOptions, CollectionOptions, ReadConcern, ReadPreference, SelectionCriteria, ServerAddress,
    WriteConcern,
};
use mongodb::{Client, Collection, Database};
use underlay_core::adapter::{ReadLimits, ReadTurn, ReadTurns};
use underlay_core::{Clock, Error, TenantId};

use crate::MongoConfig;
use crate::error::Failure;

/// What every collection of ours begins with that is not of entities or a view.
const OWN: &str = "underlay_";

/// One database of a replica set. Clones share their connections.
#[derive(Clone)]
pub struct MongoStore(pub(crate) Arc<Open>);

impl fmt::Debug for MongoStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MongoStore").field("database", &self.0.database.name()).finish_non_exhaustive()
    }
}

/// What an open store has.
pub(crate) struct Open {
    pub(crate) client: Client,
    pub(crate) database: Database,
    pub(crate) config: MongoConfig,
    /// Whose query runs.
    queries: ReadTurns,
    /// Who does anything else.
    calls: ReadTurns,
    /// Entities that are known to be prepared.
    prepared: RwLock<HashSet<String>>,
}

impl MongoStore {
    /// Connects to `mongodb://USER@HOST/DATABASE`. The server is a member of a replica set, since changes are stored
    /// together by its transactions. What is missing is made when it is prepared.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the address or the configuration is wrong, or the server has no transactions;
    /// [`Error::Denied`] where it does not let us in; [`Error::Unavailable`] where it cannot be reached.
    pub async fn connect(address: &str, config: MongoConfig) -> Result<Self, Error> {
        let store = Self::new(address, config).await?;
        check_server(&store.0).await?;
        Ok(store)
    }

    /// The same, without asking the server: it is connected to once something is asked of it.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the address or the configuration is wrong.
    pub async fn new(address: &str, config: MongoConfig) -> Result<Self, Error> {
        config.validate()?;
        let options = client_options(address, &config).await?;
        let name = options.default_database.clone().ok_or_else(|| {
            Error::invalid("the address names no database; write mongodb://USER@HOST/DATABASE")
        })?;
        let client = Client::with_options(options).map_err(Failure::from)?;
        let open = Open {
            database: client.database(&name),
            client,
            queries: ReadTurns::new(config.query_limits.clone()),
            calls: ReadTurns::new(ReadLimits::of_the_engine(config.connections_max)),
            prepared: RwLock::default(),
            config,
        };
        Ok(Self(Arc::new(open)))
    }

    /// Connects to a database that this adapter has used before.
    ///
    /// # Errors
    /// [`Error::NotFound`] where it has nothing of ours; otherwise as [`MongoStore::connect`].
    pub async fn connect_existing(address: &str, config: MongoConfig) -> Result<Self, Error> {
        let store = Self::connect(address, config).await?;
        let open = &store.0;
        let filter = doc! { "name": { "$regex": format!("^{OWN}") } };
        let names = open.read(open.database.list_collection_names().filter(filter)).await?;
        if names.is_empty() {
            return Err(Error::NotFound(format!(
                "anything of underlay in database {}",
                open.database.name()
            )));
        }
        Ok(store)
    }

    /// Ends what runs, and gives the connections back. Doing it again changes nothing.
    ///
    /// # Errors
    /// None so far.
    pub async fn close(&self) -> Result<(), Error> {
        self.0.queries.close();
        self.0.calls.close();
        self.0.client.clone().shutdown().immediate(true).await;
        Ok(())
    }
}

impl Open {
    /// A collection of ours.
    pub(crate) fn own(&self, name: &str) -> Collection<Document> {
        self.database.collection(&format!("{OWN}{name}"))
    }

    /// A collection as a session that is a snapshot reads it. The driver asks for the moment of the session only where
    /// the level says so too.
    pub(crate) fn as_of_snapshot(&self, collection: &Collection<Document>) -> Collection<Document> {
        let options = CollectionOptions::builder().read_concern(ReadConcern::snapshot()).build();
        self.database.collection_with_options(collection.name(), options)
    }

    /// Waits for a turn to query.
    pub(crate) async fn query_turn(&self, tenant: &TenantId) -> Result<ReadTurn, Failure> {
        Ok(self.queries.enter(Some(tenant), self.timer()).await?)
    }

    /// Waits for a turn of anything else; of the engine itself where no tenant is named.
    pub(crate) async fn turn(&self, tenant: Option<&TenantId>) -> Result<ReadTurn, Failure> {
        Ok(self.calls.enter(tenant, self.timer()).await?)
    }

    pub(crate) fn timer(&self) -> &dyn Clock {
        self.config.timer.as_ref()
    }

    /// Runs a read of the engine.
    pub(crate) async fn read<T>(
        &self,
        call: impl IntoFuture<Output = mongodb::error::Result<T>>,
    ) -> Result<T, Failure> {
        within("read_timeout", self.config.read_timeout, call).await
    }

    /// Runs a write.
    pub(crate) async fn write<T>(
        &self,
        call: impl IntoFuture<Output = mongodb::error::Result<T>>,
    ) -> Result<T, Failure> {
        within("write_timeout", self.config.write_timeout, call).await
    }

    /// Runs a step of making a collection.
    pub(crate) async fn make<T>(
        &self,
        call: impl IntoFuture<Output = mongodb::error::Result<T>>,
    ) -> Result<T, Failure> {
        within("prepare_timeout", self.config.prepare_timeout, call).await
    }

    pub(crate) fn is_known(&self, entity: &str) -> bool {
        self.prepared.read().unwrap_or_else(PoisonError::into_inner).contains(entity)
    }

    pub(crate) fn remember(&self, entity: &str) {
        self.prepared.write().unwrap_or_else(PoisonError::into_inner).insert(entity.to_owned());
    }
}

/// Waits for a call as long as it may take.
async fn within<T>(
    name: &'static str,
    limit: Duration,
    call: impl IntoFuture<Output = mongodb::error::Result<T>>,
) -> Result<T, Failure> {
    match tokio::time::timeout(limit, call.into_future()).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(Failure::Late { name, limit }),
    }
}

/// What the majority of the servers has, asked of the primary; nothing that an address says changes that.
async fn client_options(address: &str, config: &MongoConfig) -> Result<ClientOptions, Error> {
    if !address.starts_with("mongodb://") {
        return Err(Error::invalid(
            "an address of MongoDB begins with mongodb://; those with mongodb+srv are not known, so write the hosts out",
        ));
    }
    let mut options = ClientOptions::parse(address).await.map_err(Failure::from)?;
    let connections = config.connections_max.saturating_add(config.query_limits.running_max);
    options.app_name.get_or_insert_with(|| "underlay".to_owned());
    options.connect_timeout = Some(config.connect_timeout);
    options.server_selection_timeout = Some(config.selection_timeout);
    options.max_pool_size = Some(u32::try_from(connections).unwrap_or(u32::MAX));
    options.read_concern = Some(ReadConcern::majority());
    options.write_concern = Some(majority(config));
    options.selection_criteria = Some(SelectionCriteria::ReadPreference(ReadPreference::Primary));
    options.retry_reads = Some(true);
    options.retry_writes = Some(true);
    let is_tcp = |host: &ServerAddress| matches!(host, ServerAddress::Tcp { .. });
    if !options.hosts.iter().all(is_tcp) {
        return Err(Error::invalid("an address of MongoDB names servers by HOST or HOST:PORT"));
    }
    Ok(options)
}

/// The majority of the servers has it on its disks.
pub(crate) fn majority(config: &MongoConfig) -> WriteConcern {
    let mut concern = WriteConcern::majority();
    concern.w_timeout = Some(config.write_timeout);
    concern.journal = Some(true);
    concern
}

/// Refuses a server without transactions, and one that does not answer. Only a primary is asked.
pub(crate) async fn check_server(open: &Open) -> Result<(), Failure> {
    let hello = open.read(open.database.run_command(doc! { "hello": 1 })).await?;
    let is_member = hello.contains_key("setName") || hello.get_str("msg").is_ok_and(|msg| msg == "isdbgrid");
    if !is_member {
        return Err(Failure::Answer(Error::invalid(
            "the server of MongoDB is no member of a replica set, and only those have transactions; start it with \
             --replSet NAME and initiate the set, be it of one server",
        )));
    }
    // Nothing that comes before needs a login.
    open.read(open.database.list_collection_names().filter(doc! { "name": OWN })).await?;
    Ok(())
}
