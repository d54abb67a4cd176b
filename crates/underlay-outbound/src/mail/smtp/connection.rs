use std::fmt::{self, Display};
use std::fs;
use std::path::Path;

use lettre::Address;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{
    AsyncSmtpConnection, Certificate, CertificateStore, TlsParameters, TlsParametersBuilder,
};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt, Rset};
use lettre::transport::smtp::extension::ClientId;
use underlay_core::{Error, MailError, Mailbox};

use super::failure::{Failure, Step};
use crate::mail::address::{Login, Security, Server};

/// The way into a server.
pub(super) struct Door {
    pub(super) server: Server,
    hello_name: ClientId,
    /// None where nothing is encrypted.
    tls: Option<TlsParameters>,
}

impl Display for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the mail server {}:{}", self.server.host, self.server.port)
    }
}

impl Door {
    pub(super) fn new(
        server: Server,
        hello_name: String,
        root_certificates: Option<&Path>,
    ) -> Result<Self, Error> {
        let tls = match server.security {
            Security::Plain => None,
            Security::StartTls | Security::Tls => Some(tls_for(&server.host, root_certificates)?),
        };
        let hello_name = match hello_name.parse() {
            Ok(std::net::IpAddr::V4(address)) => ClientId::Ipv4(address),
            Ok(std::net::IpAddr::V6(address)) => ClientId::Ipv6(address),
            Err(_) => ClientId::Domain(hello_name),
        };
        Ok(Self { server, hello_name, tls })
    }

    /// Connects, encrypts and logs in.
    pub(super) async fn connect(&self) -> Result<Connection, MailError> {
        let at_first = self.tls.clone().filter(|_| self.server.security == Security::Tls);
        let place = (self.server.host.as_str(), self.server.port);
        let connecting = AsyncSmtpConnection::connect_tokio1(place, None, &self.hello_name, at_first, None);
        let mut connection =
            connecting.await.map_err(|error| Failure::new(Step::Connect, error).of_the_door(self))?;
        if let Some(tls) = self.tls.clone().filter(|_| self.server.security == Security::StartTls) {
            let encrypted = connection.starttls(tls, &self.hello_name).await;
            encrypted.map_err(|error| Failure::new(Step::Encrypt, error).of_the_door(self))?;
        }
        if let Some(Login { user, password }) = &self.server.login {
            let credentials = Credentials::new(user.clone(), password.clone());
            let let_in = connection.auth(DEFAULT_MECHANISMS, &credentials).await;
            let_in.map_err(|error| Failure::new(Step::LogIn, error).of_the_door(self))?;
        }
        Ok(Connection(connection))
    }
}

/// Who vouches for a server: the authorities of a file, or those of the system.
fn tls_for(host: &str, root_certificates: Option<&Path>) -> Result<TlsParameters, Error> {
    let mut parameters = TlsParametersBuilder::new(host.to_owned());
    if let Some(file) = root_certificates {
        let reading = || format!("reading the certificates {}", file.display());
        let text = fs::read(file).map_err(|error| Error::backend(reading(), error))?;
        let certificates = Certificate::from_pem(&text).map_err(|error| Error::backend(reading(), error))?;
        if !text.windows(b"BEGIN CERTIFICATE".len()).any(|part| part == b"BEGIN CERTIFICATE") {
            return Err(Error::invalid(format!("{} holds no certificate in PEM form", file.display())));
        }
        parameters = parameters.certificate_store(CertificateStore::None).add_root_certificate(certificates);
    }
    parameters.build().map_err(|error| Error::backend("preparing TLS for the mail server", error))
}

/// A connection that is let in. It is used by one send at a time.
pub(super) struct Connection(AsyncSmtpConnection);

impl Connection {
    /// Forgets the mail before; whether the server is still there.
    pub(super) async fn reset(&mut self) -> bool {
        self.ask(Step::Reset, Rset, 250).await.is_ok()
    }

    /// Hands a mail in. Each answer has the code that the protocol has for it, so that none is taken for
    /// another.
    pub(super) async fn hand_in(
        &mut self,
        from: &Mailbox,
        to: &Mailbox,
        message: &str,
    ) -> Result<(), Failure> {
        self.ask(Step::Sender, Mail::new(Some(address(from)), Vec::new()), 250).await?;
        self.ask(Step::Address, Rcpt::new(address(to), Vec::new()), 250).await?;
        self.ask(Step::Data, Data, 354).await?;
        self.ask(Step::Content, Content(message), 250).await
    }

    async fn ask(&mut self, step: Step, command: impl Display, code: u16) -> Result<(), Failure> {
        let answer = self.0.command(command).await.map_err(|error| Failure::new(step, error))?;
        // A server that passes mail on to another place says 251.
        let is_passed_on = step == Step::Address && answer.has_code(251);
        if answer.has_code(code) || is_passed_on {
            Ok(())
        } else {
            Err(Failure::out_of_place(step, answer.code()))
        }
    }
}

/// The content of a mail with the line that ends it, written at once: a short last write would wait until the
/// server has acknowledged the one before.
struct Content<'a>(&'a str);

impl Display for Content<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in self.0.split_inclusive("\r\n") {
            // The server takes off a dot that a line begins with.
            let dot = if line.starts_with('.') { "." } else { "" };
            write!(f, "{dot}{line}")?;
        }
        f.write_str(".\r\n")
    }
}

/// Its parts were checked when the mailbox was made.
fn address(mailbox: &Mailbox) -> Address {
    Address::new_dangerous(mailbox.local_part(), mailbox.domain())
}
