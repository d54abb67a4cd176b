use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{Attribute, Data, DeriveInput, Field, Fields, Ident};

use crate::declaration::check_unconditional;

/// A variant of an enum, or a whole struct: one shape of payload.
pub(crate) struct Case {
    /// The variant's name, or the struct's.
    pub(crate) ident: Ident,
    /// What constructs it: `Self::Opened`, or `Self`.
    pub(crate) path: TokenStream,
    /// Its documentation.
    pub(crate) docs: Vec<Attribute>,
    /// Its `#[serde(rename_all = "…")]`.
    pub(crate) serde: Vec<Attribute>,
    /// What it holds.
    pub(crate) body: Body,
}

/// What a variant holds.
pub(crate) enum Body {
    Nothing,
    One(Box<Field>),
    Named(Vec<Field>),
}

impl Case {
    /// Reads a variant of an enum.
    pub(crate) fn variant(variant: &syn::Variant) -> syn::Result<Self> {
        let ident = &variant.ident;
        check_unconditional(&variant.attrs)?;
        let serde = of_name(&variant.attrs, "serde");
        for attribute in &serde {
            attribute.parse_nested_meta(|meta| {
                if !meta.path.is_ident("rename_all") {
                    return Err(
                        meta.error("only `rename_all` can stand on a variant; others stand on fields")
                    );
                }
                meta.value()?.parse::<syn::LitStr>().map(drop)
            })?;
        }
        if let Some(schemars) = of_name(&variant.attrs, "schemars").first() {
            return Err(syn::Error::new_spanned(
                schemars,
                "`#[schemars(…)]` stands on fields, not on a variant",
            ));
        }
        Ok(Self {
            ident: ident.clone(),
            path: quote!(Self::#ident),
            docs: of_name(&variant.attrs, "doc"),
            serde,
            body: Body::parse(ident, &variant.fields)?,
        })
    }

    /// Reads a struct as a single case.
    pub(crate) fn whole(ident: &Ident, fields: &Fields) -> syn::Result<Self> {
        Ok(Self {
            ident: ident.clone(),
            path: quote!(Self),
            docs: Vec::new(),
            serde: Vec::new(),
            body: Body::parse(ident, fields)?,
        })
    }

    /// The name of the struct its payload is read into.
    pub(crate) fn payload(&self) -> Ident {
        // Unlike any name a user gives: the generated struct must not hide a type that a field names.
        format_ident!("__UnderlayPayload{}", self.ident)
    }

    /// An expression that builds it out of `payload`, a value of its payload's struct.
    pub(crate) fn construct(&self, payload: &Ident) -> TokenStream {
        let path = &self.path;
        match &self.body {
            Body::Nothing => path.clone(),
            Body::One(_) => quote!(#path(#payload.0)),
            Body::Named(fields) => {
                let names: Vec<_> = fields.iter().map(|field| &field.ident).collect();
                quote!(#path { #(#names: #payload.#names),* })
            }
        }
    }
}

impl Body {
    fn parse(ident: &Ident, fields: &Fields) -> syn::Result<Self> {
        for field in fields {
            check_unconditional(&field.attrs)?;
        }
        match fields {
            Fields::Unit => Ok(Self::Nothing),
            Fields::Named(fields) => Ok(Self::Named(fields.named.iter().cloned().collect())),
            Fields::Unnamed(fields) if fields.unnamed.len() == 1 => {
                Ok(Self::One(Box::new(fields.unnamed[0].clone())))
            }
            Fields::Unnamed(fields) => Err(syn::Error::new_spanned(
                fields,
                format!("name the fields: `{ident} {{ … }}`; unnamed ones have no name to be stored by"),
            )),
        }
    }
}

/// The variants of an enum, each with its declaration.
pub(crate) fn variants<'a>(input: &'a DeriveInput, is: &str) -> syn::Result<Vec<&'a syn::Variant>> {
    match &input.data {
        Data::Enum(data) => Ok(data.variants.iter().collect()),
        Data::Struct(_) | Data::Union(_) => {
            Err(syn::Error::new_spanned(&input.ident, format!("{is}: write an enum, one variant for each")))
        }
    }
}

/// The attributes of one name.
pub(crate) fn of_name(attributes: &[Attribute], name: &str) -> Vec<Attribute> {
    attributes.iter().filter(|attribute| attribute.path().is_ident(name)).cloned().collect()
}
