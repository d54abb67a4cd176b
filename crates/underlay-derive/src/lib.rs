//! The attributes a user of Underlay writes on the shapes that are stored and sent.
//!
//! - [`macro@event`] on an enum makes it a set of events;
//! - [`macro@command`] on an enum makes it a set of commands;
//! - [`macro@refusal`] on an enum or a struct makes it a way to say no;
//! - [`macro@row`] on a struct makes it a row of a view;
//! - [`macro@entity`] on a struct makes it a thing with an id that is stored as it is;
//! - [`macro@value`] on a struct or an enum makes it plain data that those hold;
//! - [`macro@snapshot`] on an aggregate lets its state be stored.
//!
//! Each derives `Clone`, `Debug` and `PartialEq` too, but for those that a `#[derive]` below it
//! names. What is stored never takes the name of a Rust type: names and versions are written out.
//!
//! The generated code reaches everything through `::underlay::core`. A crate that depends on
//! `underlay-core` alone says so: `#[event(crate = underlay_core)]`.
//!
//! ```
//! use underlay_core::{Command, Decimal, Event, Refusal, Row};
//! use underlay_derive::{command, event, refusal, row, value};
//!
//! #[value(crate = underlay_core)]
//! struct Money {
//!     amount: Decimal,
//!     commodity: String,
//! }
//!
//! #[event(crate = underlay_core)]
//! enum AccountEvent {
//!     #[event(name = "account-deposited", version = 1)]
//!     Deposited { money: Money },
//! }
//!
//! #[command(crate = underlay_core)]
//! enum AccountCommand {
//!     #[command(name = "withdraw")]
//!     Withdraw { amount: Decimal },
//!     #[command(name = "close")]
//!     Close,
//! }
//!
//! #[refusal(crate = underlay_core)]
//! enum AccountRefusal {
//!     #[refusal(code = "overdrawn", message = "the balance is {available}")]
//!     Overdrawn { available: Decimal },
//! }
//!
//! #[row(crate = underlay_core)]
//! struct Balance {
//!     #[column(indexed)]
//!     account: String,
//!     balance: Decimal,
//! }
//!
//! let money = Money { amount: Decimal::TEN, commodity: "EUR".to_owned() };
//! let deposited = AccountEvent::Deposited { money };
//! assert_eq!(deposited.encode()?.as_str(), r#"{"money":{"amount":"10","commodity":"EUR"}}"#);
//! assert_eq!(AccountCommand::decode("close", "")?, AccountCommand::Close);
//! let overdrawn = AccountRefusal::Overdrawn { available: Decimal::ONE };
//! assert_eq!((overdrawn.code(), overdrawn.to_string().as_str()), ("overdrawn", "the balance is 1"));
//! assert!(Balance::columns()[0].indexed);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod case;
mod column;
mod command;
mod data;
mod declaration;
mod entity;
mod event;
mod fields;
mod name;
mod payload;
mod problems;
mod refusal;
mod root;
mod row;
mod snapshot;
mod stub;
mod value;

use proc_macro::TokenStream;
use syn::DeriveInput;

use declaration::Attribute;
use root::Root;

/// Makes an enum a closed set of events: implements `Event`.
///
/// Every variant has a stored name and the version of its payload, from 1:
/// `#[event(name = "account-opened", version = 1)]`. Variants of one set have different names.
///
/// The payload is a JSON object of the fields, the value itself of a variant with one unnamed field,
/// and `{}` of a variant without fields. Field types need serde's two traits and schemars'
/// `JsonSchema`; `#[serde(…)]` and `#[schemars(…)]` on fields, and `#[serde(rename_all = "…")]` on a
/// variant, do what they do there. A field with `#[serde(with = "…")]` has a schema that allows
/// anything, unless `#[schemars(with = "…")]` says more. Fields of a payload that the variant does
/// not know are passed over.
///
/// A version above 1 names a step for each version before it, oldest first:
/// `#[event(name = "…", version = 3, upcasts(v1_to_v2, v2_to_v3))]`. A step is a
/// `fn(serde_json::Value) -> Result<serde_json::Value, String>`; its error says what does not fit.
///
/// `#[event(flatten)]` on a variant with one unnamed field, itself a set of events, adds that set: a
/// view folds the events of several aggregates so.
#[proc_macro_attribute]
pub fn event(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand(Attribute::Event, arguments, item, event::implement)
}

/// Makes an enum a closed set of commands: implements `Command`.
///
/// Every variant has a name, which addresses and stores hold: `#[command(name = "deposit")]`. With
/// `roles("teller", "manager")` beside it, whoever gives it from outside needs one of these roles;
/// without, everybody who is let in may.
///
/// The body is a JSON object of the fields, or the value itself of a variant with one unnamed field;
/// of a variant without fields it is empty, `null` or `{}`. A field that the variant does not know
/// is an error. Field types need what they need in [`macro@event`], and the attributes on them work as there.
#[proc_macro_attribute]
pub fn command(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand(Attribute::Command, arguments, item, command::implement)
}

/// Makes an enum or a struct a refusal: implements `Refusal`, `Error`, `Display` and `Serialize`.
///
/// Every variant has a code for programs and a sentence for people, which may name its fields:
/// `#[refusal(code = "overdrawn", message = "the balance is {available}")]`. On a struct the two
/// stand in the attribute itself. The JSON form is an object of the fields, whose types need what they need in
/// [`macro@event`] and, where the message names them, `Display`.
#[proc_macro_attribute]
pub fn refusal(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand(Attribute::Refusal, arguments, item, refusal::implement)
}

/// Makes a struct a row of a view: implements `Row`.
///
/// A field is a column of its name; its type is a `ColumnValue`. `#[column(indexed)]` lets queries
/// filter and sort by it, and `#[column(name = "…")]` keeps a stored name that is not the field's.
#[proc_macro_attribute]
pub fn row(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand(Attribute::Row, arguments, item, row::implement)
}

/// Makes a struct an entity, which repositories keep: implements `Entity` and `Persistent`.
///
/// `#[entity(name = "rate", version = 1)]` gives the stored name, in `a-z`, `0-9` and `_`, and the version of the
/// shape, from 1. One field is the id, with `#[id]`; its type is an `EntityId`: `String`, `Uuid`, a whole number or a
/// type of your own. One field is the version it was read at, with `#[version]`; its type is `EntityVersion`. Every
/// other field is a column, as in [`macro@row`]; `#[column(unique)]` makes its values unique within a tenant, and
/// indexed.
///
/// With `roles("teller", "manager")`, whoever reads or writes it from outside needs one of these roles.
///
/// Each column is a constant of the type, in capital letters: `Rate::BASE.eq("EUR").and(Rate::VALUE.gt(Decimal::ONE))`
/// is a `Specification<Rate>`.
///
/// `#[entity(…, of = Rate)]` on `RateRow` makes it the stored shape of `Rate`, which repositories hand out: `RateRow`
/// is `From<Rate>`, and `Rate` is `TryFrom<RateRow>`. Both stand in one crate.
///
/// ```
/// use underlay_core::{Decimal, Entity, EntityVersion};
/// use underlay_derive::entity;
///
/// #[entity(crate = underlay_core, name = "rate", version = 1)]
/// struct Rate {
///     #[id]
///     id: String,
///     #[version]
///     version: EntityVersion,
///     #[column(indexed)]
///     base: String,
///     value: Decimal,
///     note: Option<String>,
/// }
///
/// let dear = Rate::BASE.eq("EUR").and(Rate::VALUE.gt(Decimal::TEN)).and(Rate::NOTE.is_null());
/// let columns: Vec<String> = Rate::schema().columns.iter().map(|column| column.name.clone()).collect();
/// assert_eq!(columns, ["base", "value", "note"]);
/// dear.condition().validate(&Rate::schema())?;
/// # Ok::<(), underlay_core::Error>(())
/// ```
#[proc_macro_attribute]
pub fn entity(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand(Attribute::Entity, arguments, item, entity::implement)
}

/// Makes a struct or an enum plain data: what events, commands, refusals and states hold.
///
/// It derives serde's `Serialize` and `Deserialize` and schemars' `JsonSchema`, so that a service
/// needs neither crate for it. `#[serde(…)]` and `#[schemars(…)]` do what they do there, on the
/// whole, on variants and on fields: `#[serde(try_from = "String", into = "String")]` checks what is
/// read. A field or variant with `#[serde(with = "…")]` has a schema that allows anything, unless
/// `#[schemars(with = "…")]` says more.
///
/// The JSON form is serde's. Fields and variants are stored by their names;
/// `#[serde(rename = "…")]` keeps a stored name that is no longer the one in the code.
#[proc_macro_attribute]
pub fn value(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand(Attribute::Value, arguments, item, value::implement)
}

/// Lets the state of an aggregate be stored: implements `SnapshotState`.
///
/// `#[snapshot(every = 100)]` on the aggregate's struct or enum stores its state each time a stream
/// has grown by that many events, at least 1, where the service is told to: `Service::snapshots`. It
/// derives what [`macro@value`] does, and `#[serde(…)]` and `#[schemars(…)]` work as there. What
/// `#[serde(skip)]` leaves out is not stored: a state read back holds its default.
///
/// A stored state is used only while the definition it was taken by is today's: not after a change
/// of the fields, of the values in them, or of a version of an event. `version = 2`, from 1, says
/// that `evolve` changed in a way they do not show.
#[proc_macro_attribute]
pub fn snapshot(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand(Attribute::Snapshot, arguments, item, snapshot::implement)
}

/// The declaration as the user wrote it, without the attributes that are only ours, and what was
/// written for it. It stays where there are errors, with something in place of the rest, so that they are the only ones.
fn expand(
    attribute: Attribute,
    arguments: TokenStream,
    item: TokenStream,
    implement: fn(&mut Root, proc_macro2::TokenStream, &DeriveInput) -> syn::Result<proc_macro2::TokenStream>,
) -> TokenStream {
    let input = match syn::parse::<DeriveInput>(item.clone()) {
        Ok(input) => input,
        Err(error) => {
            let (item, error) = (proc_macro2::TokenStream::from(item), error.into_compile_error());
            return quote::quote!(#item #error).into();
        }
    };
    let mut root = Root::default();
    // What comes first is told first.
    let (first, implementation) = match implement(&mut root, arguments.into(), &input) {
        Ok(implementation) => (fields::check(attribute, &root, &input), implementation),
        Err(error) => (error.into_compile_error(), stub::implement(attribute, &root, &input)),
    };
    let declaration = declaration::declare(attribute, &root, input);
    quote::quote!(#first #declaration #implementation).into()
}
