use std::error::Error as _;
use std::io;

use lettre::transport::smtp::Error;
use lettre::transport::smtp::response::Code;
use underlay_core::MailError;

use super::connection::Door;

/// Codes by which a server asks for another login, or for one at all.
const LOGIN_CODES: [u16; 4] = [530, 534, 535, 538];
/// The code of a server that ends the connection with its answer.
const CLOSING_CODE: u16 = 421;

/// Where in the protocol something failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Connect,
    Encrypt,
    LogIn,
    Reset,
    Sender,
    Address,
    Data,
    Content,
}

/// A step that failed.
#[derive(Debug)]
pub(super) struct Failure {
    step: Step,
    cause: Cause,
}

#[derive(Debug)]
enum Cause {
    Smtp(Error),
    /// An answer that belongs to another question.
    OutOfPlace(u16),
}

impl Failure {
    pub(super) fn new(step: Step, error: Error) -> Self {
        Self { step, cause: Cause::Smtp(error) }
    }

    pub(super) fn out_of_place(step: Step, code: Code) -> Self {
        Self { step, cause: Cause::OutOfPlace(code.into()) }
    }

    /// Whether the server said no and listens on.
    pub(super) fn is_an_answer(&self) -> bool {
        self.code().is_some_and(|code| code != CLOSING_CODE)
    }

    /// The code by which the server said no.
    fn code(&self) -> Option<u16> {
        match &self.cause {
            Cause::Smtp(error) => error.status().map(Code::into),
            Cause::OutOfPlace(_) => None,
        }
    }

    /// What it means for a mail that was being handed in.
    pub(super) fn of_a_mail(&self) -> MailError {
        let told = format!("{} ({})", self.told(), self.step.what());
        match self.code() {
            Some(code) if LOGIN_CODES.contains(&code) => MailError::Denied(told),
            // Every mail of this sender would be refused, so a person has to mend it.
            Some(500..) if self.step == Step::Sender => MailError::Denied(told),
            Some(500..) => MailError::Refused(told),
            Some(_) => MailError::Deferred(told),
            None => MailError::Unavailable(told),
        }
    }

    /// What it means that a server did not let us in: never anything for a mail.
    pub(super) fn of_the_door(&self, door: &Door) -> MailError {
        let told = format!("{door}: {} ({})", self.told(), self.step.what());
        match (&self.cause, self.code()) {
            (_, Some(500..)) => MailError::Denied(told),
            (_, Some(_)) => MailError::Deferred(told),
            // A server that offers no TLS, or no login that we know.
            (Cause::Smtp(error), None) if error.is_client() => MailError::Denied(told),
            (Cause::Smtp(error), None) if is_of_tls(error) => MailError::Denied(format!("TLS with {told}")),
            _ => MailError::Unavailable(told),
        }
    }

    fn told(&self) -> String {
        match &self.cause {
            Cause::Smtp(error) => error.to_string(),
            Cause::OutOfPlace(code) => format!("the answer {code} is out of place"),
        }
    }
}

impl Step {
    fn what(self) -> &'static str {
        match self {
            Self::Connect => "connecting",
            Self::Encrypt => "STARTTLS",
            Self::LogIn => "logging in",
            Self::Reset => "resetting",
            Self::Sender => "naming the sender",
            Self::Address => "naming the address",
            Self::Data => "asking to hand in the content",
            Self::Content => "handing in the content",
        }
    }
}

/// Whether a handshake failed: what it reads is told as invalid data of the connection.
fn is_of_tls(error: &Error) -> bool {
    let mut source = error.source();
    while let Some(error) = source {
        if error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::InvalidData) {
            return true;
        }
        source = error.source();
    }
    false
}
