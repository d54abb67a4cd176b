use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::meta::ParseNestedMeta;
use syn::parse::Parser;
use syn::{Data, DeriveInput, Ident, LitStr, Variant};

use crate::case::{self, Body, Case};
use crate::declaration::{self, Attribute};
use crate::payload::{self, Unknown};
use crate::root::Root;
use crate::{name, problems};

/// A variant, or a struct, with what its attribute says.
struct Declared {
    case: Case,
    code: LitStr,
    message: LitStr,
}

/// What an attribute says, as far as it does.
#[derive(Default)]
struct Said {
    code: Option<LitStr>,
    message: Option<LitStr>,
}

/// Writes the implementation of `Refusal`.
pub(crate) fn implement(
    root: &mut Root,
    arguments: TokenStream,
    input: &DeriveInput,
) -> syn::Result<TokenStream> {
    let mut said = Said::default();
    let is_struct = matches!(input.data, Data::Struct(_));
    let parser = syn::meta::parser(|meta| {
        if root.set(&meta)? || (is_struct && said.set(&meta)?) {
            return Ok(());
        }
        Err(meta.error(if is_struct {
            "expected `code`, `message` or `crate = path`"
        } else {
            "only `crate = path` can stand here; codes and messages stand on the variants"
        }))
    });
    parser.parse2(arguments)?;
    declaration::check(Attribute::Refusal, input)?;
    let declared = match &input.data {
        Data::Struct(data) => {
            vec![Declared::new(Case::whole(&input.ident, &data.fields)?, said, "underlay::refusal")?]
        }
        Data::Enum(_) | Data::Union(_) => {
            let variants = case::variants(input, "a refusal has a variant for each rule")?;
            problems::all(variants.into_iter().map(Declared::parse))?
        }
    };
    name::check_unique(declared.iter().map(|declared| &declared.code))?;
    Ok(write(root, &input.ident, &declared, !is_struct))
}

impl Said {
    /// Takes a code or message; false where the argument is another one.
    fn set(&mut self, meta: &ParseNestedMeta<'_>) -> syn::Result<bool> {
        let place = if meta.path.is_ident("code") {
            &mut self.code
        } else if meta.path.is_ident("message") {
            &mut self.message
        } else {
            return Ok(false);
        };
        problems::set_once(place, meta.value()?.parse()?, meta)?;
        Ok(true)
    }
}

impl Declared {
    fn parse(variant: &Variant) -> syn::Result<Self> {
        let mut said = Said::default();
        for attribute in Attribute::Refusal.inner_of(&variant.attrs) {
            attribute.parse_nested_meta(|meta| {
                if said.set(&meta)? { Ok(()) } else { Err(meta.error("expected `code` or `message`")) }
            })?;
        }
        Self::new(Case::variant(variant)?, said, "refusal")
    }

    fn new(case: Case, said: Said, attribute: &str) -> syn::Result<Self> {
        let (Some(code), Some(message)) = (said.code, said.message) else {
            let text = format!(
                "a refusal has a code for programs and a sentence for people: \
                 write `#[{attribute}(code = \"{}\", message = \"…\")]`",
                name::suggest(&case.ident)
            );
            return Err(syn::Error::new(case.ident.span(), text));
        };
        name::check(&code)?;
        if message.value().trim().is_empty() {
            return Err(syn::Error::new(message.span(), "say in one sentence what was wrong"));
        }
        if let Body::One(field) = &case.body {
            return Err(syn::Error::new_spanned(
                field,
                format!("name the field: `{} {{ … }}`; programs read what was wrong by name", case.ident),
            ));
        }
        Ok(Self { case, code, message })
    }

    fn display_arm(&self, formatter: &Ident) -> TokenStream {
        let (path, message) = (&self.case.path, &self.message);
        let names = match &self.case.body {
            Body::Named(fields) => fields.iter().filter_map(|field| field.ident.as_ref()).collect(),
            Body::Nothing | Body::One(_) => Vec::new(),
        };
        quote!(#path { #(ref #names),* } => ::core::write!(#formatter, #message),)
    }

    fn decode_arm(&self, root: &Root) -> TokenStream {
        let (code, structure) = (&self.code, self.case.payload());
        let value = self.case.construct(&quote::format_ident!("payload"));
        quote! {
            #code => {
                let payload: #structure = #root::private::serde_json::from_str(body).ok()?;
                ::core::option::Option::Some(#value)
            }
        }
    }
}

fn write(root: &Root, ident: &Ident, declared: &[Declared], is_enum: bool) -> TokenStream {
    let payloads = declared.iter().map(|declared| payload::owned(root, &declared.case, Unknown::Ignored));
    let cases: Vec<_> = declared.iter().map(|declared| (&declared.case, false)).collect();
    let shape = payload::borrowed(root, ident, &cases, is_enum);
    // The message names the user's fields; this local must not hide one.
    let formatter = Ident::new("formatter", Span::mixed_site());
    let display_arms = declared.iter().map(|declared| declared.display_arm(&formatter));
    let paths = declared.iter().map(|declared| &declared.case.path);
    let codes: Vec<&LitStr> = declared.iter().map(|declared| &declared.code).collect();
    let schemas = declared.iter().map(|declared| {
        let (code, payload) = (&declared.code, declared.case.payload());
        quote!(#root::private::payload_schema::<#payload>(#code))
    });
    let decode_arms = declared.iter().map(|declared| declared.decode_arm(root));
    quote! {
        #[allow(dead_code, deprecated, non_camel_case_types, unused_variables)]
        const _: () = {
            #(#payloads)*
            #shape

            #[automatically_derived]
            impl #root::private::serde::Serialize for #ident {
                fn serialize<S: #root::private::serde::Serializer>(
                    &self,
                    serializer: S,
                ) -> ::core::result::Result<S::Ok, S::Error> {
                    __UnderlayShape::serialize(self, serializer)
                }
            }

            #[automatically_derived]
            impl ::core::fmt::Display for #ident {
                fn fmt(&self, #formatter: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                    match *self { #(#display_arms)* }
                }
            }

            #[automatically_derived]
            impl ::core::error::Error for #ident {}

            #[automatically_derived]
            impl #root::Refusal for #ident {
                fn codes() -> ::std::vec::Vec<&'static str> {
                    ::std::vec![#(#codes),*]
                }

                fn schemas() -> ::std::vec::Vec<#root::Json> {
                    ::std::vec![#(#schemas),*]
                }

                fn code(&self) -> &'static str {
                    match *self { #(#paths { .. } => #codes,)* }
                }

                fn decode(code: &str, body: &str) -> ::core::option::Option<Self> {
                    match code {
                        #(#decode_arms)*
                        _ => ::core::option::Option::None,
                    }
                }
            }
        };
    }
}
