use proc_macro2::TokenStream;
use quote::quote;
use syn::meta::ParseNestedMeta;
use syn::punctuated::Punctuated;
use syn::{DeriveInput, LitStr, Token, Variant};

use crate::case::{self, Body, Case};
use crate::declaration::{self, Attribute};
use crate::payload::{self, Unknown};
use crate::root::Root;
use crate::{name, problems};

/// A variant with what its attribute says.
struct Declared {
    case: Case,
    name: LitStr,
    roles: Vec<LitStr>,
}

/// Writes the implementation of `Command`.
pub(crate) fn implement(
    root: &mut Root,
    arguments: TokenStream,
    input: &DeriveInput,
) -> syn::Result<TokenStream> {
    root.parse(arguments)?;
    declaration::check(Attribute::Command, input)?;
    let variants = case::variants(input, "a set of commands has a variant for each command")?;
    let declared = problems::all(variants.into_iter().map(Declared::parse))?;
    name::check_unique(declared.iter().map(|declared| &declared.name))?;
    Ok(write(root, input, &declared))
}

impl Declared {
    fn parse(variant: &Variant) -> syn::Result<Self> {
        let mut name = None::<LitStr>;
        let mut roles = None::<Vec<LitStr>>;
        for attribute in Attribute::Command.inner_of(&variant.attrs) {
            attribute.parse_nested_meta(|meta| {
                if meta.path.is_ident("roles") {
                    return problems::set_once(&mut roles, parse_roles(&meta)?, &meta);
                }
                if !meta.path.is_ident("name") {
                    return Err(meta.error("expected `name` or `roles`"));
                }
                problems::set_once(&mut name, meta.value()?.parse()?, &meta)
            })?;
        }
        let case = Case::variant(variant)?;
        let Some(name) = name else {
            let message = format!(
                "a command has a name, which addresses hold and no rename in the code changes: \
                 write `#[command(name = \"{}\")]`",
                name::suggest(&case.ident)
            );
            return Err(syn::Error::new(case.ident.span(), message));
        };
        name::check(&name)?;
        if name.value().bytes().all(|b| b == b'.') {
            return Err(syn::Error::new(name.span(), "a name of dots alone cannot stand in an address"));
        }
        Ok(Self { case, name, roles: roles.unwrap_or_default() })
    }

    fn descriptor(&self, root: &Root) -> TokenStream {
        let Self { name, roles, .. } = self;
        quote!(#root::CommandDescriptor { name: #name, roles: &[#(#roles),*] })
    }

    /// The struct its body is read into.
    fn payload(&self, root: &Root) -> TokenStream {
        payload::owned(root, &self.case, Unknown::Refused)
    }

    /// What may be sent for it, as an expression.
    fn schema(&self, root: &Root) -> TokenStream {
        let (name, payload) = (&self.name, self.case.payload());
        match &self.case.body {
            Body::Nothing => quote!(#root::private::schema_of_nothing::<#payload>(#name)),
            Body::One(_) | Body::Named(_) => quote!(#root::private::body_schema::<#payload>(#name)),
        }
    }

    fn decode_arm(&self, root: &Root) -> TokenStream {
        let (name, payload) = (&self.name, self.case.payload());
        let value = self.case.construct(&quote::format_ident!("payload"));
        let read = match &self.case.body {
            Body::Nothing => quote!(decode_nothing),
            Body::One(_) => quote!(decode_value::<#payload>),
            Body::Named(_) => quote!(decode_fields::<#payload>),
        };
        quote! {
            #name => {
                let payload = #root::private::#read(name, body)?;
                ::core::result::Result::Ok(#value)
            }
        }
    }
}

/// The roles of `roles("teller", "admin")`: at least one.
pub(crate) fn parse_roles(meta: &ParseNestedMeta<'_>) -> syn::Result<Vec<LitStr>> {
    let listed;
    syn::parenthesized!(listed in meta.input);
    let roles = Punctuated::<LitStr, Token![,]>::parse_terminated(&listed)?;
    if roles.is_empty() {
        return Err(meta.error("name a role, as in `roles(\"teller\")`; without `roles` everybody may"));
    }
    let roles: Vec<LitStr> = roles.into_iter().collect();
    problems::all(roles.iter().map(name::check))?;
    name::check_unique(&roles)?;
    Ok(roles)
}

fn write(root: &Root, input: &DeriveInput, declared: &[Declared]) -> TokenStream {
    let ident = &input.ident;
    let payloads = declared.iter().map(|declared| declared.payload(root));
    let schemas = declared.iter().map(|declared| declared.schema(root));
    let cases: Vec<_> = declared.iter().map(|declared| (&declared.case, false)).collect();
    let shape = payload::borrowed(root, ident, &cases, true);
    let wrapper = payload::borrowed_wrapper(root, ident);
    let names: Vec<&LitStr> = declared.iter().map(|declared| &declared.name).collect();
    let paths = declared.iter().map(|declared| &declared.case.path);
    let decode_arms = declared.iter().map(|declared| declared.decode_arm(root));
    let descriptors: Vec<TokenStream> = declared.iter().map(|declared| declared.descriptor(root)).collect();
    quote! {
        #[allow(dead_code, deprecated, non_camel_case_types, unused_variables)]
        const _: () = {
            #(#payloads)*
            #shape
            #wrapper

            #[automatically_derived]
            impl #root::Command for #ident {
                fn descriptors() -> ::std::vec::Vec<#root::CommandDescriptor> {
                    ::std::vec![#(#descriptors),*]
                }

                fn schemas() -> ::std::vec::Vec<#root::Json> {
                    ::std::vec![#(#schemas),*]
                }

                fn descriptor(&self) -> #root::CommandDescriptor {
                    match *self { #(#paths { .. } => #descriptors,)* }
                }

                fn encode(&self) -> ::core::result::Result<#root::Json, #root::Error> {
                    #root::Json::encode(&__UnderlayBorrowed(self))
                }

                fn decode(name: &str, body: &str) -> ::core::result::Result<Self, #root::CommandError> {
                    match name {
                        #(#decode_arms)*
                        _ => ::core::result::Result::Err(#root::CommandError::Unknown {
                            name: ::std::borrow::ToOwned::to_owned(name),
                            known: ::std::vec![#(#names),*],
                        }),
                    }
                }
            }
        };
    }
}
