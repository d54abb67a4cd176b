//! Columns of rows and of entities: a field each.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Field, Ident, LitStr, Type};

use crate::declaration::{Attribute, check_unconditional};
use crate::problems;
use crate::root::Root;

/// Bytes in a column's name, as `underlay-core` has it.
pub(crate) const NAME_BYTES_MAX: usize = 48;
/// Columns in a view or an entity, as `underlay-core` has it.
pub(crate) const COLUMNS_MAX: usize = 64;

/// A field with what its attribute says.
pub(crate) struct Column {
    pub(crate) field: Ident,
    pub(crate) ty: Type,
    pub(crate) name: LitStr,
    indexed: bool,
    pub(crate) unique: bool,
}

impl Column {
    /// Reads the field of a row, or of an entity, whose columns can be unique too.
    pub(crate) fn parse(attribute: Attribute, field: &Field) -> syn::Result<Self> {
        check_unconditional(&field.attrs)?;
        let Some(ident) = field.ident.clone() else {
            return Err(syn::Error::new_spanned(field, "a column has a name"));
        };
        let is_entity = matches!(attribute, Attribute::Entity);
        let (mut name, mut indexed, mut unique) = (None::<LitStr>, None, None);
        for inner in attribute.inner_of(&field.attrs) {
            inner.parse_nested_meta(|meta| {
                if meta.path.is_ident("name") {
                    problems::set_once(&mut name, meta.value()?.parse()?, &meta)
                } else if meta.path.is_ident("indexed") {
                    problems::set_once(&mut indexed, (), &meta)
                } else if is_entity && meta.path.is_ident("unique") {
                    problems::set_once(&mut unique, (), &meta)
                } else if is_entity {
                    Err(meta.error("expected `indexed`, `unique` or `name`"))
                } else {
                    Err(meta.error("expected `indexed` or `name`"))
                }
            })?;
        }
        let name = name.unwrap_or_else(|| LitStr::new(&ident.unraw().to_string(), ident.span()));
        check_name(&name, names_taken(attribute))?;
        let unique = unique.is_some();
        // What is unique is looked for, so it has an index.
        Ok(Self { field: ident, ty: field.ty.clone(), name, indexed: unique || indexed.is_some(), unique })
    }

    pub(crate) fn descriptor(&self, root: &Root) -> TokenStream {
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
    pub(crate) fn check_indexed(&self, root: &Root) -> Option<TokenStream> {
        let ty = &self.ty;
        let message = format!(
            "column `{}` can be empty; only columns that always hold a value can be indexed{}",
            self.name.value(),
            if self.unique { ", and so only those can be unique" } else { "" }
        );
        self.indexed.then(|| {
            quote_spanned! {ty.span()=>
                const _: () = ::core::assert!(!<#ty as #root::ColumnValue>::NULLABLE, #message);
            }
        })
    }
}

/// Checks that there are no more columns than there may be.
pub(crate) fn check_count(columns: &[Column], what: &str) -> syn::Result<()> {
    match columns.get(COLUMNS_MAX) {
        Some(beyond) => {
            let message = format!("{what} has at most {COLUMNS_MAX} columns");
            Err(syn::Error::new(beyond.field.span(), message))
        }
        None => Ok(()),
    }
}

/// Names that every row has in the database.
fn names_taken(attribute: Attribute) -> &'static [&'static str] {
    match attribute {
        Attribute::Entity => &["tenant", "key", "id", "version"],
        _ => &["tenant", "key", "position"],
    }
}

fn check_name(name: &LitStr, taken: &[&str]) -> syn::Result<()> {
    let text = name.value();
    if taken.contains(&text.as_str()) {
        let message = format!("the name {text:?} is taken: every row has a column of that name");
        return Err(syn::Error::new(name.span(), message));
    }
    if is_name(&text) {
        return Ok(());
    }
    let message = format!(
        "the name of a column is 1 to {NAME_BYTES_MAX} characters of `a-z`, `0-9` and `_`, starting with a \
         letter; `#[column(name = \"…\")]` gives one"
    );
    Err(syn::Error::new(name.span(), message))
}

/// Whether a text can be the name of a column or an entity.
pub(crate) fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.len() <= NAME_BYTES_MAX
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;
    use underlay_core::{Column as Stored, ColumnType, EntitySchema, ViewSchema};

    fn columns(names: impl Iterator<Item = String>) -> Vec<Stored> {
        let column = |name| Stored { name, column_type: ColumnType::Text, nullable: false, indexed: false };
        names.map(column).collect()
    }

    #[test]
    fn what_the_core_takes_for_a_name_is_taken() {
        let long = "a".repeat(NAME_BYTES_MAX);
        let longer = format!("{long}a");
        let taken = ["key", "tenant", "position", "id", "version"];
        for text in ["a", "a_1", "", "_a", "1a", "A", "a-b", &long, &longer].into_iter().chain(taken) {
            let literal = LitStr::new(text, proc_macro2::Span::call_site());
            let named = || columns(std::iter::once(text.to_owned()));
            let (view, entity) = (ViewSchema::new("v", 1, named()), EntitySchema::new("v", 1, named()));
            for (attribute, core) in
                [(Attribute::Row, view.validate()), (Attribute::Entity, entity.validate())]
            {
                assert_eq!(check_name(&literal, names_taken(attribute)).is_ok(), core.is_ok(), "{text:?}");
            }
            if !taken.contains(&text) {
                assert_eq!(
                    is_name(text),
                    EntitySchema::new(text, 1, Vec::new()).validate().is_ok(),
                    "{text:?}"
                );
            }
        }
    }

    #[test]
    fn the_limit_is_the_one_of_the_core() {
        let valid = |count| {
            let names = (0..count).map(|number| format!("c{number}"));
            ViewSchema::new("v", 1, columns(names)).validate().is_ok()
        };
        assert!(valid(COLUMNS_MAX) && !valid(COLUMNS_MAX + 1));
    }
}
