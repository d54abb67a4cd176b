use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Data, DeriveInput, Field, Fields, Ident, LitStr, Type};

use crate::declaration::{self, Attribute, check_unconditional};
use crate::root::Root;
use crate::{name, problems};

/// Bytes in a column's name, as `underlay-core` has it.
const NAME_BYTES_MAX: usize = 48;
/// Columns in a view, as `underlay-core` has it.
const COLUMNS_MAX: usize = 64;
/// Names that every row has in the database.
const NAMES_TAKEN: [&str; 3] = ["tenant", "key", "position"];

/// A field with what its attribute says.
struct Column {
    field: Ident,
    ty: Type,
    name: LitStr,
    indexed: bool,
}

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
    let columns = problems::all(fields.iter().map(Column::parse))?;
    name::check_unique(columns.iter().map(|column| &column.name))?;
    if let Some(beyond) = columns.get(COLUMNS_MAX) {
        let message = format!("a row has at most {COLUMNS_MAX} columns");
        return Err(syn::Error::new(beyond.field.span(), message));
    }
    Ok(write(root, &input.ident, &columns))
}

impl Column {
    fn parse(field: &Field) -> syn::Result<Self> {
        check_unconditional(&field.attrs)?;
        let Some(ident) = field.ident.clone() else {
            return Err(syn::Error::new_spanned(field, "a column has a name"));
        };
        let (mut name, mut indexed) = (None::<LitStr>, None);
        for attribute in Attribute::Row.inner_of(&field.attrs) {
            attribute.parse_nested_meta(|meta| {
                if meta.path.is_ident("name") {
                    problems::set_once(&mut name, meta.value()?.parse()?, &meta)
                } else if meta.path.is_ident("indexed") {
                    problems::set_once(&mut indexed, (), &meta)
                } else {
                    Err(meta.error("expected `indexed` or `name`"))
                }
            })?;
        }
        let name = name.unwrap_or_else(|| LitStr::new(&ident.unraw().to_string(), ident.span()));
        check_name(&name)?;
        Ok(Self { field: ident, ty: field.ty.clone(), name, indexed: indexed.is_some() })
    }

    fn descriptor(&self, root: &Root) -> TokenStream {
        let Self { ty, name, indexed, .. } = self;
        quote! {
            #root::Column {
                name: ::std::borrow::ToOwned::to_owned(#name),
                column_type: <#ty as #root::ColumnValue>::COLUMN_TYPE,
                nullable: <#ty as #root::ColumnValue>::NULLABLE,
                indexed: #indexed,
            }
        }
    }

    /// A check that only the compiler can make: it knows which types can be empty.
    fn check_indexed(&self, root: &Root) -> Option<TokenStream> {
        let ty = &self.ty;
        let message = format!(
            "column `{}` can be empty; only columns that always hold a value can be indexed",
            self.name.value()
        );
        self.indexed.then(|| {
            quote_spanned! {ty.span()=>
                const _: () = ::core::assert!(!<#ty as #root::ColumnValue>::NULLABLE, #message);
            }
        })
    }
}

fn check_name(name: &LitStr) -> syn::Result<()> {
    let text = name.value();
    if NAMES_TAKEN.contains(&text.as_str()) {
        let message = format!("the name {text:?} is taken: every row has a column of that name");
        return Err(syn::Error::new(name.span(), message));
    }
    let well_formed = text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.len() <= NAME_BYTES_MAX
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    if well_formed {
        return Ok(());
    }
    let message = format!(
        "the name of a column is 1 to {NAME_BYTES_MAX} characters of `a-z`, `0-9` and `_`, starting with a \
         letter; `#[column(name = \"…\")]` gives one"
    );
    Err(syn::Error::new(name.span(), message))
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

#[cfg(test)]
mod tests {
    use super::*;
    use underlay_core::{Column as Stored, ColumnType, ViewSchema};

    fn validates(columns: impl Iterator<Item = String>) -> bool {
        let column = |name| Stored { name, column_type: ColumnType::Text, nullable: false, indexed: false };
        ViewSchema::new("v", 1, columns.map(column).collect()).validate().is_ok()
    }

    #[test]
    fn what_the_core_takes_for_a_name_is_taken() {
        let long = "a".repeat(NAME_BYTES_MAX);
        for text in
            ["a", "a_1", "", "_a", "1a", "A", "a-b", "key", "tenant", "position", &long, &format!("{long}a")]
        {
            let literal = LitStr::new(text, proc_macro2::Span::call_site());
            let core = validates(std::iter::once(text.to_owned()));
            assert_eq!(check_name(&literal).is_ok(), core, "{text:?}");
        }
    }

    #[test]
    fn the_limit_is_the_one_of_the_core() {
        let columns = |count| (0..count).map(|number| format!("c{number}"));
        assert!(validates(columns(COLUMNS_MAX)) && !validates(columns(COLUMNS_MAX + 1)));
    }
}
