use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex as SyncMutex, MutexGuard, PoisonError};
use std::time::Duration;

use temporalio_client::grpc::WorkflowService;
use temporalio_client::request_extensions::RetryConfigForCall;
use temporalio_client::tonic::{Code, Request, Status};
use temporalio_client::{
    Client as SdkClient, ClientOptions, ClientTlsOptions, Connection, ConnectionOptions, GrpcCompression,
    RetryOptions, TlsOptions, Url,
};
use temporalio_common::protos::temporal::api::workflowservice::v1::{
    DescribeNamespaceRequest, GetSystemInfoRequest,
};
use tokio::sync::{Mutex, Semaphore};
use underlay_core::ports::{Clock, SystemClock};
use underlay_core::words::{Error, Timestamp};
use uuid::Uuid;

use crate::address::{TemporalAddress, TlsFiles};
use crate::attributes;
use crate::error::{from_connect, from_status};
use crate::options::{ApiKey, TemporalOptions};

/// How many starts of workflows are under way at once.
pub(crate) const STARTS_MAX: usize = 64;
/// How long a connection may take.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// How long a call may take, but those that wait for something.
const CALL_MAX: Duration = Duration::from_secs(10);
/// How long a connection that failed is not tried again.
const CONNECT_PAUSE: Duration = Duration::from_millis(500);
/// The first server that can do what is needed.
const SERVER_MIN: (u32, u32) = (1, 24);

/// One connection to a server, made when it is first needed. The SDK makes it anew where it is lost.
pub(crate) struct Client {
    pub address: TemporalAddress,
    process: String,
    tls: Option<TlsOptions>,
    key: SyncMutex<Option<ApiKey>>,
    standing: Mutex<Standing>,
    /// The connections of workers, each with its number.
    workers: SyncMutex<Vec<(Uuid, Connection)>>,
    /// Whether the namespace has the search attributes.
    has_attributes: AtomicBool,
    pub starts: Semaphore,
}

#[derive(Default)]
struct Standing {
    client: Option<SdkClient>,
    /// When and why the last try failed.
    failed: Option<(Timestamp, Error)>,
}

impl Client {
    pub(crate) fn new(address: &TemporalAddress, options: &TemporalOptions) -> Result<Self, Error> {
        if options.api_key.is_some() && address.tls.is_none() {
            return Err(Error::invalid(format!(
                "an API key for Temporal at {}:{} would cross the network in the open; add tls=true to its address",
                address.host, address.port
            )));
        }
        let process = match options.process.as_str() {
            "" => format!("{}@{}", std::process::id(), hostname()),
            named => named.to_owned(),
        };
        Ok(Self {
            tls: address.tls.as_ref().map(read_tls).transpose()?,
            address: address.clone(),
            process,
            key: SyncMutex::new(options.api_key.clone()),
            standing: Mutex::default(),
            workers: SyncMutex::default(),
            has_attributes: AtomicBool::new(false),
            starts: Semaphore::new(STARTS_MAX),
        })
    }

    /// The connection, for one namespace.
    pub(crate) async fn connected(&self) -> Result<SdkClient, Error> {
        let mut standing = self.standing.lock().await;
        if let Some(client) = &standing.client {
            return Ok(client.clone());
        }
        if let Some((at, why)) = &standing.failed
            && SystemClock.now().duration_since(*at).unsigned_abs() < CONNECT_PAUSE
        {
            return Err(same(why));
        }
        match self.connect().await {
            Ok(client) => {
                standing.client = Some(client.clone());
                Ok(client)
            }
            Err(why) => {
                standing.failed = Some((SystemClock.now(), same(&why)));
                Err(why)
            }
        }
    }

    /// A connection for a worker alone: what polls for tasks is not in the way of what starts workflows.
    pub(crate) async fn connect_worker(&self) -> Result<WorkerConnection<'_>, Error> {
        let (sdk, number) = (self.connect().await?, Uuid::new_v4());
        self.workers().push((number, sdk.connection().clone()));
        Ok(WorkerConnection { client: self, number, sdk })
    }

    fn workers(&self) -> MutexGuard<'_, Vec<(Uuid, Connection)>> {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn connect(&self) -> Result<SdkClient, Error> {
        let target = Url::parse(&self.address.target());
        let target = target.map_err(|error| Error::invalid(format!("{}: {error}", self.address)))?;
        let key = self.key.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let options = ConnectionOptions::new(target)
            .identity(self.process.clone())
            .connect_timeout(CONNECT_MAX)
            .grpc_compression(GrpcCompression::None)
            .dns_load_balancing(None)
            .maybe_tls_options(self.tls.clone())
            .maybe_api_key(key.map(|key| key.secret().to_owned()))
            .build();
        let connection = tokio::time::timeout(CONNECT_MAX, Connection::connect(options)).await;
        let connection = connection.map_err(|_| {
            let TemporalAddress { host, port, .. } = &self.address;
            Error::unavailable(format!("Temporal at {host}:{port} does not answer within {CONNECT_MAX:?}"))
        })?;
        let connection = connection.map_err(|error| from_connect(&self.address, &error))?;
        let options = ClientOptions::new(&self.address.namespace).build();
        let client = SdkClient::new(connection, options)
            .map_err(|error| Error::invalid(format!("Temporal: {error}")))?;
        self.check_version(&client).await?;
        self.check_namespace(&client).await?;
        self.register_attributes(&client).await;
        Ok(client)
    }

    /// Asks whether the server can be reached and used.
    pub(crate) async fn check(&self) -> Result<(), Error> {
        let client = self.connected().await?;
        self.check_namespace(&client).await?;
        if !self.has_attributes() {
            self.register_attributes(&client).await;
        }
        Ok(())
    }

    async fn check_version(&self, client: &SdkClient) -> Result<(), Error> {
        let asked = client.clone().get_system_info(call(GetSystemInfoRequest::default())).await;
        let version = asked.map_err(|status| self.error(&status))?.into_inner().server_version;
        match read_version(&version) {
            Some(found) if found < SERVER_MIN => {
                let ((major, minor), TemporalAddress { host, port, .. }) = (SERVER_MIN, &self.address);
                Err(Error::invalid(format!(
                    "the Temporal server at {host}:{port} is of version {version}; {major}.{minor} or later is needed"
                )))
            }
            _ => Ok(()),
        }
    }

    async fn check_namespace(&self, client: &SdkClient) -> Result<(), Error> {
        let namespace = self.address.namespace.clone();
        let asked = DescribeNamespaceRequest { namespace, ..DescribeNamespaceRequest::default() };
        match client.clone().describe_namespace(call(asked)).await {
            Ok(_) => Ok(()),
            Err(status) => Err(self.error(&status)),
        }
    }

    async fn register_attributes(&self, client: &SdkClient) {
        let registered = attributes::register(client, &self.address.namespace).await;
        self.has_attributes.store(registered, Ordering::Relaxed);
    }

    /// Whether jobs are found by search attributes.
    pub(crate) fn has_attributes(&self) -> bool {
        self.has_attributes.load(Ordering::Relaxed)
    }

    /// Remembers that the namespace has the search attributes no more. The next check registers them.
    pub(crate) fn lost_attributes(&self) {
        self.has_attributes.store(false, Ordering::Relaxed);
    }

    /// What this process is called.
    pub(crate) fn process(&self) -> &str {
        &self.process
    }

    /// Uses another key from now on.
    pub(crate) async fn set_api_key(&self, key: ApiKey) {
        if let Some(client) = &self.standing.lock().await.client {
            client.connection().set_api_key(Some(key.secret().to_owned()));
        }
        for (_, connection) in &*self.workers() {
            connection.set_api_key(Some(key.secret().to_owned()));
        }
        *self.key.lock().unwrap_or_else(PoisonError::into_inner) = Some(key);
    }

    pub(crate) fn error(&self, status: &Status) -> Error {
        from_status(&self.address, status)
    }
}

/// A connection that a worker uses. Dropped, it is forgotten.
pub(crate) struct WorkerConnection<'a> {
    client: &'a Client,
    number: Uuid,
    pub sdk: SdkClient,
}

impl Drop for WorkerConnection<'_> {
    fn drop(&mut self) {
        self.client.workers().retain(|(number, _)| *number != self.number);
    }
}

/// A call that fails at once where the server is away: whoever calls has a pause of its own.
pub(crate) fn call<T>(message: T) -> Request<T> {
    let mut request = long_call(message);
    request.set_timeout(CALL_MAX);
    request
}

/// The same for a call that waits for something.
pub(crate) fn long_call<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.extensions_mut().insert(RetryConfigForCall(RetryOptions::no_retries()));
    request
}

/// Whether a call may succeed when it is made again as it is.
pub(crate) fn may_pass(status: &Status) -> bool {
    // The second is how a message is refused that is longer than any may be.
    let is_too_long =
        status.code() == Code::ResourceExhausted && status.message().contains("larger than max");
    status.code() != Code::InvalidArgument && !is_too_long
}

fn read_tls(files: &TlsFiles) -> Result<TlsOptions, Error> {
    let client = files.certificate.as_ref().map(|(certificate, key)| {
        let client =
            ClientTlsOptions::builder().client_cert(read(certificate)?).client_private_key(read(key)?);
        Ok::<_, Error>(client.build())
    });
    Ok(TlsOptions::builder()
        .maybe_server_root_ca_cert(files.ca.as_deref().map(read).transpose()?)
        .maybe_domain(files.server_name.clone())
        .maybe_client_tls_options(client.transpose()?)
        .build())
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let bytes = fs::read(path);
    bytes.map_err(|error| Error::invalid(format!("{} for TLS to Temporal: {error}", path.display())))
}

/// The first two numbers of a version; none where it is written in another way.
fn read_version(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.trim_start_matches('v').split('.').map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

fn hostname() -> String {
    let name = fs::read_to_string("/etc/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "underlay".to_owned() } else { name.to_owned() }
}

/// The same error once more.
fn same(error: &Error) -> Error {
    match error {
        Error::Unavailable { reason, retry_after, overloaded } => {
            Error::Unavailable { reason: reason.clone(), retry_after: *retry_after, overloaded: *overloaded }
        }
        other => Error::invalid(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_without_tls_is_refused() {
        let address = "temporal://127.0.0.1:1/n".parse().unwrap();
        let options = TemporalOptions { api_key: Some(ApiKey::new("s3cret")), ..TemporalOptions::default() };
        let refused = Client::new(&address, &options).err().unwrap().to_string();
        assert!(refused.contains("add tls=true") && !refused.contains("s3cret"), "{refused}");
    }

    #[test]
    fn a_file_for_tls_that_is_missing_is_named() {
        let address = "temporal://127.0.0.1:1/n?ca=/nowhere/ca.pem".parse().unwrap();
        let refused = Client::new(&address, &TemporalOptions::default()).err().unwrap().to_string();
        assert!(refused.contains("/nowhere/ca.pem for TLS to Temporal"), "{refused}");
    }

    #[test]
    fn versions_are_compared_by_their_first_two_numbers() {
        assert_eq!(read_version("1.27.1"), Some((1, 27)));
        assert_eq!(read_version("v1.9.0-rc1"), Some((1, 9)));
        assert_eq!(read_version("cloud"), None);
    }
}
