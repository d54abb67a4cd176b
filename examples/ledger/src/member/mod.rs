//! Members: who registers or is invited gets a mail with a link, and who follows the link is verified.
//!
//! ```text
//!  register ─► registered ─┐                      ┌─► link opened in time ─► verified
//!                          ├─► mail ─► link noted ┤
//!  invite ───► invited ────┘     ▲                └─► link over ─► send-link ─┐
//!                                └────────────────────────────────────────────┘
//! ```
//!
//! A link holds a secret, which is made from the key of the service and the message that asks for the mail. So a mail
//! that is sent again has the same link. The member keeps its fingerprint alone, so the log holds no secret.

mod link_page;
mod list;
mod mails;
mod profile;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use underlay::words::Fingerprint;
use underlay::{Aggregate, Context, Decision, Mailbox, Timestamp};

pub use link_page::MemberPage;
pub use list::{MemberRow, Members};
pub use mails::{MemberMail, MemberMails, MemberMessage, MembersConfig, add_members};
pub use profile::{Join, Profile, join};

/// Characters in the id of a member.
pub const MEMBER_CHARS_MAX: usize = 64;
/// Characters in the name of whoever invites.
pub const INVITED_BY_CHARS_MAX: usize = 100;
/// Links that are sent to one member.
pub const LINKS_MAX: usize = 10;

/// The id of a member: 1 to [`MEMBER_CHARS_MAX`] letters, digits, `.`, `_` and `-`.
#[underlay::value]
#[derive(Eq, Hash, PartialOrd, Ord)]
#[serde(try_from = "String", into = "String")]
pub struct MemberId(String);

/// A text is not the id of a member.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("member {0:?} is not 1 to {MEMBER_CHARS_MAX} letters, digits, '.', '_' and '-'")]
pub struct InvalidMemberId(pub String);

impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for MemberId {
    type Err = InvalidMemberId;
    fn from_str(text: &str) -> Result<Self, InvalidMemberId> {
        Self::try_from(text.to_owned())
    }
}

impl TryFrom<String> for MemberId {
    type Error = InvalidMemberId;
    fn try_from(text: String) -> Result<Self, InvalidMemberId> {
        let of_id = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        let well_formed = (1..=MEMBER_CHARS_MAX).contains(&text.len()) && text.bytes().all(of_id);
        if well_formed { Ok(Self(text)) } else { Err(InvalidMemberId(text)) }
    }
}

impl From<MemberId> for String {
    fn from(member: MemberId) -> Self {
        member.0
    }
}

/// What can happen to a member.
#[underlay::event]
#[derive(Eq)]
pub enum MemberEvent {
    /// Somebody registered.
    #[event(name = "member-registered", version = 1)]
    Registered {
        /// Where mail goes to. Nobody knows yet whose it is.
        email: String,
    },
    /// Somebody was invited.
    #[event(name = "member-invited", version = 1)]
    Invited {
        /// Where mail goes to.
        email: String,
        /// Who invites.
        by: String,
    },
    /// Another link was asked for.
    #[event(name = "member-link-asked", version = 1)]
    LinkAsked {
        /// Where mail goes to from now on.
        email: String,
    },
    /// A mail with a link was handed in.
    #[event(name = "member-link-sent", version = 1)]
    LinkSent {
        /// The fingerprint of the secret in the link.
        fingerprint: String,
        /// Until when the link is good.
        good_until: Timestamp,
    },
    /// Whoever reads the mail has followed the link.
    #[event(name = "member-verified", version = 1)]
    Verified {},
}

/// What can be asked of a member.
#[underlay::command]
#[derive(Eq)]
pub enum MemberCommand {
    /// Registers. A mail with a link goes to the address.
    #[command(name = "register")]
    Register {
        /// Such as `ann@example.com`.
        email: String,
    },
    /// Invites somebody. A mail with a link goes to the address.
    #[command(name = "invite")]
    Invite {
        /// Such as `ann@example.com`.
        email: String,
    },
    /// Sends another link, to another address where one is named: the first was mistyped, say.
    #[command(name = "send-link")]
    SendLink {
        /// Such as `ann@example.com`; left out it is the one before.
        #[serde(default)]
        email: Option<String>,
    },
    /// Notes that a link was sent.
    #[command(name = "note-link", roles("members"))]
    NoteLink {
        /// The address it was sent to.
        email: String,
        /// The fingerprint of its secret.
        fingerprint: String,
        /// For how long it is good.
        seconds: u32,
    },
    /// Follows a link.
    #[command(name = "follow-link")]
    FollowLink {
        /// The secret of the link.
        secret: String,
    },
}

/// What a member says no with.
#[underlay::refusal]
#[derive(Eq)]
pub enum MemberRefusal {
    /// There is a member of that id.
    #[refusal(code = "already-known", message = "there is a member of this id already")]
    AlreadyKnown,
    /// There is none.
    #[refusal(code = "not-known", message = "nobody of this id has registered or was invited")]
    NotKnown,
    /// Nothing is left to verify.
    #[refusal(code = "already-verified", message = "the member is verified already")]
    AlreadyVerified,
    /// A text is no address.
    #[refusal(code = "no-address", message = "{reason}")]
    NoAddress {
        /// What is wrong with it.
        reason: String,
    },
    /// Too many mails would go to one address.
    #[refusal(code = "too-many-links", message = "{sent} links were sent to this member, and no more are")]
    TooManyLinks {
        /// How many were.
        sent: u64,
    },
    /// No such link was sent, as far as is known here.
    #[refusal(code = "no-such-link", message = "no such link is known to have been sent to this member")]
    NoSuchLink,
    /// It came too late.
    #[refusal(code = "link-over", message = "the link was good until {good_until}")]
    LinkOver {
        /// Until when it was good.
        good_until: Timestamp,
    },
}

/// A member.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Member {
    /// Where mail goes to; none where nobody of this id is known.
    email: Option<String>,
    is_verified: bool,
    /// Mails that were asked for.
    asked: usize,
    /// Until when each link is good that was sent to this address, by its fingerprint.
    links: BTreeMap<String, Timestamp>,
}

/// What is kept of the secret of a link.
#[must_use]
pub fn link_fingerprint(secret: &str) -> String {
    Fingerprint::of([b"member-link".as_slice(), secret.as_bytes()]).to_string()
}

fn checked(email: String) -> Result<String, MemberRefusal> {
    match Mailbox::new(email.as_str()) {
        Ok(_) => Ok(email),
        Err(error) => Err(MemberRefusal::NoAddress { reason: error.to_string() }),
    }
}

impl Member {
    fn known(&self) -> Result<&str, MemberRefusal> {
        self.email.as_deref().ok_or(MemberRefusal::NotKnown)
    }

    fn unless_known(&self, email: String) -> Result<String, MemberRefusal> {
        if self.email.is_some() { Err(MemberRefusal::AlreadyKnown) } else { checked(email) }
    }

    fn send_link(&self, email: Option<String>) -> Result<MemberEvent, MemberRefusal> {
        let known = self.known()?;
        if self.is_verified {
            return Err(MemberRefusal::AlreadyVerified);
        }
        if self.asked >= LINKS_MAX {
            return Err(MemberRefusal::TooManyLinks { sent: self.asked as u64 });
        }
        Ok(MemberEvent::LinkAsked { email: checked(email.unwrap_or_else(|| known.to_owned()))? })
    }

    fn follow_link(&self, secret: &str, now: Timestamp) -> Result<Option<MemberEvent>, MemberRefusal> {
        self.known()?;
        let good_until = *self.links.get(&link_fingerprint(secret)).ok_or(MemberRefusal::NoSuchLink)?;
        match self.is_verified {
            true => Ok(None),
            false if now > good_until => Err(MemberRefusal::LinkOver { good_until }),
            false => Ok(Some(MemberEvent::Verified {})),
        }
    }
}

/// Who gives a command, as a mail names them.
fn shown_name(context: &Context) -> String {
    let name = context.actor.name.as_deref().unwrap_or("A member");
    let plain = name.chars().filter(|c| !c.is_control()).take(INVITED_BY_CHARS_MAX).collect::<String>();
    if plain.trim().is_empty() { "A member".to_owned() } else { plain }
}

impl Aggregate for Member {
    const CATEGORY: &'static str = "member";
    type Id = MemberId;
    type Command = MemberCommand;
    type Event = MemberEvent;
    type Refusal = MemberRefusal;

    fn decide(
        &self,
        command: MemberCommand,
        context: &Context,
    ) -> Result<Decision<MemberEvent>, MemberRefusal> {
        let event = match command {
            MemberCommand::Register { email } => MemberEvent::Registered { email: self.unless_known(email)? },
            MemberCommand::Invite { email } => {
                MemberEvent::Invited { email: self.unless_known(email)?, by: shown_name(context) }
            }
            MemberCommand::SendLink { email } => self.send_link(email)?,
            MemberCommand::NoteLink { email, fingerprint, seconds } => {
                // Whoever has what was sent to another address could verify this one by it.
                if self.known()? != email || self.links.contains_key(&fingerprint) {
                    return Ok(Decision::nothing());
                }
                let good_for = Duration::from_secs(seconds.into());
                let good_until = context.now.saturating_add(good_for).unwrap_or(Timestamp::MAX);
                MemberEvent::LinkSent { fingerprint, good_until }
            }
            MemberCommand::FollowLink { secret } => match self.follow_link(&secret, context.now)? {
                Some(event) => event,
                None => return Ok(Decision::nothing()),
            },
        };
        Ok(event.into())
    }

    fn evolve(&mut self, event: &MemberEvent) {
        match event {
            MemberEvent::Registered { email }
            | MemberEvent::Invited { email, .. }
            | MemberEvent::LinkAsked { email } => {
                if self.email.as_ref() != Some(email) {
                    self.links.clear();
                }
                self.email = Some(email.clone());
                self.asked += 1;
            }
            MemberEvent::LinkSent { fingerprint, good_until } => {
                self.links.insert(fingerprint.clone(), *good_until);
            }
            MemberEvent::Verified {} => self.is_verified = true,
        }
    }
}
