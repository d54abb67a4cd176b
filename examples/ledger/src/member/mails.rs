//! The mails to members: drawn from events, and sent with a link.
//!
//! What happens when something fails: a mail server that is away, or full, or lets nobody in, is tried again with
//! longer and longer pauses, for about five days. An address that is refused for good makes a dead letter at once, and so
//! does what no attempt mends. Every attempt sends the same mail, under the same `Message-ID` and with the same link.

use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;
use underlay::domain::Attempts;
use underlay::words::options::{ConfigOption, Configurable, Place};
use underlay::{
    Delivery, Draw, Drawing, Error, Handled, Handler, HandlerError, LinkTarget, Links, Mail, MailError,
    Mailbox, Outgoing, Service, Template,
};

use super::link_page::PAGE;
use super::{Member, MemberCommand, MemberEvent, MemberId, MemberPage, Members, link_fingerprint};

/// How long a link is good where nothing else is said.
const LINK_GOOD_FOR: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// The longest that it may be: `note-link` has it in seconds.
const LINK_GOOD_FOR_MAX: Duration = Duration::from_secs(366 * 24 * 60 * 60);
/// Units of time for people, the longest first, in seconds.
const TIMES: [(u64, &str); 4] = [(86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")];

/// The options of members.
#[derive(Clone, Debug)]
pub struct MembersConfig {
    /// How long a link is good after its mail was handed in.
    pub link_good_for: Duration,
}

impl Default for MembersConfig {
    fn default() -> Self {
        Self { link_good_for: LINK_GOOD_FOR }
    }
}

impl Configurable for MembersConfig {
    const OPTIONS: &'static [ConfigOption<Self>] = &[ConfigOption::<Self>::new(
        "link_good_for",
        "How long a link to verify a member is good after its mail was handed in",
        |config| Place::Time(&mut config.link_good_for),
    )
    .at_least(1_000)
    .at_most(LINK_GOOD_FOR_MAX.as_millis() as u64)];
}

/// Adds members to a service that has mail and links.
///
/// # Errors
/// [`Error::Invalid`] where it has none, or a template is none.
pub fn add_members(service: Service, config: MembersConfig) -> Result<Service, Error> {
    let handler = MemberMail::new(service.mail()?, service.links()?, config)?;
    Ok(service.aggregate::<Member>().view(Members).draw(MemberMails).handler(handler).link_page(MemberPage))
}

/// What a mail to a member is about.
#[underlay::event]
#[derive(Eq)]
pub enum MemberMessage {
    /// Asks whoever reads the mail to verify the address.
    #[event(name = "verify-address", version = 1)]
    Verify {
        /// The member.
        member: MemberId,
        /// Where the mail goes to.
        email: String,
    },
    /// Invites whoever reads the mail.
    #[event(name = "invite-member", version = 1)]
    Invite {
        /// The member.
        member: MemberId,
        /// Where the mail goes to.
        email: String,
        /// Who invites.
        by: String,
    },
}

/// Draws the mails that follow from what happens to members.
#[derive(Clone, Copy, Debug, Default)]
pub struct MemberMails;

impl Draw for MemberMails {
    type Event = MemberEvent;

    fn draw(&self, event: &MemberEvent, drawing: Drawing<'_>) -> Vec<Outgoing> {
        // The id of the stream was one of a member when the event was decided.
        let Ok(member) = drawing.stream.id().parse::<MemberId>() else { return Vec::new() };
        let key = member.to_string();
        let message = match event.clone() {
            MemberEvent::Registered { email } | MemberEvent::LinkAsked { email } => {
                MemberMessage::Verify { member, email }
            }
            MemberEvent::Invited { email, by } => MemberMessage::Invite { member, email, by },
            MemberEvent::LinkSent { .. } | MemberEvent::Verified {} => return Vec::new(),
        };
        vec![Outgoing::message::<MemberMail>(key, &message)]
    }
}

/// What a verification says.
#[derive(Debug, Serialize, JsonSchema)]
struct Verification {
    member: String,
    link: String,
    good_for: String,
}

/// What an invitation says.
#[derive(Debug, Serialize, JsonSchema)]
struct Invitation {
    by: String,
    member: String,
    link: String,
    good_for: String,
}

/// Sends mail to members.
pub struct MemberMail {
    mail: Arc<dyn Mail>,
    links: Links,
    link_good_for: Duration,
    verification: Template<Verification>,
    invitation: Template<Invitation>,
}

impl std::fmt::Debug for MemberMail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemberMail").field("links", &self.links).finish_non_exhaustive()
    }
}

impl MemberMail {
    /// Sends by `mail`, with links of `links`.
    ///
    /// # Errors
    /// [`Error::Invalid`] where a template is none.
    pub fn new(mail: Arc<dyn Mail>, links: Links, config: MembersConfig) -> Result<Self, Error> {
        let verification = Template::new("verification", include_str!("templates/verification.txt"))?
            .with_html(include_str!("templates/verification.html"))?;
        let invitation = Template::new("invitation", include_str!("templates/invitation.txt"))?
            .with_html(include_str!("templates/invitation.html"))?;
        Ok(Self { mail, links, link_good_for: config.link_good_for, verification, invitation })
    }

    /// For how long links are good, for people.
    fn good_for(&self) -> String {
        let seconds = self.link_good_for.as_secs();
        let fitting = TIMES.iter().find(|(unit, _)| seconds >= *unit && seconds.is_multiple_of(*unit));
        let (unit, name) = fitting.unwrap_or(&TIMES[3]);
        let count = seconds / unit;
        format!("{count} {name}{}", if count == 1 { "" } else { "s" })
    }
}

impl Handler for MemberMail {
    const NAME: &'static str = "member-mail";
    type Message = MemberMessage;

    fn attempts(&self) -> Attempts {
        // Pauses are up to an hour and half of that on average: a server may be away over a long weekend.
        let minute = Duration::from_secs(60);
        Attempts { attempts_max: 250, delay_max: minute * 60, timeout: minute, ..Attempts::default() }
    }

    async fn handle(&self, message: MemberMessage, delivery: &Delivery) -> Result<Handled, HandlerError> {
        let (member, email) = match &message {
            MemberMessage::Verify { member, email } | MemberMessage::Invite { member, email, .. } => {
                (member.clone(), email.clone())
            }
        };
        let target = LinkTarget {
            page: PAGE.to_owned(),
            tenant: delivery.tenant.clone(),
            subject: member.to_string(),
            id: delivery.work_id.0,
        };
        // Where it has no key or no address, a person mends that, and the mail waits until then.
        let secret = self.links.secret(&target).map_err(HandlerError::passing)?;
        let link = self.links.address(&target).map_err(HandlerError::passing)?;
        let (to, good_for) = (Mailbox::new(email.as_str())?, self.good_for());
        let name = member.to_string();
        let mail = match message {
            MemberMessage::Verify { .. } => {
                self.verification.render(to, &Verification { member: name, link, good_for })?
            }
            MemberMessage::Invite { by, .. } => {
                self.invitation.render(to, &Invitation { by, member: name, link, good_for })?
            }
        };
        self.mail.send(&delivery.idempotency_key(), &mail).await.map_err(given_up)?;
        let seconds = u32::try_from(self.link_good_for.as_secs()).unwrap_or(u32::MAX);
        let note = MemberCommand::NoteLink { email, fingerprint: link_fingerprint(&secret), seconds };
        Ok(Handled::done().send(Outgoing::command::<Member>(&member, &note)))
    }
}

fn given_up(error: MailError) -> HandlerError {
    if error.is_final() { HandlerError::last(error) } else { HandlerError::passing(error) }
}
