//! The payment gateway, over HTTP: charges a payment, and says what became of one.
//!
//! The gateway knows a payment by its tenant and id, which go along as `Idempotency-Key`: charging twice charges
//! once, and a payment that was cancelled is never charged. `traceparent` goes along where the payment is part of a trace.
//! What it answers becomes a command, stored with the
//! settlement of the message.
//!
//! | Asked | Answers |
//! |---|---|
//! | `POST /charges` | `{"status":"charged","reference":…}`, `{"status":"declined","reason":…}`, or as below |
//! | `POST /charges/cancel` | the same, or `{"status":"cancelled"}`: it was not charged, and never will be |
//!
//! | Answer | What it means |
//! |---|---|
//! | 200, 201 | as above |
//! | 4xx but 408, 409 and 429 | the gateway refuses the request: the payment is cancelled at once, and declined for that reason |
//! | anything else, or none | no answer: the message is tried again |
//!
//! A charge is asked for until the gateway answers, or until the payment was stopped or has ended. So no charge is given
//! up, and none is asked for behind a payment that has ended. It speaks plain HTTP, so a gateway on another machine
//! belongs behind a proxy that speaks TLS.

use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::TcpStream;
use underlay::domain::Attempts;
use underlay::words::limits::PAGE_EVENTS_MAX;
use underlay::words::options::{ConfigOption, Configurable, Place};
use underlay::{Aggregate, Delivery, Error, Handled, Handler, HandlerError, Outgoing, Service, Version};

use crate::money::Money;
use crate::payment::{ANSWER_WITHIN, Payment, PaymentCommand, PaymentId, Payments};

/// How long the gateway may take for one answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of an answer that are read.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// Attempts at a charge before the payment is stopped, where its time is longer than all of them take.
const CHARGE_ATTEMPTS_MAX: u32 = 1_000;
/// The events of a payment behind which nobody asks for its charge.
const STOPPED: &str = "payment-stopped";
const CHARGED: &str = "payment-charged";
const DECLINED: &str = "payment-declined";
/// Characters of what the gateway says that are kept.
const SAID_CHARS_MAX: usize = 500;
/// Why nothing can be paid where no gateway is configured.
pub(crate) const NO_GATEWAY: &str =
    "this service has no payment gateway; the option gateway.address names one";

/// The options of payments.
#[derive(Clone, Debug)]
pub struct GatewayConfig {
    /// Where the gateway is; without one, every payment is declined.
    pub address: Option<String>,
    /// How long the gateway has to say what became of a payment before it is asked to cancel it.
    pub answer_within: Duration,
}

impl Default for GatewayConfig {
    fn default() -> Self {
        Self { address: None, answer_within: ANSWER_WITHIN }
    }
}

impl Configurable for GatewayConfig {
    const OPTIONS: &'static [ConfigOption<Self>] = &[
        ConfigOption::<Self>::new(
            "address",
            "Where the payment gateway is, such as http://127.0.0.1:8100; without one, payments are declined",
            |config| Place::Text(&mut config.address),
        )
        .checked(|text| address(text).map(drop).map_err(|error| error.to_string()))
        .called("URL"),
        ConfigOption::<Self>::new(
            "answer_within",
            "How long the gateway has to answer before a payment is cancelled, or found to be charged",
            |config| Place::Time(&mut config.answer_within),
        )
        .at_least(1),
    ];
}

/// Adds payments to the service, with the gateway of its options.
///
/// # Errors
/// [`Error::Invalid`] where the address is not one.
pub fn add_payments(service: Service, config: GatewayConfig) -> Result<Service, Error> {
    let gateway = Gateway::new(config.address.as_deref())?;
    let has_gateway = gateway.address.is_some();
    Ok(service
        .aggregate::<Payment>()
        .process(Payments { answer_within: config.answer_within, has_gateway })
        .handler(Charge::new(gateway.clone()))
        .handler(Reconcile::new(gateway)))
}

/// A payment gateway.
#[derive(Clone, Debug)]
pub struct Gateway {
    /// Where it is; none where there is none.
    address: Option<Uri>,
}

/// What the gateway says of a payment.
#[derive(Debug, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
enum Said {
    Charged { reference: String },
    Declined { reason: String },
    Cancelled,
}

/// Reads the address of a gateway.
fn address(text: &str) -> Result<Uri, Error> {
    let wrong = || {
        Error::invalid(format!(
            "the gateway's address {text:?} is not like http://127.0.0.1:8100, without a path"
        ))
    };
    let uri: Uri = text.parse().map_err(|_| wrong())?;
    let is_plain = uri.scheme_str() == Some("http") && uri.path() == "/" && uri.query().is_none();
    let names_host = uri
        .authority()
        .is_some_and(|authority| !authority.host().is_empty() && !authority.as_str().contains('@'));
    if is_plain && names_host { Ok(uri) } else { Err(wrong()) }
}

impl Gateway {
    /// A gateway at an address such as `http://127.0.0.1:8100`, or none. Without one whatever asks it fails, and is tried
    /// again: the gateway that was there before may have charged.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the address is not one.
    pub fn new(text: Option<&str>) -> Result<Self, Error> {
        Ok(Self { address: text.map(address).transpose()? })
    }

    /// Has a payment cancelled that was not charged, and asks which it is.
    async fn cancel(&self, asking: &Asking<'_>) -> Result<Said, HandlerError> {
        self.ask("/charges/cancel", asking, &serde_json::json!({ "payment": asking.key })).await
    }

    /// Asks the gateway something about a payment.
    async fn ask(
        &self,
        path: &str,
        asking: &Asking<'_>,
        body: &serde_json::Value,
    ) -> Result<Said, HandlerError> {
        let Some(address) = &self.address else { return Err(HandlerError::passing(NO_GATEWAY)) };
        let asked = tokio::time::timeout(ANSWER_TIMEOUT, post(address, path, asking, body)).await;
        asked.unwrap_or_else(|_| {
            Err(HandlerError::passing(format!("the gateway has not answered within {ANSWER_TIMEOUT:?}")))
        })
    }
}

/// One request, on a connection of its own.
async fn post(
    address: &Uri,
    path: &str,
    asking: &Asking<'_>,
    body: &serde_json::Value,
) -> Result<Said, HandlerError> {
    let away = |error: &dyn std::error::Error| {
        HandlerError::passing(format!("the gateway cannot be reached: {error}"))
    };
    let host = address.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let socket = TcpStream::connect((host, address.port_u16().unwrap_or(80)));
    let socket = socket.await.map_err(|error| away(&error))?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(socket)).await.map_err(|error| away(&error))?;
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(path)
        .header(HOST, address.authority().map_or("", |authority| authority.as_str()))
        .header(CONTENT_TYPE, "application/json")
        .header("idempotency-key", &asking.key);
    if let Some(traceparent) = asking.traceparent {
        request = request.header("traceparent", traceparent);
        if let Some(tracestate) = asking.tracestate {
            request = request.header("tracestate", tracestate);
        }
    }
    let request = request
        .body(Full::new(Bytes::from(body.to_string())))
        .map_err(|error| HandlerError::last(format!("the gateway cannot be asked: {error}")))?;
    let answered = async {
        let response = sender.send_request(request).await.map_err(|error| away(&error))?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
        let body =
            body.map_err(|error| HandlerError::passing(format!("the gateway's answer broke off: {error}")))?;
        Ok::<_, HandlerError>((status, body.to_bytes()))
    };
    // The connection is driven here, so that whoever gives up gives it up too.
    tokio::pin!(connection, answered);
    let (status, body) = tokio::select! {
        biased;
        answer = &mut answered => answer?,
        // What has arrived of the answer may still be read.
        _ended = &mut connection => answered.await?,
    };
    understood(status, &body)
}

/// What an answer means.
fn understood(status: StatusCode, body: &[u8]) -> Result<Said, HandlerError> {
    let may_pass = [StatusCode::REQUEST_TIMEOUT, StatusCode::CONFLICT, StatusCode::TOO_MANY_REQUESTS];
    match status {
        StatusCode::OK | StatusCode::CREATED => serde_json::from_slice(body)
            .map_err(|error| HandlerError::passing(format!("the gateway's answer makes no sense: {error}"))),
        status if status.is_client_error() && !may_pass.contains(&status) => {
            Err(HandlerError::last(format!("the gateway refuses the request: {status}")))
        }
        status => Err(HandlerError::passing(format!("the gateway answered {status}"))),
    }
}

/// The reason that a gateway gave, as it is kept.
fn kept(text: String) -> String {
    text.chars().take(SAID_CHARS_MAX).collect()
}

/// What is sent to a payment once the gateway is asked.
fn tell(payment: &PaymentId, command: &PaymentCommand) -> Handled {
    Handled::done().send(Outgoing::command::<Payment>(payment, command))
}

/// The command that notes what the gateway said.
fn noted(payment: &PaymentId, said: Said) -> Handled {
    let command = match said {
        Said::Charged { reference } => PaymentCommand::NoteCharged { reference: kept(reference) },
        Said::Declined { reason } => PaymentCommand::NoteDeclined { reason: kept(reason) },
        Said::Cancelled => {
            PaymentCommand::NoteDeclined { reason: "the gateway has not charged it in time".to_owned() }
        }
    };
    tell(payment, &command)
}

/// Whether a payment has come to one of these events. It has few.
async fn has_come_to(
    payment: &PaymentId,
    events: &[&str],
    delivery: &Delivery,
) -> Result<bool, HandlerError> {
    let stream = Payment::stream(payment)?;
    let read = delivery.reader().read_stream(&stream, Version::NONE, PAGE_EVENTS_MAX).await?;
    Ok(read.iter().any(|event| events.contains(&event.event_type.as_str())))
}

/// What goes along with every request for a payment.
struct Asking<'a> {
    /// What the gateway knows the payment by. Payments of two tenants may have the same id.
    key: String,
    /// Where the request stands in its trace.
    traceparent: Option<&'a str>,
    /// What belongs to that.
    tracestate: Option<&'a str>,
}

impl<'a> Asking<'a> {
    fn of(payment: &PaymentId, delivery: &'a Delivery) -> Self {
        let key = format!("{}/{payment}", delivery.tenant);
        let metadata = &delivery.metadata;
        Self { key, traceparent: metadata.traceparent.as_deref(), tracestate: metadata.tracestate.as_deref() }
    }
}

/// What the gateway is to charge.
#[underlay::event]
#[derive(Eq)]
pub enum ChargeMessage {
    /// A payment.
    #[event(name = "charge-payment", version = 1)]
    Charge {
        /// The payment.
        payment: PaymentId,
        /// How much.
        money: Money,
        /// Who is paid.
        payee: String,
    },
}

/// Has the gateway charge a payment.
#[derive(Clone, Debug)]
pub struct Charge(Gateway);

impl Charge {
    /// Asks a gateway.
    #[must_use]
    pub fn new(gateway: Gateway) -> Self {
        Self(gateway)
    }
}

impl Handler for Charge {
    const NAME: &'static str = "charge";
    type Message = ChargeMessage;

    fn attempts(&self) -> Attempts {
        // It ends with the payment's time, or stops the payment itself.
        Attempts {
            attempts_max: CHARGE_ATTEMPTS_MAX,
            delay_max: Duration::from_secs(20),
            ..Attempts::default()
        }
    }

    async fn handle(&self, message: ChargeMessage, delivery: &Delivery) -> Result<Handled, HandlerError> {
        let ChargeMessage::Charge { payment, money, payee } = message;
        if has_come_to(&payment, &[STOPPED, CHARGED, DECLINED], delivery).await? {
            return Ok(Handled::done());
        }
        let asking = Asking::of(&payment, delivery);
        let body = serde_json::json!({
            "payment": asking.key, "amount": money.amount, "commodity": money.commodity, "payee": payee,
        });
        let failure = match self.0.ask("/charges", &asking, &body).await {
            Ok(said) => return Ok(noted(&payment, said)),
            Err(failure) => failure,
        };
        let is_last = delivery.attempt >= CHARGE_ATTEMPTS_MAX;
        if !failure.is_final && !is_last {
            return Err(failure);
        }
        // An attempt before this one may have charged, so the gateway says how it ends here too.
        let reason = kept(failure.reason);
        Ok(match self.0.cancel(&asking).await {
            Ok(Said::Cancelled) => tell(&payment, &PaymentCommand::NoteDeclined { reason }),
            Ok(said) => noted(&payment, said),
            Err(_) => tell(&payment, &PaymentCommand::Stop { reason }),
        })
    }
}

/// A payment that nobody knows the end of.
#[underlay::event]
#[derive(Eq)]
pub enum ReconcileMessage {
    /// Cancels it unless it was charged, and finds out which.
    #[event(name = "reconcile-payment", version = 1)]
    Reconcile {
        /// The payment.
        payment: PaymentId,
    },
}

/// Has the gateway cancel a payment that it has not charged, and say which it is.
#[derive(Clone, Debug)]
pub struct Reconcile(Gateway);

impl Reconcile {
    /// Asks a gateway.
    #[must_use]
    pub fn new(gateway: Gateway) -> Self {
        Self(gateway)
    }
}

impl Handler for Reconcile {
    const NAME: &'static str = "reconcile";
    type Message = ReconcileMessage;

    fn attempts(&self) -> Attempts {
        // The money stays reserved until the gateway answers, so this is not given up early.
        Attempts { attempts_max: 1_000, delay_max: Duration::from_secs(5 * 60), ..Attempts::default() }
    }

    async fn handle(&self, message: ReconcileMessage, delivery: &Delivery) -> Result<Handled, HandlerError> {
        let ReconcileMessage::Reconcile { payment } = message;
        if has_come_to(&payment, &[CHARGED, DECLINED], delivery).await? {
            return Ok(Handled::done());
        }
        let said = self.0.cancel(&Asking::of(&payment, delivery)).await?;
        Ok(noted(&payment, said))
    }
}
