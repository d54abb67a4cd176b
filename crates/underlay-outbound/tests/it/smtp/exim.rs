use std::sync::Arc;

use servers::{AddressAnswer, Exim, Missing};
use underlay_core::{Email, Mail, Mailbox};
use underlay_outbound::mail::{self, MailConfig};
use underlay_testkit::{ArrivedMail, Fixture, MailAnswer, MailFixture, Skip};

use crate::arrived::read;

pub(super) fn sender() -> Mailbox {
    Mailbox::parse("Die Bürger-Bank <bank@example.com>").unwrap()
}

pub(super) fn config() -> MailConfig {
    MailConfig::default().with_from(sender())
}

pub(super) fn mail_to(address: &str, subject: &str) -> Email {
    Email::new(Mailbox::parse(address).unwrap(), subject, "Hello.").unwrap()
}

pub(super) fn open(address: &str, config: MailConfig) -> Arc<dyn Mail> {
    mail::open(address, config).unwrap()
}

/// What has arrived at a server.
pub(super) fn arrived(server: &Exim) -> Vec<ArrivedMail> {
    server.arrived().unwrap().iter().map(|mail| read(mail)).collect()
}

/// Runs a test with a server, or says that it is skipped.
pub(super) fn with_server<R>(started: servers::Result<Exim>, test: impl FnOnce(Exim) -> R)
where
    R: Future<Output = ()>,
{
    match started {
        Ok(server) => {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
            runtime.unwrap().block_on(test(server));
        }
        Err(reason) => Missing::new("exim", reason).skip_test(),
    }
}

/// A server with the adapter before it.
pub(super) struct Server {
    server: Exim,
    mail: Arc<dyn Mail>,
}

impl Server {
    fn before(server: Exim) -> Self {
        let address = format!("smtp://127.0.0.1:{}", server.port());
        Self { mail: open(&address, config()), server }
    }
}

impl Fixture for Server {
    async fn create() -> Result<Self, Skip> {
        match Exim::start() {
            Ok(server) => Ok(Self::before(server)),
            Err(reason) => Err(Skip::new(reason.to_string())),
        }
    }

    async fn reopen(self) -> Self {
        Self::before(self.server)
    }
}

impl MailFixture for Server {
    fn mail(&self) -> Arc<dyn Mail> {
        self.mail.clone()
    }

    fn sender(&self) -> Mailbox {
        sender()
    }

    async fn arrived(&self) -> Vec<ArrivedMail> {
        arrived(&self.server)
    }

    fn answer(&self, address: &Mailbox, answer: MailAnswer) -> bool {
        let answer = match answer {
            MailAnswer::Taken => AddressAnswer::Taken,
            MailAnswer::RefusedForGood => AddressAnswer::RefusedForGood,
            MailAnswer::RefusedForNow => AddressAnswer::RefusedForNow,
        };
        self.server.answer(address.address(), answer).unwrap();
        true
    }

    async fn set_away(&mut self, away: bool) {
        if away { self.server.stop().unwrap() } else { self.server.resume().unwrap() }
    }
}
