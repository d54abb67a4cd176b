use syn::{Fields, ImplItem, Item, ReturnType, TraitItem, Type, UseTree, Visibility};

use super::{ItemId, ModuleId, World};

/// A name in a module.
pub(crate) struct Entry {
    /// Whether modules that are not below can see it.
    pub(super) is_public: bool,
    pub(crate) kind: EntryKind,
}

pub(crate) enum EntryKind {
    Module(ModuleId),
    /// `use`, with the whole path.
    Use(Vec<String>),
    /// `extern crate`, by the name in the manifest.
    Crate(String),
    Alias(Box<Type>),
    /// A struct or a union, with its fields; those without a name have their number.
    Struct(Vec<(String, Type)>),
    /// An enum, with its variants.
    Enum(Vec<String>),
    Trait,
    /// A function, with what it returns.
    Function(Option<Box<Type>>),
    /// A constant or a static.
    Value(Box<Type>, Option<Box<syn::Expr>>),
}

/// A name that a `use` brings.
pub(crate) struct Leaf<'a> {
    pub(crate) path: Vec<String>,
    /// The name it has here; `None` of a glob.
    pub(crate) name: Option<String>,
    pub(crate) at: &'a syn::Ident,
}

/// The names that a `use` brings. A leading `::` is an empty first part.
pub(crate) fn use_leaves(item: &syn::ItemUse) -> Vec<Leaf<'_>> {
    let mut leaves = Vec::new();
    let start = if item.leading_colon.is_some() { vec![String::new()] } else { Vec::new() };
    add_leaves(&item.tree, &start, None, &mut leaves);
    leaves
}

fn add_leaves<'a>(
    tree: &'a UseTree,
    before: &[String],
    last: Option<&'a syn::Ident>,
    leaves: &mut Vec<Leaf<'a>>,
) {
    let below = |ident: &syn::Ident| [before, &[plain(ident)]].concat();
    // `use a::{self}` brings `a` itself.
    let of = |ident: &'a syn::Ident, renamed: Option<&syn::Ident>| {
        let is_self = ident == "self" && !before.is_empty();
        let path = if is_self { before.to_vec() } else { below(ident) };
        let name = renamed.map(plain).or_else(|| path.last().cloned());
        Leaf { path, name, at: ident }
    };
    match tree {
        UseTree::Path(path) => add_leaves(&path.tree, &below(&path.ident), Some(&path.ident), leaves),
        UseTree::Name(name) => leaves.push(of(&name.ident, None)),
        UseTree::Rename(rename) => leaves.push(of(&rename.ident, Some(&rename.rename))),
        UseTree::Glob(_) => {
            leaves.extend(last.map(|at| Leaf { path: before.to_vec(), name: None, at }));
        }
        UseTree::Group(group) => {
            for tree in &group.items {
                add_leaves(tree, before, last, leaves);
            }
        }
    }
}

/// The parts of a path. A leading `::` is an empty first part.
pub(crate) fn text_of_path(path: &syn::Path) -> Vec<String> {
    let start = path.leading_colon.map(|_| String::new());
    start.into_iter().chain(path.segments.iter().map(|segment| plain(&segment.ident))).collect()
}

/// A name without the sign of a raw one.
fn plain(ident: &syn::Ident) -> String {
    let text = ident.to_string();
    text.strip_prefix("r#").map_or(text.clone(), str::to_owned)
}

fn returned(output: &ReturnType) -> Option<Box<Type>> {
    match output {
        ReturnType::Default => None,
        ReturnType::Type(_, ty) => Some(ty.clone()),
    }
}

fn fields(fields: &Fields) -> Vec<(String, Type)> {
    let name = |(at, field): (usize, &syn::Field)| {
        (field.ident.as_ref().map_or_else(|| at.to_string(), plain), field.ty.clone())
    };
    fields.iter().enumerate().map(name).collect()
}

impl World {
    /// Enters an item's name into a module. Modules are entered where they are followed.
    pub(super) fn enter(&mut self, module: ModuleId, item: &Item) {
        let (name, visibility, kind) = match item {
            Item::Use(item) => return self.enter_use(module, item),
            Item::ExternCrate(item) => {
                let name = item.rename.as_ref().map_or(&item.ident, |(_, name)| name);
                (name, &item.vis, EntryKind::Crate(plain(&item.ident)))
            }
            Item::Type(item) => (&item.ident, &item.vis, EntryKind::Alias(item.ty.clone())),
            Item::Struct(item) => (&item.ident, &item.vis, EntryKind::Struct(fields(&item.fields))),
            Item::Union(item) => {
                let fields = fields(&Fields::Named(item.fields.clone()));
                (&item.ident, &item.vis, EntryKind::Struct(fields))
            }
            Item::Enum(item) => {
                let variants = item.variants.iter().map(|variant| plain(&variant.ident)).collect();
                (&item.ident, &item.vis, EntryKind::Enum(variants))
            }
            Item::Trait(item) => (&item.ident, &item.vis, EntryKind::Trait),
            Item::Fn(item) => (&item.sig.ident, &item.vis, EntryKind::Function(returned(&item.sig.output))),
            Item::Const(item) => {
                (&item.ident, &item.vis, EntryKind::Value(item.ty.clone(), Some(item.expr.clone())))
            }
            Item::Static(item) => {
                (&item.ident, &item.vis, EntryKind::Value(item.ty.clone(), Some(item.expr.clone())))
            }
            _ => return,
        };
        let is_public = !matches!(visibility, Visibility::Inherited);
        self.add_entry(module, &plain(name), Entry { is_public, kind });
    }

    fn enter_use(&mut self, module: ModuleId, item: &syn::ItemUse) {
        let is_public = !matches!(item.vis, Visibility::Inherited);
        for leaf in use_leaves(item) {
            match leaf.name {
                Some(name) => {
                    self.add_entry(module, &name, Entry { is_public, kind: EntryKind::Use(leaf.path) })
                }
                None => self.modules[module].globs.push(leaf.path),
            }
        }
    }

    /// Enters what the methods of the types and traits in a module return.
    pub(super) fn enter_methods(&mut self, module: ModuleId, item: &Item) {
        let mut found: Vec<(ItemId, String, Option<Type>)> = Vec::new();
        match item {
            Item::Impl(item) => {
                let Some(id) = self.item_of_type(module, &item.self_ty) else { return };
                let derefs = item.trait_.as_ref().and_then(|(_, path, _)| path.segments.last());
                let derefs = derefs.is_some_and(|last| last.ident == "Deref");
                for part in &item.items {
                    match part {
                        ImplItem::Fn(method) => {
                            let returned = returned(&method.sig.output).map(|ty| *ty);
                            found.push((id, plain(&method.sig.ident), returned));
                        }
                        ImplItem::Type(target) if derefs => {
                            self.targets.insert(id, (module, target.ty.clone()));
                        }
                        _ => {}
                    }
                }
            }
            Item::Trait(item) => {
                let Some(at) = self.own_entry(module, &plain(&item.ident)) else { return };
                for part in &item.items {
                    if let TraitItem::Fn(method) = part {
                        let returned = returned(&method.sig.output).map(|ty| *ty);
                        found.push(((module, at), plain(&method.sig.ident), returned));
                    }
                }
            }
            _ => return,
        }
        for (id, name, returned) in found {
            self.methods.entry(id).or_default().insert(name, (module, returned));
        }
    }

    fn own_entry(&self, module: ModuleId, name: &str) -> Option<usize> {
        let places = self.modules[module].names.get(name)?;
        places.iter().copied().find(|at| matches!(self.kind((module, *at)), EntryKind::Trait))
    }
}
