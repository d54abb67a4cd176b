use quote::format_ident;
use syn::{Attribute, Data, DeriveInput, Fields, Path, parse_quote};

use crate::declaration::check_unconditional;
use crate::payload::{has_argument, schema_of_anything};
use crate::problems;
use crate::root::Root;

/// The derives that let a type be written, read and described.
pub(crate) fn derives(root: &Root) -> [Path; 3] {
    [
        parse_quote!(#root::private::serde::Serialize),
        parse_quote!(#root::private::serde::Deserialize),
        parse_quote!(#root::private::schemars::JsonSchema),
    ]
}

/// Where those derives find what they use: what the user derives, or says, is left alone.
pub(crate) fn crates(root: &Root, attributes: &[Attribute], derived: &[String]) -> Vec<Attribute> {
    [("serde", ["Serialize", "Deserialize"].as_slice()), ("schemars", ["JsonSchema"].as_slice())]
        .into_iter()
        .filter(|(_, derives)| !derives.iter().all(|name| derived.iter().any(|have| have == name)))
        .filter(|(name, _)| !has_argument(attributes, name, &["crate"]))
        .map(|(name, _)| {
            let (attribute, path) = (format_ident!("{name}"), root.private(name));
            parse_quote!(#[#attribute(crate = #path)])
        })
        .collect()
}

/// Gives fields and variants that a module or function writes a schema that allows anything.
pub(crate) fn describe(root: &Root, data: &mut Data) {
    let describe = |attributes: &mut Vec<Attribute>| attributes.extend(schema_of_anything(root, attributes));
    let describe_fields =
        |fields: &mut Fields| fields.iter_mut().for_each(|field| describe(&mut field.attrs));
    match data {
        Data::Struct(data) => describe_fields(&mut data.fields),
        Data::Enum(data) => data.variants.iter_mut().for_each(|variant| {
            describe(&mut variant.attrs);
            describe_fields(&mut variant.fields);
        }),
        Data::Union(_) => {}
    }
}

/// Refuses what cannot be stored, or would not be the same in every build.
pub(crate) fn check(input: &DeriveInput) -> syn::Result<()> {
    let check_fields = |fields: &Fields| {
        problems::all(fields.iter().map(|field| check_unconditional(&field.attrs))).map(drop)
    };
    match &input.data {
        Data::Struct(data) => check_fields(&data.fields),
        Data::Enum(data) => problems::all(
            data.variants
                .iter()
                .flat_map(|variant| [check_unconditional(&variant.attrs), check_fields(&variant.fields)]),
        )
        .map(drop),
        Data::Union(_) => {
            let message = "what is stored is a struct or an enum: a union does not say what it holds";
            Err(syn::Error::new_spanned(&input.ident, message))
        }
    }
}
