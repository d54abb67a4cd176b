use proc_macro2::TokenStream;
use quote::quote;
use syn::ext::IdentExt;
use syn::parse::Parser;
use syn::{
    Data, DeriveInput, Field, Fields, GenericArgument, Ident, LitStr, PathArguments, PathSegment, Type,
    Visibility,
};

use crate::case::of_name;
use crate::column::{self, Column, NAME_BYTES_MAX};
use crate::command::parse_roles;
use crate::declaration::{self, Attribute, check_unconditional};
use crate::root::Root;
use crate::snapshot::from_one;
use crate::{name, problems};

/// What the attribute itself says.
struct Arguments {
    name: LitStr,
    version: u32,
    of: Option<Type>,
    roles: Vec<LitStr>,
}

/// The fields, by what they are.
struct Parts {
    id: (Ident, Type),
    version: Ident,
    columns: Vec<Column>,
}

/// Writes the implementations of `Entity` and `Persistent`, and the columns.
pub(crate) fn implement(
    root: &mut Root,
    arguments: TokenStream,
    input: &DeriveInput,
) -> syn::Result<TokenStream> {
    let arguments = Arguments::parse(root, arguments, input)?;
    declaration::check(Attribute::Entity, input)?;
    let fields = match &input.data {
        Data::Struct(data) => match &data.fields {
            Fields::Named(fields) => &fields.named,
            Fields::Unnamed(_) | Fields::Unit => {
                let message = format!("an entity has named fields: write `struct {} {{ … }}`", input.ident);
                return Err(syn::Error::new_spanned(&input.ident, message));
            }
        },
        Data::Enum(_) | Data::Union(_) => {
            let message = "an entity is a struct: an id, a version, and one field for each column";
            return Err(syn::Error::new_spanned(&input.ident, message));
        }
    };
    let parts = Parts::parse(&input.ident, fields)?;
    let (entity, columns) = (write(root, &input.ident, &arguments, &parts), constants(root, input, &parts));
    let persistent = persistent(root, &input.ident, arguments.of.as_ref());
    Ok(quote! {
        #columns

        #[allow(deprecated, unused_mut, unused_variables)]
        const _: () = {
            #entity
            #persistent
        };
    })
}

impl Arguments {
    fn parse(root: &mut Root, arguments: TokenStream, input: &DeriveInput) -> syn::Result<Self> {
        let (mut name, mut version, mut of, mut roles) = (None::<LitStr>, None::<u32>, None::<Type>, None);
        let parser = syn::meta::parser(|meta| {
            if root.set(&meta)? {
                Ok(())
            } else if meta.path.is_ident("name") {
                problems::set_once(&mut name, meta.value()?.parse()?, &meta)
            } else if meta.path.is_ident("version") {
                let message = "write a number from 1 to 4294967295: `version = 1`";
                problems::set_once(&mut version, from_one::<u32>(&meta, message)?, &meta)
            } else if meta.path.is_ident("of") {
                problems::set_once(&mut of, meta.value()?.parse()?, &meta)
            } else if meta.path.is_ident("roles") {
                problems::set_once(&mut roles, parse_roles(&meta)?, &meta)
            } else {
                Err(meta.error("expected `name`, `version`, `of`, `roles` or `crate = path`"))
            }
        });
        parser.parse2(arguments)?;
        let (Some(name), Some(version)) = (name, version) else {
            let message = format!(
                "an entity has a stored name and the version of its shape: write \
                 `#[underlay::entity(name = \"{}\", version = 1)]`",
                name::suggest(&input.ident).replace('-', "_")
            );
            return Err(syn::Error::new(input.ident.span(), message));
        };
        if !column::is_name(&name.value()) {
            let message = format!(
                "the name of an entity is 1 to {NAME_BYTES_MAX} characters of `a-z`, `0-9` and `_`, starting with a \
                 letter"
            );
            return Err(syn::Error::new(name.span(), message));
        }
        Ok(Self { name, version, of, roles: roles.unwrap_or_default() })
    }
}

impl Parts {
    fn parse<'f>(ident: &Ident, fields: impl IntoIterator<Item = &'f Field>) -> syn::Result<Self> {
        let (mut id, mut version, mut others) = (None, None, Vec::new());
        problems::all(fields.into_iter().map(|field| {
            if !marked(field, "id")? && !marked(field, "version")? {
                others.push(field);
                return Ok(());
            }
            let name = if marked(field, "id")? { "id" } else { "version" };
            let place = if name == "id" { &mut id } else { &mut version };
            match place.replace(field) {
                None => check_mark(field, name),
                Some(_) => {
                    let message = format!("an entity has one `#[{name}]`; this is the second");
                    Err(syn::Error::new_spanned(&field.ident, message))
                }
            }
        }))?;
        let columns = problems::all(others.into_iter().map(|field| Column::parse(Attribute::Entity, field)))?;
        name::check_unique(columns.iter().map(|column| &column.name))?;
        column::check_count(&columns, "an entity")?;
        let lacking = |message: &str| syn::Error::new(ident.span(), message);
        let named = |field: &Field| field.ident.clone().map(|ident| (ident, field.ty.clone()));
        let id = id
            .and_then(named)
            .ok_or_else(|| lacking("an entity has an id: put `#[id]` on the field that tells it apart"))?;
        let (version, version_type) = version
            .and_then(named)
            .ok_or_else(|| lacking("an entity has a version: add `#[version] version: EntityVersion`"))?;
        if !is_named(&version_type, "EntityVersion") {
            let message = "the version of an entity is an `EntityVersion`";
            return Err(syn::Error::new_spanned(version_type, message));
        }
        Ok(Self { id, version, columns })
    }
}

/// Whether `#[id]` or `#[version]` stands on a field, without arguments.
fn marked(field: &Field, name: &str) -> syn::Result<bool> {
    let marks = of_name(&field.attrs, name);
    marks.iter().try_for_each(|mark| mark.meta.require_path_only().map(drop))?;
    Ok(!marks.is_empty())
}

/// Checks what else stands on the id or the version.
fn check_mark(field: &Field, name: &str) -> syn::Result<()> {
    check_unconditional(&field.attrs)?;
    let other = if name == "id" { "version" } else { "id" };
    let beside = ["column", other].into_iter().find_map(|beside| of_name(&field.attrs, beside).pop());
    match beside {
        Some(mark) => {
            let message = format!("the {name} of an entity is nothing else: no column, and not its {other}");
            Err(syn::Error::new_spanned(mark, message))
        }
        None => Ok(()),
    }
}

fn write(root: &Root, ident: &Ident, arguments: &Arguments, parts: &Parts) -> TokenStream {
    let Arguments { name, version: shape_version, roles, .. } = arguments;
    let Parts { id: (id, id_type), version, columns } = parts;
    let checks = columns.iter().filter_map(|column| column.check_indexed(root));
    let descriptors = columns.iter().map(|column| column.descriptor(root));
    let unique: Vec<&LitStr> =
        columns.iter().filter(|column| column.unique).map(|column| &column.name).collect();
    let unique = (!unique.is_empty()).then(|| quote!(.with_unique([#(#unique),*])));
    let fields: Vec<&Ident> = columns.iter().map(|column| &column.field).collect();
    let types = columns.iter().map(|column| &column.ty);
    let names = columns.iter().map(|column| column.name.value());
    let wrong = names.map(|name| format!("column {name} does not hold what the code has there"));
    let count = columns.len();
    quote! {
        #(#checks)*

        #[automatically_derived]
        impl #root::Entity for #ident {
            const NAME: &'static str = #name;
            const ROLES: &'static [&'static str] = &[#(#roles),*];
            type Id = #id_type;

            fn schema() -> #root::EntitySchema {
                #root::EntitySchema::new(#name, #shape_version, ::std::vec![#(#descriptors),*])#unique
            }

            fn id(&self) -> ::std::string::String {
                #root::EntityId::to_key(&self.#id)
            }

            fn version(&self) -> #root::EntityVersion {
                self.#version
            }

            fn into_stored(self) -> #root::StoredEntity {
                #root::StoredEntity {
                    id: #root::EntityId::to_key(&self.#id),
                    version: self.#version,
                    values: ::std::vec![#(#root::ColumnValue::into_value(self.#fields)),*],
                }
            }

            fn from_stored(stored: #root::StoredEntity) -> ::core::result::Result<Self, #root::Error> {
                let #root::StoredEntity { id: key, version, values } = stored;
                let damaged = |reason: &str| #root::Error::damaged_entity(#name, &key, reason);
                if values.len() != #count {
                    return ::core::result::Result::Err(damaged("it has another number of columns than the code"));
                }
                let mut values = ::std::iter::IntoIterator::into_iter(values);
                ::core::result::Result::Ok(Self {
                    #id: <#id_type as #root::EntityId>::from_key(&key)
                        .ok_or_else(|| damaged("the id is none of this entity"))?,
                    #version: version,
                    #(#fields: ::std::iter::Iterator::next(&mut values)
                        .and_then(<#types as #root::ColumnValue>::from_value)
                        .ok_or_else(|| damaged(#wrong))?,)*
                })
            }
        }
    }
}

/// What is kept as the entity: the entity itself, or the type it is the stored shape of.
fn persistent(root: &Root, ident: &Ident, of: Option<&Type>) -> TokenStream {
    let Some(of) = of else {
        return quote! {
            #[automatically_derived]
            impl #root::Persistent for #ident {
                type Stored = Self;

                fn into_entity(self) -> Self {
                    self
                }

                fn from_entity(entity: Self) -> ::core::result::Result<Self, #root::Error> {
                    ::core::result::Result::Ok(entity)
                }
            }
        };
    };
    quote! {
        #[automatically_derived]
        impl #root::Persistent for #of {
            type Stored = #ident;

            fn into_entity(self) -> #ident {
                <#ident as ::core::convert::From<Self>>::from(self)
            }

            fn from_entity(entity: #ident) -> ::core::result::Result<Self, #root::Error> {
                let id = #root::Entity::id(&entity);
                <Self as ::core::convert::TryFrom<#ident>>::try_from(entity).map_err(|reason| {
                    #root::Error::damaged_entity(<#ident as #root::Entity>::NAME, &id, reason)
                })
            }
        }
    }
}

/// The columns as constants, with the type of what they hold.
fn constants(root: &Root, input: &DeriveInput, parts: &Parts) -> TokenStream {
    let (ident, visibility): (&Ident, &Visibility) = (&input.ident, &input.vis);
    let constants = parts.columns.iter().map(|column| {
        let (name, ty) = (&column.name, held(&column.ty));
        let constant = column.field.unraw().to_string().to_uppercase();
        let constant = Ident::new(&constant, column.field.span());
        let doc = format!("The column `{}`, for specifications.", name.value());
        quote! {
            #[doc = #doc]
            #visibility const #constant: #root::EntityColumn<Self, #ty> = #root::EntityColumn::new(#name);
        }
    });
    quote! {
        #[automatically_derived]
        #[allow(dead_code)]
        impl #ident {
            #(#constants)*
        }
    }
}

/// Whether a type is written by this name, whatever path leads to it.
fn is_named(ty: &Type, name: &str) -> bool {
    last_segment(ty).is_some_and(|last| last.ident == name)
}

fn last_segment(ty: &Type) -> Option<&PathSegment> {
    let Type::Path(path) = ty else { return None };
    path.path.segments.last()
}

/// Of an `Option` the type of what is there.
fn held(ty: &Type) -> &Type {
    let Some(last) = last_segment(ty).filter(|last| last.ident == "Option") else { return ty };
    match &last.arguments {
        PathArguments::AngleBracketed(arguments) => match arguments.args.first() {
            Some(GenericArgument::Type(held)) => held,
            _ => ty,
        },
        _ => ty,
    }
}
