use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use underlay_core::{Email, Mail, MailError, Mailbox};
use underlay_testkit::{ArrivedMail, Fixture, MailAnswer, MailFixture, MemoryMailFixture, Skip};

use super::caught;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mutation {
    None,
    /// The HTML is left out.
    DropsHtml,
    /// Runs of blanks become one, as by a careless fold of a header.
    FoldsBlanks,
    /// Every send has an id of its own.
    DrawsIds,
    /// The id is a file name that is not told apart by case.
    FoldsKeys,
    /// Everything is sent by the adapter.
    SendsAsItself,
    /// A line with a dot alone ends the text.
    EndsAtADot,
    /// Whatever goes wrong may pass.
    TriesForEver,
    /// Whatever goes wrong is final.
    GivesUpAtOnce,
    /// An absence is told as success.
    LosesWhatNobodyTakes,
    /// While one mail is sent the others are dropped.
    SendsOneAtATime,
    /// The answer of a send that was given up is taken for that of the next.
    KeepsAnswers,
    /// Limits are not looked at.
    HasNoLimits,
}

struct Broken {
    mutation: Mutation,
    inner: MemoryMailFixture,
    sends: AtomicUsize,
    sending: AtomicBool,
    /// Whether a send began and did not end.
    unanswered: AtomicBool,
}

struct Mutant {
    broken: Arc<Broken>,
}

impl Mutant {
    fn with(mutation: Mutation) -> Self {
        let sender = Mailbox::new("mutant@example.com").unwrap();
        let inner = MemoryMailFixture(underlay_core::memory::MemoryMail::new(sender));
        Self {
            broken: Arc::new(Broken {
                mutation,
                inner,
                sends: AtomicUsize::default(),
                sending: AtomicBool::default(),
                unanswered: AtomicBool::default(),
            }),
        }
    }
}

impl Fixture for Mutant {
    async fn create() -> Result<Self, Skip> {
        Ok(Self::with(Mutation::None))
    }

    async fn reopen(self) -> Self {
        self
    }
}

impl MailFixture for Mutant {
    fn mail(&self) -> Arc<dyn Mail> {
        self.broken.clone()
    }

    fn sender(&self) -> Mailbox {
        self.broken.inner.sender()
    }

    async fn arrived(&self) -> Vec<ArrivedMail> {
        self.broken.inner.arrived().await
    }

    fn answer(&self, address: &Mailbox, answer: MailAnswer) -> bool {
        self.broken.inner.answer(address, answer)
    }

    async fn set_away(&mut self, away: bool) {
        let mut inner = self.broken.inner.clone();
        inner.set_away(away).await;
    }
}

impl Broken {
    fn is(&self, mutation: Mutation) -> bool {
        self.mutation == mutation
    }

    /// The mail as the mutation leaves it.
    fn changed(&self, mail: &Email) -> Email {
        let dotted = |text: &str| match text.split_once("\n.\n") {
            Some((text, _)) => text.to_owned(),
            None => text.to_owned(),
        };
        let (mut subject, mut text) = (mail.subject().to_owned(), mail.text().to_owned());
        let (mut html, mut from) = (mail.html().map(str::to_owned), mail.from().cloned());
        match self.mutation {
            Mutation::DropsHtml => html = None,
            Mutation::FoldsBlanks => subject = subject.split_whitespace().collect::<Vec<_>>().join(" "),
            Mutation::SendsAsItself => from = None,
            Mutation::EndsAtADot => text = dotted(&text),
            _ => {}
        }
        let mut changed = Email::new(mail.to().clone(), subject, &text).unwrap();
        changed = from.into_iter().fold(changed, Email::with_from);
        changed = mail.reply_to().cloned().into_iter().fold(changed, Email::with_reply_to);
        html.into_iter().fold(changed, |changed, html| changed.with_html(&html).unwrap())
    }

    fn changed_key(&self, key: &str) -> String {
        match self.mutation {
            Mutation::DrawsIds => format!("id {}", self.sends.fetch_add(1, Ordering::Relaxed)),
            Mutation::FoldsKeys => key.to_lowercase(),
            Mutation::HasNoLimits => "short".to_owned(),
            _ => key.to_owned(),
        }
    }
}

#[async_trait]
impl Mail for Broken {
    async fn send(&self, key: &str, mail: &Email) -> Result<(), MailError> {
        if self.is(Mutation::KeepsAnswers) && self.unanswered.swap(true, Ordering::SeqCst) {
            self.unanswered.store(false, Ordering::SeqCst);
            return Ok(());
        }
        if self.is(Mutation::SendsOneAtATime) && self.sending.swap(true, Ordering::SeqCst) {
            return Ok(());
        }
        if matches!(self.mutation, Mutation::KeepsAnswers | Mutation::SendsOneAtATime) {
            for _ in 0..50 {
                tokio::task::yield_now().await;
            }
        }
        let sent = self.inner.mail().send(&self.changed_key(key), &self.changed(mail)).await;
        self.sending.store(false, Ordering::SeqCst);
        self.unanswered.store(false, Ordering::SeqCst);
        match sent {
            Err(error) if self.is(Mutation::TriesForEver) => Err(MailError::Deferred(error.to_string())),
            Err(error) if self.is(Mutation::GivesUpAtOnce) => Err(MailError::Refused(error.to_string())),
            Err(MailError::Unavailable(_)) if self.is(Mutation::LosesWhatNobodyTakes) => Ok(()),
            sent => sent,
        }
    }
}

underlay_testkit::conformance!(mail, Mutant);

caught! { mail;
    half_of_it: a_mail_arrives_whole fails on DropsHtml;
    blanks_folded: a_mail_arrives_whole fails on FoldsBlanks;
    ids_drawn: a_repeat_is_the_same_mail fails on DrawsIds;
    one_case_of_keys: a_repeat_is_the_same_mail fails on FoldsKeys;
    always_its_own_sender: a_mail_without_a_sender_has_the_adapters fails on SendsAsItself;
    a_dot_ends_it: hostile_text_stays_text fails on EndsAtADot;
    refusals_forgiven: a_refusal_for_good_is_final fails on TriesForEver;
    given_up_at_once: a_refusal_for_now_may_pass fails on GivesUpAtOnce;
    lost: mail_waits_for_who_is_away fails on LosesWhatNobodyTakes;
    given_up_while_away: mail_waits_for_who_is_away fails on GivesUpAtOnce;
    one_at_a_time: mails_at_the_same_time_all_arrive fails on SendsOneAtATime;
    answers_kept: a_send_given_up_changes_no_other fails on KeepsAnswers;
    without_limits: limits_of_keys_are_named fails on HasNoLimits;
}
