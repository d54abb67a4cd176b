use underlay::{Keys, Recorded, View};

use super::MemberEvent;

/// The view of members: one row for each.
#[derive(Clone, Copy, Debug, Default)]
pub struct Members;

/// A member.
#[underlay::row]
pub struct MemberRow {
    /// The id.
    pub member: String,
    /// Where mail goes to.
    #[column(indexed)]
    pub email: String,
    /// `registered`, `invited`, or `verified`.
    #[column(indexed)]
    pub status: String,
    /// How many mails with a link were handed in.
    pub links_sent: i64,
}

impl View for Members {
    const NAME: &'static str = "members";
    type Event = MemberEvent;
    type Key = String;
    type Row = MemberRow;

    fn route(&self, event: &Recorded<MemberEvent>, keys: &mut Keys<String>) {
        keys.push(event.stream().id().to_owned());
    }

    fn fold(&self, key: &String, row: Option<MemberRow>, event: &Recorded<MemberEvent>) -> Option<MemberRow> {
        let begun = |email: &String, status: &str| MemberRow {
            member: key.clone(),
            email: email.clone(),
            status: status.to_owned(),
            links_sent: 0,
        };
        match (&event.event, row) {
            (MemberEvent::Registered { email }, _) => Some(begun(email, "registered")),
            (MemberEvent::Invited { email, .. }, _) => Some(begun(email, "invited")),
            (MemberEvent::LinkAsked { email }, Some(row)) => Some(MemberRow { email: email.clone(), ..row }),
            (MemberEvent::LinkSent { .. }, Some(row)) => {
                Some(MemberRow { links_sent: row.links_sent + 1, ..row })
            }
            (MemberEvent::Verified {}, Some(row)) => Some(MemberRow { status: "verified".to_owned(), ..row }),
            (_, None) => None,
        }
    }
}
