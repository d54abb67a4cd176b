//! Of which type a value is, as far as signatures and fields say it.

use syn::{Expr, Member};

use super::Search;
use super::doors::returned_by_door;
use crate::lint::names::{Def, EntryKind, Ty, text_of_path};

impl Search<'_> {
    pub(super) fn value_of(&self, expr: &Expr) -> Ty {
        match expr {
            Expr::Path(path) if path.qself.is_none() => self.value_of_path(&text_of_path(&path.path)),
            Expr::Reference(inner) => self.value_of(&inner.expr),
            Expr::Paren(inner) => self.value_of(&inner.expr),
            Expr::Group(inner) => self.value_of(&inner.expr),
            Expr::Try(inner) => self.value_of(&inner.expr),
            Expr::Await(inner) => self.value_of(&inner.base),
            Expr::Unary(inner) => self.value_of(&inner.expr),
            Expr::Index(inner) => self.value_of(&inner.expr),
            Expr::Cast(inner) => self.type_here(&inner.ty),
            Expr::Field(field) => {
                let name = match &field.member {
                    Member::Named(name) => name.to_string(),
                    Member::Unnamed(at) => at.index.to_string(),
                };
                self.world.type_of_field(&self.value_of(&field.base), &name)
            }
            Expr::MethodCall(call) => {
                self.value_of_method(&self.value_of(&call.receiver), &call.method.to_string())
            }
            Expr::Call(call) => match &*call.func {
                Expr::Path(path) if self.makes_process(&text_of_path(&path.path)) => Ty::Process,
                Expr::Path(path) => match self.value_of_call(&text_of_path(&path.path)) {
                    Ty::Unknown if call.args.len() == 1 && wraps(&path.path) => self.value_of(&call.args[0]),
                    ty => ty,
                },
                _ => Ty::Unknown,
            },
            Expr::Struct(value) => {
                let defs = self.world.resolve(self.module, &text_of_path(&value.path));
                let mut types = defs.iter().map(|def| self.world.type_of_def(def, 0));
                types.find(|ty| *ty != Ty::Unknown).unwrap_or(Ty::Unknown)
            }
            Expr::Macro(mac) => match self.database_of(&text_of_path(&mac.mac.path)) {
                Some(database) => Ty::Database(database),
                None => Ty::Unknown,
            },
            Expr::Block(block) => match block.block.stmts.last() {
                Some(syn::Stmt::Expr(expr, None)) => self.value_of(expr),
                _ => Ty::Unknown,
            },
            _ => Ty::Unknown,
        }
    }

    fn value_of_path(&self, path: &[String]) -> Ty {
        if let [name] = path
            && let Some(ty) = self.locals.find(name)
        {
            return ty.clone();
        }
        for def in self.world.resolve(self.module, path) {
            if let Def::Item { id, rest } = def
                && rest.is_empty()
                && let EntryKind::Value(ty, _) = self.world.kind(id)
            {
                return self.world.type_of(id.0, ty);
            }
        }
        Ty::Unknown
    }

    /// What a call of a path returns.
    fn value_of_call(&self, path: &[String]) -> Ty {
        if let [first, method] = path
            && first == "Self"
            && let Ty::Item(id) = &self.own
        {
            return self.world.returned_by(*id, method).unwrap_or(Ty::Unknown);
        }
        for def in self.world.resolve(self.module, path) {
            let ty = match &def {
                Def::Outside { package, .. } if self.world.is_database(package) => {
                    Ty::Database(package.clone())
                }
                Def::Outside { path, .. } => match path.as_slice() {
                    [before @ .., _constructor] => {
                        let of = Def::Outside { package: package_of(&def), path: before.to_vec() };
                        self.world.type_of_def(&of, 0)
                    }
                    [] => Ty::Unknown,
                },
                Def::Item { id, rest } => match (self.world.kind(*id), rest.as_slice()) {
                    (EntryKind::Function(Some(ty)), []) => self.world.type_of(id.0, ty),
                    (EntryKind::Struct(_), []) => Ty::Item(*id),
                    (_, [method]) => match self.world.returned_by(*id, method) {
                        Some(Ty::Item(own)) if own == *id => {
                            self.world.type_of_def(&Def::Item { id: *id, rest: Vec::new() }, 0)
                        }
                        Some(ty) => ty,
                        None => Ty::Unknown,
                    },
                    _ => Ty::Unknown,
                },
                Def::Module(_) => Ty::Unknown,
            };
            if ty != Ty::Unknown {
                return ty;
            }
        }
        Ty::Unknown
    }

    /// What a method gives. One that is not known gives what it is called on, as `clone`, `unwrap` and `lock` do.
    fn value_of_method(&self, on: &Ty, method: &str) -> Ty {
        let returned = match on {
            Ty::Database(_) | Ty::Process => return on.clone(),
            Ty::Item(id) => match self.world.returned_by(*id, method) {
                Some(ty) => Some(ty),
                None => match self.world.target_of(*id) {
                    Ty::Unknown => None,
                    // A wrapper that can be cloned is cloned itself.
                    _ if passes_on(method) => None,
                    target => return self.value_of_method(&target, method),
                },
            },
            Ty::Door(door) => returned_by_door(door, method),
            Ty::Tuple(_) | Ty::Unknown => None,
        };
        returned.unwrap_or_else(|| if passes_on(method) { on.clone() } else { Ty::Unknown })
    }

    /// What a method is called on: where a type of the workspace has no such method, what it gives by `Deref`.
    pub(super) fn called_on(&self, receiver: &Expr, method: &str) -> Ty {
        let on = self.value_of(receiver);
        match &on {
            Ty::Item(id) if self.world.returned_by(*id, method).is_none() => {
                match self.world.target_of(*id) {
                    Ty::Unknown => on,
                    target => target,
                }
            }
            _ => on,
        }
    }
}

fn package_of(def: &Def) -> String {
    match def {
        Def::Outside { package, .. } => package.clone(),
        _ => String::new(),
    }
}

/// Whether a call puts what it is given into a wrapper: `Some(pool)`, `Arc::new(pool)`.
fn wraps(path: &syn::Path) -> bool {
    const WRAPPERS: &[&str] = &[
        "Arc",
        "Box",
        "Cell",
        "Data",
        "Extension",
        "Mutex",
        "Ok",
        "OnceCell",
        "OnceLock",
        "Pin",
        "Rc",
        "RefCell",
        "RwLock",
        "Some",
        "State",
    ];
    path.segments.iter().rev().take(2).any(|segment| WRAPPERS.contains(&segment.ident.to_string().as_str()))
}

/// Methods of wrappers, references and lists that give what is in them.
pub(super) fn passes_on(method: &str) -> bool {
    const PASSING: &[&str] = &[
        "as_deref",
        "as_mut",
        "as_ref",
        "blocking_lock",
        "borrow",
        "borrow_mut",
        "by_ref",
        "clone",
        "cloned",
        "context",
        "deref",
        "deref_mut",
        "expect",
        "extract",
        "get",
        "get_mut",
        "get_or_init",
        "inner",
        "into",
        "into_inner",
        "into_iter",
        "iter",
        "iter_mut",
        "load",
        "lock",
        "map_err",
        "next",
        "ok",
        "ok_or",
        "ok_or_else",
        "pop",
        "read",
        "take",
        "to_owned",
        "to_vec",
        "unwrap",
        "unwrap_or_default",
        "unwrap_or_else",
        "upgrade",
        "with_context",
        "write",
    ];
    PASSING.contains(&method)
}

/// Methods that say nothing of a database, whatever they are called on. Those of databases that are called the same take an argument.
pub(super) fn is_general(method: &str, arguments: usize) -> bool {
    const GENERAL: &[&str] = &[
        "and_then",
        "as_deref",
        "as_mut",
        "as_ref",
        "borrow",
        "borrow_mut",
        "by_ref",
        "chain",
        "clone",
        "cloned",
        "collect",
        "context",
        "copied",
        "deref",
        "deref_mut",
        "enumerate",
        "expect",
        "expect_err",
        "filter",
        "filter_map",
        "flat_map",
        "fmt",
        "inspect",
        "inspect_err",
        "into",
        "into_iter",
        "is_empty",
        "is_err",
        "is_none",
        "is_ok",
        "is_ok_and",
        "is_some",
        "is_some_and",
        "iter",
        "iter_mut",
        "len",
        "map",
        "map_err",
        "map_or",
        "map_or_else",
        "ok",
        "ok_or",
        "ok_or_else",
        "or_else",
        "pop",
        "push",
        "to_owned",
        "to_string",
        "to_vec",
        "transpose",
        "unwrap",
        "unwrap_err",
        "unwrap_or",
        "unwrap_or_default",
        "unwrap_or_else",
        "with_context",
        "zip",
    ];
    GENERAL.contains(&method) || arguments == 0 && ["first", "last", "lock", "next", "take"].contains(&method)
}
