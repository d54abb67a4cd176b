use proc_macro2::TokenStream;
use quote::quote;
use syn::{Data, DeriveInput, Fields, Ident};

use crate::column::{self, Column};
use crate::declaration::{self, Attribute};
use crate::root::Root;
use crate::{name, problems};

/// Writes the implementation of `Row`.
pub(crate) fn implement(
    root: &mut Root,
    arguments: TokenStream,
    input: &DeriveInput,
) -> syn::Result<TokenStream> {
    root.parse(arguments)?;
    declaration::check(Attribute::Row, input)?;
    let fields = match &input.data {
        Data::Struct(data) => match &data.fields {
            Fields::Named(fields) => &fields.named,
            Fields::Unnamed(_) | Fields::Unit => {
                let message = format!("a row has named columns: write `struct {} {{ … }}`", input.ident);
                return Err(syn::Error::new_spanned(&input.ident, message));
            }
        },
        Data::Enum(_) | Data::Union(_) => {
            let message = "a row is a struct, one field for each column";
            return Err(syn::Error::new_spanned(&input.ident, message));
        }
    };
    let columns = problems::all(fields.iter().map(|field| Column::parse(Attribute::Row, field)))?;
    name::check_unique(columns.iter().map(|column| &column.name))?;
    column::check_count(&columns, "a row")?;
    Ok(write(root, &input.ident, &columns))
}

fn write(root: &Root, ident: &Ident, columns: &[Column]) -> TokenStream {
    let checks = columns.iter().filter_map(|column| column.check_indexed(root));
    let descriptors = columns.iter().map(|column| column.descriptor(root));
    let fields: Vec<&Ident> = columns.iter().map(|column| &column.field).collect();
    let types = columns.iter().map(|column| &column.ty);
    let names = columns.iter().map(|column| &column.name);
    quote! {
        #[allow(deprecated, unused_mut, unused_variables)]
        const _: () = {
            #(#checks)*

            #[automatically_derived]
            impl #root::Row for #ident {
                fn columns() -> ::std::vec::Vec<#root::Column> {
                    ::std::vec![#(#descriptors),*]
                }

                fn into_values(self) -> #root::RowValues {
                    ::std::vec![#(#root::ColumnValue::into_value(self.#fields)),*]
                }

                fn from_values(values: #root::RowValues) -> ::core::result::Result<Self, &'static str> {
                    let mut values = ::std::iter::IntoIterator::into_iter(values);
                    ::core::result::Result::Ok(Self {
                        #(#fields: ::std::iter::Iterator::next(&mut values)
                            .and_then(<#types as #root::ColumnValue>::from_value)
                            .ok_or(#names)?,)*
                    })
                }
            }
        };
    }
}
