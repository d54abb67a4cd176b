use std::mem;

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::{Data, DeriveInput, Fields, Meta, Path, parse_quote};

use crate::case::of_name;
use crate::data;
use crate::root::Root;

/// One of the attributes of this crate.
#[derive(Clone, Copy)]
pub(crate) enum Attribute {
    Event,
    Command,
    Refusal,
    Row,
    Entity,
    Snapshot,
    Value,
}

impl Attribute {
    /// Their names.
    const NAMES: [&str; 7] = ["event", "command", "refusal", "row", "entity", "snapshot", "value"];

    /// Those on a variant or field that go with it.
    pub(crate) fn inner_of(self, attributes: &[syn::Attribute]) -> Vec<syn::Attribute> {
        self.inner().first().map(|name| of_name(attributes, name)).unwrap_or_default()
    }

    /// The attributes on variants or fields that nothing but this crate reads; the first takes arguments.
    fn inner(self) -> &'static [&'static str] {
        match self {
            Self::Event => &["event"],
            Self::Command => &["command"],
            Self::Refusal => &["refusal"],
            Self::Row => &["column"],
            Self::Entity => &["column", "id", "version"],
            Self::Snapshot | Self::Value => &[],
        }
    }

    /// Whether the declared type itself is written and read by serde.
    fn is_data(self) -> bool {
        matches!(self, Self::Snapshot | Self::Value)
    }

    /// The attributes of other crates that the generated payloads follow.
    fn followed(self) -> &'static [&'static str] {
        match self {
            Self::Event | Self::Command | Self::Refusal => &["serde", "schemars"],
            Self::Row | Self::Entity | Self::Snapshot | Self::Value => &[],
        }
    }
}

/// The declaration for the compiler: with the derives it lacks, and without the attributes that
/// nothing but this crate reads.
pub(crate) fn declare(attribute: Attribute, root: &Root, mut input: DeriveInput) -> TokenStream {
    let derived = derived(&input);
    let mut ours: Vec<&str> = attribute.inner().to_vec();
    ours.extend(attribute.followed().iter().filter(|name| !is_read(name, &derived)));
    let strip = |attributes: &mut Vec<syn::Attribute>| {
        attributes.retain(|attribute| !ours.iter().any(|name| attribute.path().is_ident(name)));
    };
    let strip_fields = |fields: &mut Fields| fields.iter_mut().for_each(|field| strip(&mut field.attrs));
    strip(&mut input.attrs);
    match &mut input.data {
        Data::Struct(data) => strip_fields(&mut data.fields),
        Data::Enum(data) => data.variants.iter_mut().for_each(|variant| {
            strip(&mut variant.attrs);
            strip_fields(&mut variant.fields);
        }),
        Data::Union(_) => {}
    }
    derive(attribute, root, &derived, &mut input);
    input.into_token_stream()
}

/// Adds the derives that the declaration lacks. Another attribute of this crate that stands below
/// stays above them, so that it sees what is there already.
fn derive(attribute: Attribute, root: &Root, derived: &[String], input: &mut DeriveInput) {
    if matches!(input.data, Data::Union(_)) {
        return; // It is refused; derives would only add errors of their own.
    }
    let mut lacking: Vec<Path> = vec![
        parse_quote!(::core::clone::Clone),
        parse_quote!(::core::fmt::Debug),
        parse_quote!(::core::cmp::PartialEq),
    ];
    if attribute.is_data() {
        lacking.extend(data::derives(root));
    }
    lacking.retain(|path| !last_segment(path).is_some_and(|name| derived.contains(&name)));
    if lacking.is_empty() {
        return;
    }
    let (mut attributes, others): (Vec<_>, Vec<_>) =
        mem::take(&mut input.attrs).into_iter().partition(|attribute| {
            last_segment(attribute.path()).is_some_and(|name| Attribute::NAMES.contains(&name.as_str()))
        });
    attributes.push(parse_quote!(#[derive(#(#lacking),*)]));
    if attribute.is_data() {
        attributes.extend(data::crates(root, &others, derived));
        data::describe(root, &mut input.data);
    }
    attributes.extend(others);
    input.attrs = attributes;
}

/// The last segments of what the user derives below the attribute.
fn derived(input: &DeriveInput) -> Vec<String> {
    let mut names = Vec::new();
    for attribute in input.attrs.iter().filter(|attribute| attribute.path().is_ident("derive")) {
        // A derive that cannot be read is reported by the compiler.
        let _ = attribute.parse_nested_meta(|meta| {
            names.extend(last_segment(&meta.path));
            Ok(())
        });
    }
    names
}

fn last_segment(path: &Path) -> Option<String> {
    path.segments.last().map(|segment| segment.ident.to_string())
}

/// Whether a derive of the user's own reads the attributes of this name too.
fn is_read(attribute: &str, derived: &[String]) -> bool {
    derived.iter().any(|derive| match derive.as_str() {
        "JsonSchema" => true,
        "Serialize" | "Deserialize" => attribute == "serde",
        _ => false,
    })
}

/// Refuses what no declaration can have: generics, and attributes on the whole that nobody would
/// read.
pub(crate) fn check(attribute: Attribute, input: &DeriveInput) -> syn::Result<()> {
    if !input.generics.params.is_empty() {
        return Err(syn::Error::new_spanned(
            &input.generics,
            "a stored shape is one type; generics cannot stand here",
        ));
    }
    let derived = derived(input);
    let unread = attribute.followed().iter().filter(|name| !is_read(name, &derived)).find_map(|name| {
        input.attrs.iter().find(|attribute| attribute.path().is_ident(name)).map(|found| (name, found))
    });
    match unread {
        Some((name, found)) => {
            Err(syn::Error::new_spanned(found, format!("`#[{name}(…)]` stands on fields, not on the whole")))
        }
        None => Ok(()),
    }
}

/// Refuses `#[cfg]` on a variant or field.
pub(crate) fn check_unconditional(attributes: &[syn::Attribute]) -> syn::Result<()> {
    let conditional = attributes.iter().find(|attribute| match &attribute.meta {
        Meta::List(list) => list.path.is_ident("cfg") || list.path.is_ident("cfg_attr"),
        Meta::Path(_) | Meta::NameValue(_) => false,
    });
    match conditional {
        Some(attribute) => Err(syn::Error::new_spanned(
            attribute,
            "what is stored or sent is the same in every build; `#[cfg]` cannot stand here",
        )),
        None => Ok(()),
    }
}
