use std::fmt::Display;
use std::str::FromStr;

use proc_macro2::TokenStream;
use quote::quote;
use syn::meta::ParseNestedMeta;
use syn::parse::Parser;
use syn::{DeriveInput, LitInt};

use crate::declaration::{self, Attribute};
use crate::root::Root;
use crate::{data, problems};

/// Writes the implementation of `SnapshotState`.
pub(crate) fn implement(
    root: &mut Root,
    arguments: TokenStream,
    input: &DeriveInput,
) -> syn::Result<TokenStream> {
    let (mut every, mut version) = (None, None);
    let parser = syn::meta::parser(|meta| {
        if root.set(&meta)? {
            Ok(())
        } else if meta.path.is_ident("every") {
            let message = "write a number of events, at least 1: `every = 100`";
            problems::set_once(&mut every, from_one::<u64>(&meta, message)?, &meta)
        } else if meta.path.is_ident("version") {
            let message = "write a number from 1 to 4294967295: `version = 2`";
            problems::set_once(&mut version, from_one::<u32>(&meta, message)?, &meta)
        } else {
            Err(meta.error("expected `every`, `version` or `crate = path`"))
        }
    });
    parser.parse2(arguments)?;
    declaration::check(Attribute::Snapshot, input)?;
    data::check(input)?;
    let Some(every) = every else {
        let message = "say how many events a stream grows by between two snapshots: \
                       write `#[underlay::snapshot(every = 100)]`";
        return Err(syn::Error::new(input.ident.span(), message));
    };
    Ok(write(root, input, every, version.unwrap_or(1)))
}

/// A number that starts at 1.
pub(crate) fn from_one<T>(meta: &ParseNestedMeta<'_>, message: &str) -> syn::Result<T>
where
    T: FromStr<Err: Display> + Default + PartialEq,
{
    let literal: LitInt = meta.value()?.parse()?;
    let number = literal.base10_parse::<T>().ok().filter(|number| *number != T::default());
    number.ok_or_else(|| syn::Error::new(literal.span(), message))
}

fn write(root: &Root, input: &DeriveInput, every: u64, version: u32) -> TokenStream {
    let ident = &input.ident;
    quote! {
        #[automatically_derived]
        impl #root::SnapshotState for #ident {
            const SNAPSHOT_VERSION: u32 = #version;
            const SNAPSHOT_EVERY: u64 = #every;

            fn schema() -> #root::Json {
                #root::private::state_schema::<Self>()
            }
        }
    }
}
