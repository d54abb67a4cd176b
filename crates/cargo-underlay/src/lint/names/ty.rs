use syn::{GenericArgument, PathArguments, ReturnType, Type, TypeParamBound};

use super::super::databases::{is_database, is_underlay};
use super::entry::{EntryKind, text_of_path};
use super::resolve::Def;
use super::{ItemId, ModuleId, World};

/// As much of a type as the rules ask for. What only wraps a value counts as the value: `Arc`, `Option`, `State`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ty {
    /// Of this database crate.
    Database(String),
    /// A type of Underlay whose methods have a rule, by its name.
    Door(&'static str),
    /// A process that is put together, of the standard library or of a runtime.
    Process,
    /// A type of the workspace.
    Item(ItemId),
    /// Several values, of which one is known at least.
    Tuple(Vec<Ty>),
    Unknown,
}

/// Types of Underlay whose methods have a rule.
const DOORS: &[&str] = &["Adapters", "Engine", "EventStore", "ReadModels", "Store"];

impl World {
    /// Whether a package is a database crate. A package of the workspace is none: its code is looked through.
    pub(crate) fn is_database(&self, package: &str) -> bool {
        !self.libraries.contains_key(package) && is_database(package, &self.databases)
    }

    /// What a type is, as a module names it.
    pub(crate) fn type_of(&self, module: ModuleId, ty: &Type) -> Ty {
        self.type_within(module, ty, 0)
    }

    fn type_within(&self, module: ModuleId, ty: &Type, depth: usize) -> Ty {
        // An alias may name itself, and then the code does not compile.
        if depth > 16 {
            return Ty::Unknown;
        }
        let inner = |ty: &Type| self.type_within(module, ty, depth + 1);
        match ty {
            Type::Reference(ty) => inner(&ty.elem),
            Type::Paren(ty) => inner(&ty.elem),
            Type::Group(ty) => inner(&ty.elem),
            Type::Slice(ty) => inner(&ty.elem),
            Type::Array(ty) => inner(&ty.elem),
            Type::Path(ty) if ty.qself.is_none() => self.type_of_path(module, &ty.path, depth),
            Type::TraitObject(ty) => self.type_of_bounds(module, ty.bounds.iter(), depth),
            Type::ImplTrait(ty) => self.type_of_bounds(module, ty.bounds.iter(), depth),
            Type::Tuple(ty) => {
                let parts: Vec<Ty> = ty.elems.iter().map(inner).collect();
                if parts.iter().all(|part| *part == Ty::Unknown) { Ty::Unknown } else { Ty::Tuple(parts) }
            }
            _ => Ty::Unknown,
        }
    }

    /// What a value is of which only the traits are known.
    pub(crate) fn type_of_bounds<'a>(
        &self,
        module: ModuleId,
        bounds: impl Iterator<Item = &'a TypeParamBound>,
        depth: usize,
    ) -> Ty {
        let mut types = bounds.filter_map(|bound| match bound {
            TypeParamBound::Trait(bound) => Some(self.type_of_path(module, &bound.path, depth + 1)),
            _ => None,
        });
        types.find(|ty| *ty != Ty::Unknown).unwrap_or(Ty::Unknown)
    }

    fn type_of_path(&self, module: ModuleId, path: &syn::Path, depth: usize) -> Ty {
        for def in self.resolve(module, &text_of_path(path)) {
            let ty = self.type_of_def(&def, depth);
            if ty != Ty::Unknown {
                return ty;
            }
        }
        if self.is_process(module, &text_of_path(path)) {
            return Ty::Process;
        }
        path.segments.last().map_or(Ty::Unknown, |last| {
            // What went wrong is another value.
            let at_most = if last.ident == "Result" { 1 } else { usize::MAX };
            self.type_of_arguments(module, &last.arguments, at_most, depth)
        })
    }

    /// Whether a path is the `Command` of the standard library or of a runtime. Cargo tells of no package `std`.
    pub(crate) fn is_process(&self, module: ModuleId, path: &[String]) -> bool {
        let imported = match path {
            [name] => self.imported_as(module, name),
            _ => None,
        };
        let path = imported.unwrap_or(path);
        path.last().is_some_and(|last| last == "Command") && path.iter().any(|name| name.ends_with("process"))
    }

    /// What is wrapped: the first of so many arguments that says something.
    fn type_of_arguments(
        &self,
        module: ModuleId,
        arguments: &PathArguments,
        at_most: usize,
        depth: usize,
    ) -> Ty {
        let inner = |ty: &Type| self.type_within(module, ty, depth + 1);
        let known = |ty: &Ty| *ty != Ty::Unknown;
        match arguments {
            PathArguments::None => Ty::Unknown,
            PathArguments::AngleBracketed(list) => {
                let types = list.args.iter().take(at_most).map(|argument| match argument {
                    GenericArgument::Type(ty) => inner(ty),
                    GenericArgument::AssocType(pair) => inner(&pair.ty),
                    _ => Ty::Unknown,
                });
                types.into_iter().find(known).unwrap_or(Ty::Unknown)
            }
            PathArguments::Parenthesized(function) => match &function.output {
                ReturnType::Type(_, ty) => inner(ty),
                ReturnType::Default => Ty::Unknown,
            },
        }
    }

    /// What a value of this type is.
    pub(crate) fn type_of_def(&self, def: &Def, depth: usize) -> Ty {
        match def {
            Def::Outside { package, .. } if self.is_database(package) => Ty::Database(package.clone()),
            Def::Outside { package, path } if is_underlay(package) => door(path.last()),
            Def::Item { id, rest } if rest.is_empty() => match self.kind(*id) {
                EntryKind::Alias(ty) => self.type_within(id.0, ty, depth + 1),
                EntryKind::Struct(_) | EntryKind::Enum(_) | EntryKind::Trait => {
                    let (package, path) = self.place_of(*id);
                    match door(path.last()) {
                        Ty::Unknown => Ty::Item(*id),
                        door if is_underlay(package) => door,
                        _ => Ty::Item(*id),
                    }
                }
                _ => Ty::Unknown,
            },
            _ => Ty::Unknown,
        }
    }

    /// The item that a type of the workspace is.
    pub(super) fn item_of_type(&self, module: ModuleId, ty: &Type) -> Option<ItemId> {
        let Type::Path(path) = ty else { return None };
        self.resolve(module, &text_of_path(&path.path)).into_iter().find_map(|def| match def {
            Def::Item { id, rest } if rest.is_empty() => match self.kind(id) {
                EntryKind::Struct(_) | EntryKind::Enum(_) => Some(id),
                _ => None,
            },
            _ => None,
        })
    }

    /// What a field of a value is.
    pub(crate) fn type_of_field(&self, of: &Ty, name: &str) -> Ty {
        if let Ty::Tuple(parts) = of {
            let at = name.parse().unwrap_or(parts.len());
            return parts.get(at).cloned().unwrap_or(Ty::Unknown);
        }
        let Ty::Item(id) = of else { return Ty::Unknown };
        let EntryKind::Struct(fields) = self.kind(*id) else { return Ty::Unknown };
        let field = fields.iter().find(|(own, _)| own == name);
        field.map_or(Ty::Unknown, |(_, ty)| self.type_of(id.0, ty))
    }

    /// What a type of the workspace gives by `Deref`.
    pub(crate) fn target_of(&self, id: ItemId) -> Ty {
        self.targets.get(&id).map_or(Ty::Unknown, |(module, ty)| self.type_of(*module, ty))
    }

    /// What a method of a type of the workspace returns; `None` where it has no such method.
    pub(crate) fn returned_by(&self, id: ItemId, method: &str) -> Option<Ty> {
        let (module, returned) = self.methods.get(&id)?.get(method)?;
        Some(returned.as_ref().map_or(Ty::Unknown, |ty| match self.type_of(*module, ty) {
            Ty::Unknown if names_self(ty) => Ty::Item(id),
            ty => ty,
        }))
    }
}

fn door(name: Option<&String>) -> Ty {
    let door = name.and_then(|name| DOORS.iter().find(|door| *door == name));
    door.map_or(Ty::Unknown, |door| Ty::Door(door))
}

/// Whether a type is `Self`, or wraps it.
fn names_self(ty: &Type) -> bool {
    match ty {
        Type::Reference(ty) => names_self(&ty.elem),
        Type::Path(ty) => ty.path.segments.last().is_some_and(|last| {
            let first = match &last.arguments {
                PathArguments::AngleBracketed(list) => list.args.first(),
                _ => None,
            };
            last.ident == "Self" || matches!(first, Some(GenericArgument::Type(ty)) if names_self(ty))
        }),
        _ => false,
    }
}
