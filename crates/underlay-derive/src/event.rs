use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::punctuated::Punctuated;
use syn::{DeriveInput, Ident, LitInt, LitStr, Path, Token, Type, Variant};

use crate::case::{self, Body, Case};
use crate::declaration::{self, Attribute};
use crate::payload::{self, Unknown};
use crate::root::Root;
use crate::{name, problems};

/// A variant with what its attribute says.
struct Declared {
    case: Case,
    kind: Kind,
}

enum Kind {
    /// An event type.
    Type { name: LitStr, version: u32, upcasts: Vec<Path> },
    /// Another set of events.
    Set(Box<Type>),
}

/// Writes the implementation of `Event`.
pub(crate) fn implement(
    root: &mut Root,
    arguments: TokenStream,
    input: &DeriveInput,
) -> syn::Result<TokenStream> {
    root.parse(arguments)?;
    declaration::check(Attribute::Event, input)?;
    let variants = case::variants(input, "a set of events has a variant for each type")?;
    let declared = problems::all(variants.into_iter().map(Declared::parse))?;
    name::check_unique(declared.iter().filter_map(|declared| match &declared.kind {
        Kind::Type { name, .. } => Some(name),
        Kind::Set(_) => None,
    }))?;
    Ok(write(root, &input.ident, &declared))
}

impl Declared {
    fn parse(variant: &Variant) -> syn::Result<Self> {
        let (mut name, mut version, mut upcasts, mut flatten) = (None::<LitStr>, None, None, None);
        for attribute in Attribute::Event.inner_of(&variant.attrs) {
            attribute.parse_nested_meta(|meta| {
                if meta.path.is_ident("name") {
                    problems::set_once(&mut name, meta.value()?.parse()?, &meta)?;
                } else if meta.path.is_ident("version") {
                    problems::set_once(&mut version, meta.value()?.parse::<LitInt>()?, &meta)?;
                } else if meta.path.is_ident("upcasts") {
                    let steps;
                    syn::parenthesized!(steps in meta.input);
                    let steps = Punctuated::<Path, Token![,]>::parse_terminated(&steps)?;
                    problems::set_once(&mut upcasts, steps, &meta)?;
                } else if meta.path.is_ident("flatten") {
                    problems::set_once(&mut flatten, meta.path.clone(), &meta)?;
                } else {
                    return Err(meta.error("expected `name`, `version`, `upcasts` or `flatten`"));
                }
                Ok(())
            })?;
        }
        let case = Case::variant(variant)?;
        let kind = match (name, version, flatten) {
            (None, None, Some(flatten)) => {
                let (Body::One(field), None) = (&case.body, upcasts) else {
                    return Err(syn::Error::new_spanned(
                        flatten,
                        "`flatten` stands alone, on a variant that holds one set of events: `Account(AccountEvent)`",
                    ));
                };
                Kind::Set(Box::new(field.ty.clone()))
            }
            (Some(name), Some(version), None) => {
                name::check(&name)?;
                let (version, upcasts) = check_steps(&version, upcasts)?;
                Kind::Type { name, version, upcasts }
            }
            (name, _, _) => return Err(incomplete(&case.ident, name.as_ref())),
        };
        Ok(Self { case, kind })
    }
}

fn incomplete(ident: &Ident, name: Option<&LitStr>) -> syn::Error {
    let name = name.map_or_else(|| name::suggest(ident), LitStr::value);
    let message = format!(
        "an event has a stored name and a version, which no rename in the code changes: \
         write `#[event(name = \"{name}\", version = 1)]`"
    );
    syn::Error::new(ident.span(), message)
}

/// A version and the steps that lead to it: one for each version before.
fn check_steps(
    literal: &LitInt,
    upcasts: Option<Punctuated<Path, Token![,]>>,
) -> syn::Result<(u32, Vec<Path>)> {
    let version: u32 = literal.base10_parse()?;
    if version == 0 {
        return Err(syn::Error::new(literal.span(), "versions start at 1"));
    }
    let steps: Vec<Path> = upcasts.into_iter().flatten().collect();
    let needed = version as usize - 1;
    if steps.len() == needed {
        return Ok((version, steps));
    }
    let message = if needed == 0 {
        "version 1 is the first: there is nothing to upcast from".to_owned()
    } else {
        let examples: Vec<String> =
            (1..version.min(4)).map(|from| format!("v{from}_to_v{}", from + 1)).collect();
        let more = if version > 4 { ", …" } else { "" };
        format!(
            "version {version} needs {needed} {}, oldest first, and {} given: `upcasts({}{more})`",
            if needed == 1 { "step" } else { "steps" },
            if steps.len() == 1 { "1 is".to_owned() } else { format!("{} are", steps.len()) },
            examples.join(", "),
        )
    };
    Err(match steps.get(needed) {
        Some(beyond) => syn::Error::new_spanned(beyond, message),
        None => syn::Error::new(literal.span(), message),
    })
}

fn write(root: &Root, ident: &Ident, declared: &[Declared]) -> TokenStream {
    let types: Vec<&Case> = declared
        .iter()
        .filter_map(|declared| match declared.kind {
            Kind::Type { .. } => Some(&declared.case),
            Kind::Set(_) => None,
        })
        .collect();
    let payloads = types.iter().map(|case| payload::owned(root, case, Unknown::Ignored));
    let writing = (!types.is_empty()).then(|| {
        let cases: Vec<_> =
            declared.iter().map(|declared| (&declared.case, matches!(declared.kind, Kind::Set(_)))).collect();
        let shape = payload::borrowed(root, ident, &cases, true);
        let wrapper = payload::borrowed_wrapper(root, ident);
        quote!(#shape #wrapper)
    });
    let descriptors = declared.iter().map(|declared| declared.descriptors(root));
    let schemas = declared.iter().map(|declared| declared.schemas(root));
    let descriptor_arms = declared.iter().map(|declared| declared.descriptor_arm(root));
    let encode_sets = declared.iter().filter_map(|declared| declared.encode_set(root));
    let encode_types =
        (!types.is_empty()).then(|| quote!(_ => #root::Json::encode(&__UnderlayBorrowed(self)),));
    let decode = decode(root, declared);
    quote! {
        #[allow(dead_code, deprecated, non_camel_case_types, unused_variables)]
        const _: () = {
            #(#payloads)*
            #writing

            #[automatically_derived]
            impl #root::Event for #ident {
                fn descriptors() -> ::std::vec::Vec<#root::EventDescriptor> {
                    let mut all = ::std::vec::Vec::new();
                    #(#descriptors)*
                    all
                }

                fn schemas() -> ::std::vec::Vec<#root::Json> {
                    let mut all = ::std::vec::Vec::new();
                    #(#schemas)*
                    all
                }

                fn descriptor(&self) -> #root::EventDescriptor {
                    match *self { #(#descriptor_arms)* }
                }

                fn encode(&self) -> ::core::result::Result<#root::Json, #root::Error> {
                    match *self { #(#encode_sets)* #encode_types }
                }

                #decode
            }
        };
    }
}

/// The function that reads a stored payload: one match on the name; sets are asked in turn.
fn decode(root: &Root, declared: &[Declared]) -> TokenStream {
    // The names of the upcasters are the user's; these locals must not hide them.
    let [event_type, version, text, payload] =
        ["event_type", "schema_version", "text", "payload"].map(|name| Ident::new(name, Span::mixed_site()));
    let types = declared.iter().filter_map(|declared| {
        let Kind::Type { name, upcasts, .. } = &declared.kind else { return None };
        let (structure, descriptor) = (declared.case.payload(), declared.descriptor(root)?);
        let value = declared.case.construct(&payload);
        Some(quote! {
            #name => {
                let #payload: #structure =
                    #root::private::decode_payload(#descriptor, #version, #text, &[#(#upcasts),*])?;
                ::core::result::Result::Ok(::core::option::Option::Some(#value))
            }
        })
    });
    let sets = declared.iter().filter_map(|declared| {
        let Kind::Set(set) = &declared.kind else { return None };
        let path = &declared.case.path;
        Some(quote! {
            if let ::core::option::Option::Some(#payload) =
                <#set as #root::Event>::decode(#event_type, #version, #text)?
            {
                return ::core::result::Result::Ok(::core::option::Option::Some(#path(#payload)));
            }
        })
    });
    quote! {
        fn decode(
            #event_type: &str,
            #version: u32,
            #text: &str,
        ) -> ::core::result::Result<::core::option::Option<Self>, #root::DecodeError> {
            match #event_type {
                #(#types)*
                _ => {
                    #(#sets)*
                    ::core::result::Result::Ok(::core::option::Option::None)
                }
            }
        }
    }
}

impl Declared {
    /// The descriptor of an event type, as an expression.
    fn descriptor(&self, root: &Root) -> Option<TokenStream> {
        match &self.kind {
            Kind::Type { name, version, .. } => {
                Some(quote!(#root::EventDescriptor { name: #name, version: #version }))
            }
            Kind::Set(_) => None,
        }
    }

    fn descriptors(&self, root: &Root) -> TokenStream {
        match &self.kind {
            Kind::Type { .. } => {
                let descriptor = self.descriptor(root);
                quote!(all.push(#descriptor);)
            }
            Kind::Set(set) => quote!(all.extend(<#set as #root::Event>::descriptors());),
        }
    }

    fn schemas(&self, root: &Root) -> TokenStream {
        match &self.kind {
            Kind::Type { name, .. } => {
                let payload = self.case.payload();
                quote!(all.push(#root::private::payload_schema::<#payload>(#name));)
            }
            Kind::Set(set) => quote!(all.extend(<#set as #root::Event>::schemas());),
        }
    }

    fn descriptor_arm(&self, root: &Root) -> TokenStream {
        let path = &self.case.path;
        match &self.kind {
            Kind::Type { .. } => {
                let descriptor = self.descriptor(root);
                quote!(#path { .. } => #descriptor,)
            }
            Kind::Set(_) => quote!(#path(ref set) => #root::Event::descriptor(set),),
        }
    }

    fn encode_set(&self, root: &Root) -> Option<TokenStream> {
        let path = &self.case.path;
        matches!(self.kind, Kind::Set(_)).then(|| quote!(#path(ref set) => #root::Event::encode(set),))
    }
}
