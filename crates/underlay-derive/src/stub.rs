//! What stands in for an implementation that cannot be written, so that a mistake in a declaration is told once, and not again
//! wherever the type is used. Nothing of it ever runs: the build has failed.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Data, DeriveInput};

use crate::declaration::Attribute;
use crate::root::Root;

pub(crate) fn implement(attribute: Attribute, root: &Root, input: &DeriveInput) -> TokenStream {
    // A type with parameters, or one without derives, could lack what the traits ask for.
    if !input.generics.params.is_empty() || matches!(input.data, Data::Union(_)) {
        return TokenStream::new();
    }
    let ident = &input.ident;
    let implementation = match attribute {
        Attribute::Event => event(root, ident),
        Attribute::Command => command(root, ident),
        Attribute::Refusal => refusal(root, ident),
        Attribute::Row => row(root, ident),
        Attribute::Entity => entity(root, ident),
        // Their derives stand.
        Attribute::Snapshot | Attribute::Value => return TokenStream::new(),
    };
    quote! {
        #[allow(unused_variables, unreachable_code)]
        const _: () = { #implementation };
    }
}

fn event(root: &Root, ident: &syn::Ident) -> TokenStream {
    quote! {
        impl #root::Event for #ident {
            fn descriptors() -> ::std::vec::Vec<#root::EventDescriptor> { ::core::unreachable!() }
            fn schemas() -> ::std::vec::Vec<#root::Json> { ::core::unreachable!() }
            fn descriptor(&self) -> #root::EventDescriptor { ::core::unreachable!() }
            fn encode(&self) -> ::core::result::Result<#root::Json, #root::Error> { ::core::unreachable!() }
            fn decode(
                event_type: &str,
                schema_version: u32,
                payload: &str,
            ) -> ::core::result::Result<::core::option::Option<Self>, #root::DecodeError> {
                ::core::unreachable!()
            }
        }
    }
}

fn command(root: &Root, ident: &syn::Ident) -> TokenStream {
    quote! {
        impl #root::Command for #ident {
            fn descriptors() -> ::std::vec::Vec<#root::CommandDescriptor> { ::core::unreachable!() }
            fn schemas() -> ::std::vec::Vec<#root::Json> { ::core::unreachable!() }
            fn descriptor(&self) -> #root::CommandDescriptor { ::core::unreachable!() }
            fn encode(&self) -> ::core::result::Result<#root::Json, #root::Error> { ::core::unreachable!() }
            fn decode(name: &str, body: &str) -> ::core::result::Result<Self, #root::CommandError> {
                ::core::unreachable!()
            }
        }
    }
}

fn refusal(root: &Root, ident: &syn::Ident) -> TokenStream {
    quote! {
        impl #root::private::serde::Serialize for #ident {
            fn serialize<S: #root::private::serde::Serializer>(
                &self,
                serializer: S,
            ) -> ::core::result::Result<S::Ok, S::Error> {
                ::core::unreachable!()
            }
        }
        impl ::core::fmt::Display for #ident {
            fn fmt(&self, formatter: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                ::core::unreachable!()
            }
        }
        impl ::core::error::Error for #ident {}
        impl #root::Refusal for #ident {
            fn codes() -> ::std::vec::Vec<&'static str> { ::core::unreachable!() }
            fn schemas() -> ::std::vec::Vec<#root::Json> { ::core::unreachable!() }
            fn code(&self) -> &'static str { ::core::unreachable!() }
            fn decode(code: &str, body: &str) -> ::core::option::Option<Self> { ::core::unreachable!() }
        }
    }
}

fn row(root: &Root, ident: &syn::Ident) -> TokenStream {
    quote! {
        impl #root::Row for #ident {
            fn columns() -> ::std::vec::Vec<#root::Column> { ::core::unreachable!() }
            fn into_values(self) -> #root::RowValues { ::core::unreachable!() }
            fn from_values(values: #root::RowValues) -> ::core::result::Result<Self, &'static str> {
                ::core::unreachable!()
            }
        }
    }
}

fn entity(root: &Root, ident: &syn::Ident) -> TokenStream {
    quote! {
        impl #root::Entity for #ident {
            const NAME: &'static str = "";
            type Id = ::std::string::String;
            fn schema() -> #root::EntitySchema { ::core::unreachable!() }
            fn id(&self) -> ::std::string::String { ::core::unreachable!() }
            fn version(&self) -> #root::EntityVersion { ::core::unreachable!() }
            fn into_stored(self) -> #root::StoredEntity { ::core::unreachable!() }
            fn from_stored(stored: #root::StoredEntity) -> ::core::result::Result<Self, #root::Error> {
                ::core::unreachable!()
            }
        }
        impl #root::Persistent for #ident {
            type Stored = Self;
            fn into_entity(self) -> Self { ::core::unreachable!() }
            fn from_entity(entity: Self) -> ::core::result::Result<Self, #root::Error> {
                ::core::unreachable!()
            }
        }
    }
}
