use underlay::{
    Engine, Error, ExecuteError, LinkAnswer, LinkPage, OpenedLink, Request, Timestamp, async_trait,
};

use super::{InvalidMemberId, Member, MemberCommand, MemberId, MemberRefusal};

/// The name of the page.
pub(super) const PAGE: &str = "member";
const VERIFIED: &str = "Thank you";

/// Where the link in a mail to a member leads.
#[derive(Clone, Copy, Debug, Default)]
pub struct MemberPage;

#[async_trait]
impl LinkPage for MemberPage {
    fn name(&self) -> &'static str {
        PAGE
    }

    async fn show(&self, _engine: &Engine, link: &OpenedLink) -> Result<LinkAnswer, Error> {
        let text = format!(
            "This confirms that the mail to member {} has reached you, and that you want to take part.",
            link.target.subject
        );
        Ok(LinkAnswer::new("Please confirm your address", text).with_button("Confirm"))
    }

    async fn confirm(&self, engine: &Engine, link: &OpenedLink) -> Result<LinkAnswer, Error> {
        let wrong = |error: InvalidMemberId| Error::invalid(error.to_string());
        let member: MemberId = link.target.subject.parse().map_err(wrong)?;
        let command = MemberCommand::FollowLink { secret: link.secret.clone() };
        let request = Request::new(link.target.tenant.clone());
        let executed = engine.execute::<Member>(&request, &member, command).await;
        match executed {
            Ok(executed) if executed.events.is_empty() => Ok(LinkAnswer::new(
                VERIFIED,
                format!("The address of member {member} was confirmed before. There is nothing left to do."),
            )),
            Ok(_) => Ok(LinkAnswer::new(VERIFIED, format!("The address of member {member} is confirmed."))),
            Err(ExecuteError::Refused(refusal)) => Ok(refused(&member, &refusal)),
            Err(ExecuteError::Ended(ended)) => Err(Error::invalid(ended.to_string())),
            Err(ExecuteError::Failed(error)) => Err(error),
        }
    }
}

/// What a refusal means to whoever pressed the button.
fn refused(member: &MemberId, refusal: &MemberRefusal) -> LinkAnswer {
    match refusal {
        MemberRefusal::LinkOver { good_until } => LinkAnswer::new(
            "This link is no longer good",
            format!(
                "It was good until {}. Ask for another one, and the mail with it comes to the same address.",
                shown(*good_until)
            ),
        )
        .over(),
        // It is noted a moment after the mail was handed in. Or a later mail has gone to another address.
        MemberRefusal::NoSuchLink => LinkAnswer::new(
            "This link is not good, or not yet",
            "Where the mail has just arrived, please try again in a moment. Where another mail came later, please \
             use the link in that one.",
        )
        .not_yet(),
        other => LinkAnswer::new("That did not work", format!("Member {member}: {other}.")).over(),
    }
}

fn shown(moment: Timestamp) -> String {
    moment.strftime("%-d %B %Y at %H:%M UTC").to_string()
}
