//! The reference service of Underlay: a double-entry ledger for many tenants.
//!
//! [`account`], [`transfer`], [`entry`] and [`payment`] are the domain, [`gateway`] is who is asked to charge a
//! payment, [`member`] is who takes part and gets mail, [`rate`] and [`statement_template`] are kept as they are, [`balances`]
//! is what is read, [`journal`] and [`import`] take in the journals of plain-text accounting. [`service`] puts it together.

pub mod account;
pub mod balances;
pub mod balances_command;
pub mod entry;
pub mod gateway;
pub mod import;
pub mod journal;
pub mod member;
pub mod money;
pub mod payment;
pub mod rate;
pub mod statement_template;
pub mod transfer;

use std::time::Duration;

use underlay::Service;

use crate::account::Account;
use crate::balances::Balances;
use crate::balances_command::PrintBalances;
use crate::entry::PostEntry;
use crate::gateway::{GatewayConfig, add_payments};
use crate::import::Import;
use crate::member::{Join, MembersConfig, Profile, add_members};
use crate::rate::Rate;
use crate::statement_template::StatementTemplate;
use crate::transfer::Transfer;

/// The ledger: its domain, its view and its commands.
#[must_use]
pub fn service() -> Service {
    Service::new("ledger")
        .aggregate::<Account>()
        .snapshots::<Account>()
        .operation::<Transfer>()
        .operation::<PostEntry>()
        .view(Balances)
        // region: entities
        .entity_cached::<Rate>(Duration::from_secs(30))
        .entity::<Profile>()
        .entity::<StatementTemplate>()
        // endregion: entities
        // region: mail
        .sends_mail("folder:ledger.mail", "The Ledger <ledger@localhost>")
        .signs_links()
        .options("members", MembersConfig::default(), add_members)
        // endregion: mail
        .options("gateway", GatewayConfig::default(), add_payments)
        .command(Import)
        .command(PrintBalances)
        .command(Join)
        .about("A double-entry ledger: accounts, transfers and journal entries in any number of commodities.")
        .example("account/Assets:Cash/open", "{}")
        .example("account/Assets:Cash/deposit", r#"{"amount":"100","commodity":"EUR"}"#)
        .example("account/Assets:Cash/withdraw", r#"{"amount":"10","commodity":"EUR"}"#)
        .example("account/Assets:Savings/open", "{}")
        .example(
            "operations/transfer",
            r#"{"from":"Assets:Cash","to":"Assets:Savings","amount":"40","commodity":"EUR"}"#,
        )
        .example(
            "operations/post-entry",
            r#"{"date":"2026-01-31","description":"Rent","postings":[{"account":"Expenses:Rent","amount":"50","commodity":"EUR"},{"account":"Income:Gift","amount":"-50","commodity":"EUR"}]}"#,
        )
}
