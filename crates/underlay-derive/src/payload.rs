use proc_macro2::TokenStream;
use quote::quote;
use syn::{Attribute, Field, Ident, parse_quote};

use crate::case::{Body, Case, of_name};
use crate::root::Root;

/// What becomes of a field that a payload has and a case does not.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unknown {
    /// It is passed over.
    Ignored,
    /// It is an error.
    Refused,
}

/// The struct a case's payload is read into, and described by.
pub(crate) fn owned(root: &Root, case: &Case, unknown: Unknown) -> TokenStream {
    let name = case.payload();
    let (docs, serde) = (&case.docs, &case.serde);
    let serde_crate = root.private("serde");
    let schemars_crate = root.private("schemars");
    let strict = (unknown == Unknown::Refused).then(|| quote!(#[serde(deny_unknown_fields)]));
    let field = |field: &Field| {
        let mut attributes = of_name(&field.attrs, "serde");
        attributes.extend(of_name(&field.attrs, "doc"));
        attributes.extend(of_name(&field.attrs, "schemars"));
        attributes.extend(schema_of_anything(root, &field.attrs));
        let (ident, ty) = (&field.ident, &field.ty);
        match ident {
            Some(ident) => quote!(#(#attributes)* #ident: #ty),
            None => quote!(#(#attributes)* #ty),
        }
    };
    let attributes = quote! {
        #(#docs)*
        #[derive(#root::private::serde::Deserialize, #root::private::schemars::JsonSchema)]
        #[serde(crate = #serde_crate)]
        #(#serde)*
        #[schemars(crate = #schemars_crate)]
    };
    match &case.body {
        Body::Nothing => quote!(#attributes #strict struct #name {}),
        Body::One(value) => {
            let value = field(value);
            quote!(#attributes #[serde(transparent)] struct #name(#value);)
        }
        Body::Named(fields) => {
            let fields = fields.iter().map(field);
            quote!(#attributes #strict struct #name { #(#fields),* })
        }
    }
}

/// A shape of any kind for a field that a module or function writes: what the field's type says of
/// itself is not what is stored.
pub(crate) fn schema_of_anything(root: &Root, attributes: &[Attribute]) -> Option<Attribute> {
    let written = has_argument(attributes, "serde", &["with", "serialize_with", "deserialize_with"]);
    let described = has_argument(attributes, "schemars", &["with", "schema_with"]);
    (written && !described).then(|| {
        let mut any = root.private("serde_json").value();
        any.push_str("::Value");
        parse_quote!(#[schemars(with = #any)])
    })
}

/// Whether attributes of a name have one of the arguments.
pub(crate) fn has_argument(attributes: &[Attribute], name: &str, arguments: &[&str]) -> bool {
    of_name(attributes, name).iter().any(|attribute| {
        let mut found = false;
        // What cannot be read is reported by the derive it belongs to.
        let _ = attribute.parse_nested_meta(|meta| {
            found |= arguments.iter().any(|argument| meta.path.is_ident(argument));
            if meta.input.peek(syn::Token![=]) {
                meta.value()?.parse::<syn::Expr>()?;
            } else if meta.input.peek(syn::token::Paren) {
                let inner;
                syn::parenthesized!(inner in meta.input);
                inner.parse::<TokenStream>()?;
            }
            Ok(())
        });
        found
    })
}

/// The shape that an enum or struct is written by: `__UnderlayShape::serialize` takes a reference to
/// one. By serde's remote derive the functions that fields name get the fields themselves, uncopied.
/// Cases marked true are never written by it.
pub(crate) fn borrowed(root: &Root, ident: &Ident, cases: &[(&Case, bool)], is_enum: bool) -> TokenStream {
    let remote = ident.to_string();
    let serde_crate = root.private("serde");
    let field = |field: &Field| {
        let attributes = of_name(&field.attrs, "serde");
        let (ident, ty) = (&field.ident, &field.ty);
        match ident {
            Some(ident) => quote!(#(#attributes)* #ident: #ty),
            None => quote!(#(#attributes)* #ty),
        }
    };
    let bodies = cases.iter().map(|(case, skip)| {
        let (ident, serde) = (&case.ident, &case.serde);
        let skip = skip.then(|| quote!(#[serde(skip)]));
        let ident = is_enum.then_some(ident);
        match &case.body {
            // With braces, so that it is written `{}`.
            Body::Nothing => quote!(#skip #ident {}),
            Body::One(value) => {
                let value = field(value);
                quote!(#skip #ident(#value))
            }
            Body::Named(fields) => {
                let fields = fields.iter().map(field);
                quote!(#skip #(#serde)* #ident { #(#fields),* })
            }
        }
    });
    let shape = if is_enum {
        quote!(#[serde(untagged)] enum __UnderlayShape { #(#bodies),* })
    } else {
        quote!(struct __UnderlayShape #(#bodies)*)
    };
    quote! {
        #[derive(#root::private::serde::Serialize)]
        #[serde(crate = #serde_crate, remote = #remote)]
        #shape
    }
}

/// A wrapper that has serde's trait where the declared type must not have it.
pub(crate) fn borrowed_wrapper(root: &Root, ident: &Ident) -> TokenStream {
    quote! {
        struct __UnderlayBorrowed<'a>(&'a #ident);

        impl #root::private::serde::Serialize for __UnderlayBorrowed<'_> {
            fn serialize<S: #root::private::serde::Serializer>(
                &self,
                serializer: S,
            ) -> ::core::result::Result<S::Ok, S::Error> {
                __UnderlayShape::serialize(self.0, serializer)
            }
        }
    }
}
