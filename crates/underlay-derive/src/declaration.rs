use proc_macro2::TokenStream;
use quote::quote;
use syn::{Data, DeriveInput, Fields, Meta, Path};

/// One of the attributes of this crate.
#[derive(Clone, Copy)]
pub(crate) enum Attribute {
    Event,
    Command,
    Refusal,
    Row,
}

impl Attribute {
    /// The attribute on variants or fields that goes with it.
    pub(crate) fn inner(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Command => "command",
            Self::Refusal => "refusal",
            Self::Row => "column",
        }
    }

    /// The attributes of other crates that the generated payloads follow.
    fn followed(self) -> &'static [&'static str] {
        match self {
            Self::Event => &["serde", "schemars"],
            Self::Command | Self::Refusal => &["serde"],
            Self::Row => &[],
        }
    }
}

/// The declaration for the compiler: with the derives it lacks, and without the attributes that
/// nothing but this crate reads.
pub(crate) fn declare(attribute: Attribute, mut input: DeriveInput) -> TokenStream {
    let derived = derived(&input);
    let lacks = |name: &str| !derived.iter().any(|have| have == name);
    let mut ours = vec![attribute.inner()];
    ours.extend(attribute.followed().iter().filter(|name| !is_read(name, &derived)));
    let derives: Vec<Path> = [
        ("Clone", syn::parse_quote!(::core::clone::Clone)),
        ("Debug", syn::parse_quote!(::core::fmt::Debug)),
        ("PartialEq", syn::parse_quote!(::core::cmp::PartialEq)),
    ]
    .into_iter()
    .filter_map(|(name, path)| lacks(name).then_some(path))
    .collect();

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
    quote!(#[derive(#(#derives),*)] #input)
}

/// The last segments of what the user derives below the attribute.
fn derived(input: &DeriveInput) -> Vec<String> {
    let mut names = Vec::new();
    for attribute in input.attrs.iter().filter(|attribute| attribute.path().is_ident("derive")) {
        // A derive that cannot be read is reported by the compiler.
        let _ = attribute.parse_nested_meta(|meta| {
            names.extend(meta.path.segments.last().map(|segment| segment.ident.to_string()));
            Ok(())
        });
    }
    names
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
