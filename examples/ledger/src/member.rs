//! Members: register with an e-mail address, verify it by a link, invite others.
//!
//! A link holds a secret. The handler that sends the mail makes it from the service's key and the message, and
//! leaves only its fingerprint with the member, by a command that is stored with the settlement. So no event
//! holds a secret, and a mail that is sent again has the same link.

use std::fmt;
use std::str::FromStr;

use underlay::{Aggregate, Context, Decision, Draw, Drawing, Fingerprint, Outgoing};

use crate::mails::{Invitation, InvitationMessage, Verification, VerificationMessage};

/// Characters in the id of a member.
pub const MEMBER_CHARS_MAX: usize = 64;
/// Bytes in an e-mail address.
pub const EMAIL_BYTES_MAX: usize = 254;

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

/// What a link was sent for.
#[underlay::value]
#[derive(Copy, Eq)]
#[serde(rename_all = "snake_case")]
pub enum LinkFor {
    /// To verify the address of somebody who registered.
    Verification,
    /// To accept an invitation.
    Invitation,
}

/// What can happen to a member.
#[underlay::event]
#[derive(Eq)]
pub enum MemberEvent {
    /// Somebody registered.
    #[event(name = "member-registered", version = 1)]
    Registered {
        /// The address, not verified.
        email: String,
    },
    /// Somebody was invited.
    #[event(name = "member-invited", version = 1)]
    Invited {
        /// The address.
        email: String,
        /// Who invites.
        by: String,
    },
    /// A mail with a link has gone out.
    #[event(name = "member-link-sent", version = 1)]
    LinkSent {
        /// The fingerprint of the secret in the link.
        fingerprint: String,
        /// What it is for.
        link: LinkFor,
    },
    /// Whoever has the mail has used the link.
    #[event(name = "member-verified", version = 1)]
    Verified {},
}

/// What can be asked of a member.
#[underlay::command]
#[derive(Eq)]
pub enum MemberCommand {
    /// Registers; a mail with a link goes to the address.
    #[command(name = "register")]
    Register {
        /// The address.
        email: String,
    },
    /// Invites somebody; a mail with a link goes to the address.
    #[command(name = "invite")]
    Invite {
        /// The address.
        email: String,
        /// Who invites.
        by: String,
    },
    /// Notes the fingerprint of a link that was sent.
    #[command(name = "note-link", roles("members"))]
    NoteLink {
        /// The fingerprint of its secret.
        fingerprint: String,
        /// What it is for.
        link: LinkFor,
    },
    /// Uses a link.
    #[command(name = "verify")]
    Verify {
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
    /// Nobody registered or was invited.
    #[refusal(code = "not-known", message = "nobody of this id has registered or was invited")]
    NotKnown,
    /// A text is no address.
    #[refusal(code = "no-address", message = "this is no e-mail address; one looks like ann@example.com")]
    NoAddress,
    /// The link is not one that was sent.
    #[refusal(code = "wrong-link", message = "the link is not one that was sent to this member")]
    WrongLink,
}

/// A member.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Member {
    is_known: bool,
    is_verified: bool,
    /// Fingerprints of the links that were sent: one for each mail.
    links: Vec<String>,
}

/// The fingerprint of a link's secret.
#[must_use]
pub fn link_fingerprint(secret: &str) -> String {
    Fingerprint::of([b"member-link".as_slice(), secret.as_bytes()]).to_string()
}

fn checked(email: String) -> Result<String, MemberRefusal> {
    match underlay::Mailbox::new(email.as_str()) {
        Ok(_) if email.len() <= EMAIL_BYTES_MAX => Ok(email),
        _ => Err(MemberRefusal::NoAddress),
    }
}

impl Aggregate for Member {
    const CATEGORY: &'static str = "member";
    type Id = MemberId;
    type Command = MemberCommand;
    type Event = MemberEvent;
    type Refusal = MemberRefusal;

    fn decide(&self, command: MemberCommand, _context: &Context) -> Result<Decision<MemberEvent>, MemberRefusal> {
        let event = match command {
            MemberCommand::Register { .. } | MemberCommand::Invite { .. } if self.is_known => {
                return Err(MemberRefusal::AlreadyKnown);
            }
            MemberCommand::Register { email } => MemberEvent::Registered { email: checked(email)? },
            MemberCommand::Invite { email, by } => MemberEvent::Invited { email: checked(email)?, by },
            _ if !self.is_known => return Err(MemberRefusal::NotKnown),
            MemberCommand::NoteLink { fingerprint, .. } if self.links.contains(&fingerprint) => {
                return Ok(Decision::nothing());
            }
            MemberCommand::NoteLink { fingerprint, link } => MemberEvent::LinkSent { fingerprint, link },
            MemberCommand::Verify { secret } if !self.links.contains(&link_fingerprint(&secret)) => {
                return Err(MemberRefusal::WrongLink);
            }
            MemberCommand::Verify { .. } if self.is_verified => return Ok(Decision::nothing()),
            MemberCommand::Verify { .. } => MemberEvent::Verified {},
        };
        Ok(event.into())
    }

    fn evolve(&mut self, event: &MemberEvent) {
        match event {
            MemberEvent::Registered { .. } | MemberEvent::Invited { .. } => self.is_known = true,
            MemberEvent::LinkSent { fingerprint, .. } => self.links.push(fingerprint.clone()),
            MemberEvent::Verified {} => self.is_verified = true,
        }
    }
}

/// Draws the mails that follow from what happens to members.
#[derive(Clone, Copy, Debug, Default)]
pub struct MemberMails;

impl Draw for MemberMails {
    type Event = MemberEvent;

    fn draw(&self, event: &MemberEvent, drawing: Drawing<'_>) -> Vec<Outgoing> {
        let member = drawing.stream.id().to_owned();
        match event {
            MemberEvent::Registered { email } => {
                let message = VerificationMessage::Verify { member: member.clone(), email: email.clone() };
                vec![Outgoing::message::<Verification>(member, &message)]
            }
            MemberEvent::Invited { email, by } => {
                let message =
                    InvitationMessage::Invite { member: member.clone(), email: email.clone(), by: by.clone() };
                vec![Outgoing::message::<Invitation>(member, &message)]
            }
            MemberEvent::LinkSent { .. } | MemberEvent::Verified {} => Vec::new(),
        }
    }
}
