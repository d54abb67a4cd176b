//! Members by themselves: what they decide, and the view of them.

use std::time::Duration;

use ledger::member::{
    LINKS_MAX, Member, MemberCommand, MemberEvent, MemberId, MemberRefusal, link_fingerprint,
};
use underlay::{Actor, Decision, Timestamp};
use underlay_testkit::given;

const ANN: &str = "ann@example.com";
const SECRET: &str = "a secret";

fn registered() -> MemberEvent {
    MemberEvent::Registered { email: ANN.to_owned() }
}

fn sent(secret: &str, seconds: u64) -> MemberEvent {
    MemberEvent::LinkSent { fingerprint: link_fingerprint(secret), good_until: after(seconds) }
}

fn after(seconds: u64) -> Timestamp {
    Timestamp::UNIX_EPOCH.saturating_add(Duration::from_secs(seconds)).unwrap()
}

fn note(email: &str) -> MemberCommand {
    MemberCommand::NoteLink { email: email.to_owned(), fingerprint: link_fingerprint(SECRET), seconds: 60 }
}

fn follow(secret: &str) -> MemberCommand {
    MemberCommand::FollowLink { secret: secret.to_owned() }
}

fn send_link(email: Option<&str>) -> MemberCommand {
    MemberCommand::SendLink { email: email.map(str::to_owned) }
}

#[test]
fn somebody_registers_once_and_with_an_address() {
    let register = |email: &str| MemberCommand::Register { email: email.to_owned() };
    given::<Member>([]).when(register(ANN)).then([registered()]);
    given::<Member>([registered()]).when(register(ANN)).then_refused("already-known");
    for email in ["", "ann", "ann@example.com, bob@example.com", "ann@example.com\r\nBcc: bob@example.com"] {
        given::<Member>([]).when(register(email)).then_refused("no-address");
    }
    for id in ["", "a b", "a/b", "ä", &"a".repeat(65)] {
        assert!(id.parse::<MemberId>().is_err(), "{id}");
    }
}

#[test]
fn an_invitation_names_who_invites_and_nobody_chooses_that_name() {
    let invite = MemberCommand::Invite { email: ANN.to_owned() };
    let invited = |by: &str| MemberEvent::Invited { email: ANN.to_owned(), by: by.to_owned() };
    let by = |name: Option<&str>| Actor { name: name.map(str::to_owned), roles: Vec::new() };
    given::<Member>([]).by(by(Some("bob"))).when(invite.clone()).then([invited("bob")]);
    given::<Member>([]).by(by(None)).when(invite.clone()).then([invited("A member")]);
    given::<Member>([]).by(by(Some("b\r\nob"))).when(invite.clone()).then([invited("bob")]);
    given::<Member>([registered()]).when(invite).then_refused("already-known");
}

#[test]
fn a_link_verifies_once_and_in_time() {
    given::<Member>([registered()]).at(after(5)).when(note(ANN)).then([sent(SECRET, 65)]);
    given::<Member>([registered(), sent(SECRET, 60)]).when(note(ANN)).then([]);
    let given_link = || given::<Member>([registered(), sent(SECRET, 60)]);
    given_link().at(after(60)).when(follow(SECRET)).then([MemberEvent::Verified {}]);
    given_link().at(after(61)).when(follow(SECRET)).then_refused("link-over");
    given_link().when(follow("another secret")).then_refused("no-such-link");
    given_link().when(follow(&link_fingerprint(SECRET))).then_refused("no-such-link");
    given::<Member>([]).when(follow(SECRET)).then_refused("not-known");
    // Who opens it again is told so kindly, however late it is.
    let verified = given::<Member>([registered(), sent(SECRET, 60), MemberEvent::Verified {}]);
    verified.at(after(1_000)).when(follow(SECRET)).then([]);
}

#[test]
fn a_link_that_went_to_another_address_verifies_nothing() {
    let other = "ann@example.org";
    let moved = || [registered(), sent(SECRET, 60), MemberEvent::LinkAsked { email: other.to_owned() }];
    given::<Member>([registered(), sent(SECRET, 60)])
        .when(send_link(Some(other)))
        .then([MemberEvent::LinkAsked { email: other.to_owned() }]);
    given::<Member>(moved()).when(follow(SECRET)).then_refused("no-such-link");
    // A mail to the address before, handed in late.
    given::<Member>(moved()).when(note(ANN)).then([]);
    given::<Member>(moved()).when(note(other)).then([sent(SECRET, 60)]);
    // A link to the same address stays good beside a newer one.
    let again = MemberEvent::LinkAsked { email: ANN.to_owned() };
    given::<Member>([registered(), sent(SECRET, 60), again.clone()])
        .when(follow(SECRET))
        .then([MemberEvent::Verified {}]);
    given::<Member>([registered()]).when(send_link(None)).then([again]);
}

#[test]
fn nobody_is_sent_links_without_end() {
    let asked = || MemberEvent::LinkAsked { email: ANN.to_owned() };
    let many = || std::iter::once(registered()).chain((1..LINKS_MAX).map(|_| asked()));
    given::<Member>(many().take(LINKS_MAX - 1)).when(send_link(None)).then([asked()]);
    given::<Member>(many()).when(send_link(None)).then_refused("too-many-links");
    given::<Member>([registered(), sent(SECRET, 60), MemberEvent::Verified {}])
        .when(send_link(None))
        .then_refused("already-verified");
    given::<Member>([]).when(send_link(None)).then_refused("not-known");
    let told = given::<Member>([registered()]).when(send_link(Some("ann"))).result();
    let Err(MemberRefusal::NoAddress { reason }) = told.map(Decision::into_parts) else {
        panic!("an address that is none was taken")
    };
    assert!(reason.contains("ann@example.com"), "{reason}");
}
