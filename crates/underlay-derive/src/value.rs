use proc_macro2::TokenStream;
use syn::DeriveInput;

use crate::data;
use crate::declaration::{self, Attribute};
use crate::root::Root;

/// Checks the declaration; its derives are all there is to a value.
pub(crate) fn implement(
    root: &mut Root,
    arguments: TokenStream,
    input: &DeriveInput,
) -> syn::Result<TokenStream> {
    root.parse(arguments)?;
    declaration::check(Attribute::Value, input)?;
    data::check(input)?;
    Ok(TokenStream::new())
}
