use std::collections::HashMap;

use syn::{GenericParam, Generics, Pat, Type};

use super::Search;
use crate::lint::names::Ty;

/// The names of values and type parameters around a place.
#[derive(Debug, Default)]
pub(super) struct Locals(Vec<HashMap<String, Local>>);

/// What is known of a name: its type, and the text that it was given.
#[derive(Debug)]
struct Local {
    ty: Ty,
    text: Option<String>,
}

impl Locals {
    pub(super) fn open(&mut self) {
        self.0.push(HashMap::new());
    }

    pub(super) fn close(&mut self) {
        self.0.pop();
    }

    pub(super) fn bind(&mut self, name: &str, ty: Ty) {
        if let Some(scope) = self.0.last_mut() {
            scope.insert(name.to_owned(), Local { ty, text: None });
        }
    }

    /// Notes the text of a name that is bound.
    pub(super) fn give_text(&mut self, name: &str, text: String) {
        if let Some(local) = self.0.last_mut().and_then(|scope| scope.get_mut(name)) {
            local.text = Some(text);
        }
    }

    pub(super) fn find(&self, name: &str) -> Option<&Ty> {
        self.local(name).map(|local| &local.ty)
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.local(name)?.text.as_deref()
    }

    fn local(&self, name: &str) -> Option<&Local> {
        self.0.iter().rev().find_map(|scope| scope.get(name))
    }
}

impl Search<'_> {
    /// Makes the type parameters known, each as what its bounds say.
    pub(super) fn enter_generics(&mut self, generics: &Generics) {
        for parameter in &generics.params {
            if let GenericParam::Type(parameter) = parameter {
                let ty = self.world.type_of_bounds(self.module, parameter.bounds.iter(), 0);
                self.locals.bind(&parameter.ident.to_string(), ty);
            }
        }
        for predicate in generics.where_clause.iter().flat_map(|clause| &clause.predicates) {
            if let syn::WherePredicate::Type(predicate) = predicate
                && let Type::Path(path) = &predicate.bounded_ty
                && let Some(name) = path.path.get_ident()
            {
                let ty = self.world.type_of_bounds(self.module, predicate.bounds.iter(), 0);
                if ty != Ty::Unknown {
                    self.locals.bind(&name.to_string(), ty);
                }
            }
        }
    }

    /// What a type is, where it may be a type parameter or `Self`.
    pub(super) fn type_here(&self, ty: &Type) -> Ty {
        match ty {
            Type::Reference(ty) => self.type_here(&ty.elem),
            Type::Path(path) => match path.path.get_ident() {
                Some(name) if name == "Self" => self.own.clone(),
                Some(name) => match self.locals.find(&name.to_string()) {
                    Some(bound) => bound.clone(),
                    None => self.world.type_of(self.module, ty),
                },
                None => self.world.type_of(self.module, ty),
            },
            _ => self.world.type_of(self.module, ty),
        }
    }

    pub(super) fn bind_typed(&mut self, pattern: &Pat, ty: &Type) {
        match (pattern, ty) {
            (Pat::Tuple(pattern), Type::Tuple(types)) => {
                for (part, ty) in pattern.elems.iter().zip(&types.elems) {
                    self.bind_typed(part, ty);
                }
            }
            _ => {
                let ty = self.type_here(ty);
                self.bind(pattern, &ty);
            }
        }
    }

    /// Makes the names of a pattern known. A pattern that takes a wrapper off gives what was wrapped.
    pub(super) fn bind(&mut self, pattern: &Pat, ty: &Ty) {
        match pattern {
            Pat::Ident(pattern) => {
                self.locals.bind(&pattern.ident.to_string(), ty.clone());
                if let Some((_, inner)) = &pattern.subpat {
                    self.bind(inner, ty);
                }
            }
            Pat::Type(pattern) => self.bind_typed(&pattern.pat, &pattern.ty),
            Pat::Reference(pattern) => self.bind(&pattern.pat, ty),
            Pat::Paren(pattern) => self.bind(&pattern.pat, ty),
            Pat::TupleStruct(pattern) if pattern.elems.len() == 1 => {
                let field = self.world.type_of_field(ty, "0");
                let inner = if field == Ty::Unknown { ty.clone() } else { field };
                pattern.elems.iter().for_each(|part| self.bind(part, &inner));
            }
            Pat::TupleStruct(pattern) => {
                pattern.elems.iter().for_each(|part| self.bind(part, &Ty::Unknown));
            }
            Pat::Struct(pattern) => {
                for field in &pattern.fields {
                    let name = match &field.member {
                        syn::Member::Named(name) => name.to_string(),
                        syn::Member::Unnamed(at) => at.index.to_string(),
                    };
                    let ty = self.world.type_of_field(ty, &name);
                    self.bind(&field.pat, &ty);
                }
            }
            Pat::Tuple(pattern) => {
                for (at, part) in pattern.elems.iter().enumerate() {
                    // What a database crate gives in parts is all of it.
                    let part_of = match ty {
                        Ty::Database(_) => ty.clone(),
                        _ => self.world.type_of_field(ty, &at.to_string()),
                    };
                    self.bind(part, &part_of);
                }
            }
            Pat::Slice(pattern) => pattern.elems.iter().for_each(|part| self.bind(part, ty)),
            Pat::Or(pattern) => pattern.cases.iter().for_each(|case| self.bind(case, ty)),
            _ => {}
        }
    }
}
