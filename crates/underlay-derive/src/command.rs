use proc_macro2::TokenStream;
use quote::quote;
use syn::{DeriveInput, LitStr, Variant};

use crate::case::{self, Body, Case};
use crate::declaration::{self, Attribute};
use crate::payload::{self, Reading};
use crate::root::Root;
use crate::{name, problems};

/// A variant with what its attribute says.
struct Declared {
    case: Case,
    name: LitStr,
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
        for attribute in Attribute::Command.inner_of(&variant.attrs) {
            attribute.parse_nested_meta(|meta| {
                if !meta.path.is_ident("name") {
                    return Err(meta.error("expected `name`"));
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
        Ok(Self { case, name })
    }

    /// The struct its body is read into, where there is something to read.
    fn payload(&self, root: &Root) -> Option<TokenStream> {
        let reading = Reading { schema: false, strict: true };
        (!matches!(self.case.body, Body::Nothing)).then(|| payload::owned(root, &self.case, &reading))
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

fn write(root: &Root, input: &DeriveInput, declared: &[Declared]) -> TokenStream {
    let ident = &input.ident;
    let payloads = declared.iter().filter_map(|declared| declared.payload(root));
    let cases: Vec<_> = declared.iter().map(|declared| (&declared.case, false)).collect();
    let shape = payload::borrowed(root, ident, &cases, true);
    let wrapper = payload::borrowed_wrapper(root, ident);
    let names: Vec<&LitStr> = declared.iter().map(|declared| &declared.name).collect();
    let paths = declared.iter().map(|declared| &declared.case.path);
    let decode_arms = declared.iter().map(|declared| declared.decode_arm(root));
    quote! {
        #[allow(dead_code, deprecated, non_camel_case_types, unused_variables)]
        const _: () = {
            #(#payloads)*
            #shape
            #wrapper

            #[automatically_derived]
            impl #root::Command for #ident {
                fn descriptors() -> ::std::vec::Vec<#root::CommandDescriptor> {
                    ::std::vec![#(#root::CommandDescriptor { name: #names }),*]
                }

                fn descriptor(&self) -> #root::CommandDescriptor {
                    match *self { #(#paths { .. } => #root::CommandDescriptor { name: #names },)* }
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
