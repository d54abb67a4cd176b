//! The contract of [`Mail`](underlay_core::Mail): one case per sentence.
//!
//! A case takes a fixture whose mail nobody has used and panics where its sentence does not hold. They are
//! run by [`conformance!`](crate::conformance). An adapter that knows no addresses, such as a folder, passes
//! the cases of refused ones without a look.

mod absence;
mod answers;
mod arrival;
mod cancellation;
mod limits;
mod repeats;
mod subject;

pub use absence::mail_waits_for_who_is_away;
pub use answers::{
    a_refusal_for_good_is_final, a_refusal_for_now_may_pass, mails_at_the_same_time_all_arrive,
};
pub use arrival::{a_mail_arrives_whole, a_mail_without_a_sender_has_the_adapters, hostile_text_stays_text};
pub use cancellation::a_send_given_up_changes_no_other;
pub use limits::limits_of_keys_are_named;
pub use repeats::a_repeat_is_the_same_mail;

use crate::Case;

/// Every sentence with its case.
pub const CASES: &[Case] = crate::mail_cases! { conformance_list };

#[doc(hidden)]
#[macro_export]
macro_rules! mail_cases {
    ($callback:ident $($context:tt)*) => {
        $crate::$callback! { mail $($context)*;
            1 a_mail_arrives_whole
                "A mail arrives whole, in any script: sender, address, reply address, subject, text and HTML."
            2 a_repeat_is_the_same_mail
                "A mail under the same key arrives under the same id, also after reopening; under another key it is another mail."
            3 a_mail_without_a_sender_has_the_adapters
                "A mail without a sender has the adapter's."
            4 hostile_text_stays_text
                "Text that looks like a header, a protocol or a boundary stays text."
            5 a_refusal_for_good_is_final
                "An address that is refused for good is a final error, and nothing arrives."
            6 a_refusal_for_now_may_pass
                "An address that is refused for now is no final error, and the same mail arrives once it is taken."
            7 mail_waits_for_who_is_away
                "While nobody is there to take mail the error is not final, and the same mail arrives once somebody is."
            8 mails_at_the_same_time_all_arrive
                "Mails sent at the same time all arrive, each with its own answer."
            9 a_send_given_up_changes_no_other
                "A send that was given up midway changes no other: what is answered is true."
            10 limits_of_keys_are_named
                "A key that exceeds a limit is a final error with the limit's name."
        }
    };
}
