//! One sentence for a field whose type cannot be stored, beside those of the derives.

use proc_macro2::{TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::{Data, DeriveInput, Field, Type};

use crate::case::of_name;
use crate::declaration::Attribute;
use crate::root::Root;

/// Asks of every field that serde and schemars look at by its type alone whether it can be stored or sent.
pub(crate) fn check(attribute: Attribute, root: &Root, input: &DeriveInput) -> TokenStream {
    let check = match attribute {
        Attribute::Event | Attribute::Snapshot | Attribute::Value => quote!(check_stored),
        Attribute::Command | Attribute::Refusal => quote!(check_sent),
        // The error of a column says what one is.
        Attribute::Row | Attribute::Entity => return TokenStream::new(),
    };
    // What stands on the whole may write fields in another way, or not at all.
    if is_annotated(&input.attrs) || !input.generics.params.is_empty() {
        return TokenStream::new();
    }
    let fields: Vec<&Field> = match &input.data {
        Data::Struct(data) => data.fields.iter().collect(),
        Data::Enum(data) => data
            .variants
            .iter()
            .filter(|variant| !is_annotated(&variant.attrs) && !is_set(attribute, variant))
            .flat_map(|variant| &variant.fields)
            .collect(),
        Data::Union(_) => Vec::new(),
    };
    let types: Vec<&Type> = fields
        .into_iter()
        .filter(|field| !is_annotated(&field.attrs))
        .map(|field| &field.ty)
        .filter(|ty| !names_self(ty.to_token_stream()))
        .collect();
    if types.is_empty() {
        return TokenStream::new();
    }
    quote! {
        #[allow(deprecated)]
        const _: fn() = || { #(#root::private::#check::<#types>();)* };
    }
}

fn is_annotated(attributes: &[syn::Attribute]) -> bool {
    ["serde", "schemars"].iter().any(|name| !of_name(attributes, name).is_empty())
}

/// Whether a variant holds another set of events, which is not stored by itself.
fn is_set(attribute: Attribute, variant: &syn::Variant) -> bool {
    let says_flatten = |attribute: &syn::Attribute| {
        let tokens = attribute.meta.to_token_stream().into_iter();
        tokens
            .flat_map(|token| match token {
                TokenTree::Group(group) => group.stream().into_iter().collect(),
                token => vec![token],
            })
            .any(|token| token.to_string() == "flatten")
    };
    matches!(attribute, Attribute::Event) && attribute.inner_of(&variant.attrs).iter().any(says_flatten)
}

/// Whether a type speaks of the one it stands in, by the name it has there alone.
fn names_self(tokens: TokenStream) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Group(group) => names_self(group.stream()),
        TokenTree::Ident(ident) => ident == "Self",
        TokenTree::Punct(_) | TokenTree::Literal(_) => false,
    })
}
