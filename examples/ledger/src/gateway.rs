//! The payment gateway, over HTTP: charges a payment, and says what became of one.
//!
//! The gateway knows a payment by its id, which goes along as `Idempotency-Key`: charging twice charges once,
//! and a payment that was cancelled is never charged. What it answers becomes a command, stored with the
//! settlement of the message.

use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::TcpStream;
use underlay::{Attempts, Delivery, Error, Handled, Handler, HandlerError, Outgoing};

use crate::money::Money;
use crate::payment::{Payment, PaymentCommand, PaymentId};

/// How long the gateway may take for one answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of an answer that are read.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// A payment gateway at an address.
#[derive(Clone, Debug)]
pub struct Gateway {
    address: Uri,
}

/// What the gateway says of a payment.
#[derive(Debug, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
enum Said {
    Charged { reference: String },
    Declined { reason: String },
    Cancelled,
}

impl Gateway {
    /// The gateway at an address such as `http://127.0.0.1:8100`.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the address is not one over `http:`.
    pub fn at(address: &str) -> Result<Self, Error> {
        let wrong = || {
            Error::invalid(format!("the gateway's address {address:?} is not like http://127.0.0.1:8100, without a path"))
        };
        let uri: Uri = address.trim_end_matches('/').parse().map_err(|_| wrong())?;
        let is_plain = uri.scheme_str() == Some("http") && uri.host().is_some() && matches!(uri.path(), "" | "/");
        if is_plain { Ok(Self { address: uri }) } else { Err(wrong()) }
    }

    /// Asks the gateway something about a payment.
    async fn ask(&self, path: &str, payment: &PaymentId, body: &serde_json::Value) -> Result<Said, HandlerError> {
        let asked = tokio::time::timeout(ANSWER_TIMEOUT, self.post(path, payment, body)).await;
        asked.unwrap_or_else(|_| Err(HandlerError::passing(format!("the gateway has not answered within {ANSWER_TIMEOUT:?}"))))
    }

    async fn post(&self, path: &str, payment: &PaymentId, body: &serde_json::Value) -> Result<Said, HandlerError> {
        let away = |error: &dyn std::error::Error| HandlerError::passing(format!("the gateway cannot be reached: {error}"));
        let host = self.address.host().unwrap_or_default();
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let socket = TcpStream::connect((bare, self.address.port_u16().unwrap_or(80)));
        let socket = socket.await.map_err(|error| away(&error))?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(socket)).await.map_err(|error| away(&error))?;
        let authority = self.address.authority().map_or("", |authority| authority.as_str());
        let request = Request::builder()
            .method(Method::POST)
            .uri(path)
            .header(HOST, authority)
            .header(CONTENT_TYPE, "application/json")
            .header("idempotency-key", payment.as_str())
            .body(Full::new(Bytes::from(body.to_string())))
            .map_err(|error| HandlerError::last(format!("the gateway cannot be asked: {error}")))?;
        let answered = async {
            let response = sender.send_request(request).await.map_err(|error| away(&error))?;
            let status = response.status();
            let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
            let body = body.map_err(|error| HandlerError::passing(format!("the gateway's answer broke off: {error}")))?;
            Ok::<_, HandlerError>((status, body.to_bytes()))
        };
        // The connection is driven here, so that whoever gives up gives it up too.
        tokio::pin!(connection, answered);
        let (status, body) = tokio::select! {
            biased;
            answer = &mut answered => answer?,
            // It ends with its answer, which may still be read.
            _ = &mut connection => answered.await?,
        };
        understood(status, &body)
    }
}

/// What an answer means.
fn understood(status: StatusCode, body: &[u8]) -> Result<Said, HandlerError> {
    match status {
        StatusCode::OK | StatusCode::CREATED | StatusCode::PAYMENT_REQUIRED | StatusCode::GONE => {
            serde_json::from_slice(body)
                .map_err(|error| HandlerError::passing(format!("the gateway's answer {status} makes no sense: {error}")))
        }
        status if status.is_client_error() && !matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS | StatusCode::CONFLICT) => {
            Err(HandlerError::last(format!("the gateway refuses the request: {status}")))
        }
        status => Err(HandlerError::passing(format!("the gateway answered {status}"))),
    }
}

/// The command that notes what the gateway said.
fn noted(payment: &PaymentId, said: Said) -> Handled {
    let command = match said {
        Said::Charged { reference } => PaymentCommand::NoteCharged { reference },
        Said::Declined { reason } => PaymentCommand::NoteDeclined { reason },
        Said::Cancelled => {
            PaymentCommand::NoteDeclined { reason: "the gateway has not charged it in time".to_owned() }
        }
    };
    Handled::done().send(Outgoing::command::<Payment>(payment, &command))
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
pub struct Charge(pub Gateway);

impl Handler for Charge {
    const NAME: &'static str = "charge";
    type Message = ChargeMessage;

    fn attempts(&self) -> Attempts {
        // By then the payment is reconciled.
        Attempts { attempts_max: 5, delay_max: Duration::from_secs(20), ..Attempts::default() }
    }

    async fn handle(&self, message: ChargeMessage, _delivery: &Delivery) -> Result<Handled, HandlerError> {
        let ChargeMessage::Charge { payment, money, payee } = message;
        let body = serde_json::json!({ "payment": payment, "amount": money.amount, "commodity": money.commodity, "payee": payee });
        let said = self.0.ask("/charges", &payment, &body).await?;
        Ok(noted(&payment, said))
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
pub struct Reconcile(pub Gateway);

impl Handler for Reconcile {
    const NAME: &'static str = "reconcile";
    type Message = ReconcileMessage;

    fn attempts(&self) -> Attempts {
        // The money stays reserved until the gateway answers, so this is not given up early.
        Attempts { attempts_max: 1_000, delay_max: Duration::from_secs(5 * 60), ..Attempts::default() }
    }

    async fn handle(&self, message: ReconcileMessage, _delivery: &Delivery) -> Result<Handled, HandlerError> {
        let ReconcileMessage::Reconcile { payment } = message;
        let said = self.0.ask(&format!("/charges/{payment}/cancel"), &payment, &serde_json::json!({})).await?;
        Ok(noted(&payment, said))
    }
}
