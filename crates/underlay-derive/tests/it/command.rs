use serde_json::json;
use underlay_core::{Command, CommandDescriptor, CommandError, Decimal};
use underlay_derive::command;

#[command(crate = underlay_core)]
enum AccountCommand {
    #[command(name = "deposit")]
    Deposit { amount: Decimal, note: Option<String> },
    #[command(name = "set-floor")]
    SetFloor(Decimal),
    #[command(name = "close", roles("teller", "manager"))]
    Close,
}

fn deposit() -> AccountCommand {
    AccountCommand::Deposit { amount: Decimal::new(105, 1), note: None }
}

fn reason(name: &str, body: &str) -> String {
    match AccountCommand::decode(name, body).unwrap_err() {
        CommandError::Body { name: of, reason } => {
            assert_eq!(of, name);
            reason
        }
        CommandError::Unknown { .. } => panic!("{name} is known"),
    }
}

#[test]
fn every_shape_of_variant_is_written_and_read() {
    for (command, body) in [
        (deposit(), json!({"amount": "10.5", "note": null})),
        (AccountCommand::SetFloor(Decimal::ONE), json!("1")),
        (AccountCommand::Close, json!({})),
    ] {
        let written = command.encode().unwrap();
        assert_eq!(written.decode::<serde_json::Value>().unwrap(), body);
        assert_eq!(AccountCommand::decode(command.descriptor().name, written.as_str()), Ok(command));
    }
}

#[test]
fn names_are_as_declared() {
    let everybody = |name| CommandDescriptor { name, roles: &[] };
    let close = CommandDescriptor { name: "close", roles: &["teller", "manager"] };
    let descriptors = [everybody("deposit"), everybody("set-floor"), close];
    assert_eq!(AccountCommand::descriptors(), descriptors);
    assert_eq!(deposit().descriptor(), descriptors[0]);
    assert_eq!(AccountCommand::Close.descriptor(), close);
}

#[test]
fn an_unknown_name_is_answered_with_the_known_ones() {
    let error = AccountCommand::decode("Deposit", "{}").unwrap_err();
    assert_eq!(error.to_string(), r#"there is no command "Deposit"; there are: deposit, set-floor, close"#);
}

#[test]
fn a_command_without_fields_needs_no_body() {
    for body in ["", " \n", "null", "{}", " { } "] {
        assert_eq!(AccountCommand::decode("close", body), Ok(AccountCommand::Close), "{body:?}");
    }
    for body in ["[]", "0", r#""x""#, "{", "nul"] {
        assert!(AccountCommand::decode("close", body).is_err(), "{body:?}");
    }
    let reason = reason("close", r#"{"force": true}"#);
    assert!(reason.contains("unknown field `force`"), "{reason}");
}

#[test]
fn a_body_that_does_not_fit_says_what_and_where() {
    for (body, part) in [
        (r#"{"amount": "1", "amont": "1"}"#, "unknown field `amont`, expected `amount` or `note` at line 1"),
        ("{}", "missing field `amount`"),
        (r#"{"amount": "much"}"#, "line 1 column"),
        ("", "expected an object"),
        ("null", "expected an object"),
        (r#"["1", null]"#, "expected an object"),
        (r#"{"amount": "1"} x"#, "trailing characters"),
    ] {
        let reason = reason("deposit", body);
        assert!(reason.contains(part), "{body:?}: {reason}");
    }
}

#[test]
fn serde_attributes_on_fields_are_followed() {
    #[command(crate = underlay_core)]
    enum Renaming {
        #[command(name = "rename")]
        #[serde(rename_all = "camelCase")]
        Rename {
            new_name: String,
            #[serde(default = "one")]
            count: u32,
        },
    }
    fn one() -> u32 {
        1
    }
    let rename = Renaming::Rename { new_name: "n".to_owned(), count: 1 };
    assert_eq!(Renaming::decode("rename", r#"{"newName": "n"}"#), Ok(rename.clone()));
    assert_eq!(rename.encode().unwrap().as_str(), r#"{"newName":"n","count":1}"#);
}

#[test]
fn a_set_may_be_empty() {
    #[command(crate = underlay_core)]
    enum Nothing {}
    assert!(Nothing::descriptors().is_empty());
    assert!(matches!(Nothing::decode("x", ""), Err(CommandError::Unknown { known, .. }) if known.is_empty()));
}
