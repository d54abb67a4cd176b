use std::collections::HashMap;

use super::entry::EntryKind;
use super::{ItemId, ModuleId, World};

/// What a path leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Def {
    /// Something of a package outside the workspace.
    Outside {
        package: String,
        path: Vec<String>,
    },
    Module(ModuleId),
    /// An item of the workspace, and what is named of it: a variant, an associated function.
    Item {
        id: ItemId,
        rest: Vec<String>,
    },
}

/// Names that every Rust file has. A glob is not taken to bring them.
const EVERYWHERE: &[&str] = &[
    "AsMut",
    "AsRef",
    "Box",
    "Clone",
    "Copy",
    "Debug",
    "Default",
    "DoubleEndedIterator",
    "Drop",
    "Eq",
    "Err",
    "ExactSizeIterator",
    "Extend",
    "Fn",
    "FnMut",
    "FnOnce",
    "From",
    "FromIterator",
    "Hash",
    "Into",
    "IntoIterator",
    "Iterator",
    "None",
    "Ok",
    "Option",
    "Ord",
    "PartialEq",
    "PartialOrd",
    "Result",
    "Self",
    "Send",
    "Sized",
    "Some",
    "String",
    "Sync",
    "ToOwned",
    "ToString",
    "TryFrom",
    "TryInto",
    "Unpin",
    "Vec",
    "assert",
    "assert_eq",
    "assert_ne",
    "async_trait",
    "bool",
    "cfg",
    "char",
    "concat",
    "dbg",
    "debug_assert",
    "derive",
    "drop",
    "env",
    "eprintln",
    "f32",
    "f64",
    "format",
    "i128",
    "i16",
    "i32",
    "i64",
    "i8",
    "include_str",
    "isize",
    "matches",
    "panic",
    "print",
    "println",
    "self",
    "std",
    "str",
    "test",
    "todo",
    "u128",
    "u16",
    "u32",
    "u64",
    "u8",
    "unreachable",
    "usize",
    "vec",
    "write",
    "writeln",
];

/// Globs of globs that are followed for a name at most.
const GLOBS_MAX: usize = 8;

/// What was looked for on the way to a name, so that names that lead to each other end, and none is looked for twice.
#[derive(Default)]
struct Seen {
    /// By module, name, whether private names count, and `in_glob`; empty while it is looked for.
    lookups: HashMap<(ModuleId, String, bool, bool), Vec<Def>>,
    /// The path of a glob is looked for, which itself comes through no glob of a package outside.
    in_glob: bool,
}

impl World {
    /// What a path leads to, as code in a module says it. There may be several, as a name can be a module and a function.
    pub(crate) fn resolve(&self, from: ModuleId, path: &[String]) -> Vec<Def> {
        let key = (from, path.to_vec());
        if let Some(found) = self.resolved.borrow().get(&key) {
            return found.clone();
        }
        let found = self.resolve_seen(from, path, &mut Seen::default());
        self.resolved.borrow_mut().insert(key, found.clone());
        found
    }

    fn resolve_seen(&self, from: ModuleId, path: &[String], seen: &mut Seen) -> Vec<Def> {
        let Some((first, rest)) = path.split_first() else { return vec![Def::Module(from)] };
        match first.as_str() {
            "crate" => self.walk(vec![Def::Module(self.crate_of(from).root)], rest, from, seen),
            "self" => self.walk(vec![Def::Module(self.without_blocks(from))], rest, from, seen),
            "super" => match self.modules[self.without_blocks(from)].parent {
                // What follows may be `super` again.
                Some(parent) => self.resolve_from(parent, rest, from, seen),
                None => Vec::new(),
            },
            "" => match rest.split_first() {
                Some((name, rest)) => self.walk(self.outside(from, name), rest, from, seen),
                None => Vec::new(),
            },
            name => self.walk(self.lexical(from, name, seen), rest, from, seen),
        }
    }

    fn resolve_from(&self, module: ModuleId, path: &[String], from: ModuleId, seen: &mut Seen) -> Vec<Def> {
        if path.first().is_some_and(|first| first == "super") {
            return self.resolve_seen(module, path, seen);
        }
        self.walk(vec![Def::Module(module)], path, from, seen)
    }

    /// The module around blocks.
    fn without_blocks(&self, mut module: ModuleId) -> ModuleId {
        while self.modules[module].is_block {
            let Some(parent) = self.modules[module].parent else { break };
            module = parent;
        }
        module
    }

    /// What a name means here: in the blocks around, in the module, and then as the name of a crate.
    fn lexical(&self, from: ModuleId, name: &str, seen: &mut Seen) -> Vec<Def> {
        let mut module = from;
        loop {
            let found = self.lookup(module, name, from, seen);
            if !found.is_empty() {
                return found;
            }
            match self.modules[module].parent {
                Some(parent) if self.modules[module].is_block => module = parent,
                _ => break,
            }
        }
        let found = self.outside(from, name);
        if found.is_empty() { self.by_outside_globs(from, name, seen) } else { found }
    }

    /// The crate of this name.
    fn outside(&self, from: ModuleId, name: &str) -> Vec<Def> {
        let Some(package) = self.extern_package(self.modules[from].krate, name) else { return Vec::new() };
        match self.libraries.get(package) {
            Some(library) => vec![Def::Module(self.crates[*library].root)],
            None => vec![Def::Outside { package: package.to_owned(), path: Vec::new() }],
        }
    }

    /// What a name is in a module.
    fn lookup(&self, module: ModuleId, name: &str, from: ModuleId, seen: &mut Seen) -> Vec<Def> {
        let sees_private = self.is_within(from, module);
        let key = (module, name.to_owned(), sees_private, seen.in_glob);
        if let Some(found) = seen.lookups.get(&key) {
            return found.clone();
        }
        seen.lookups.insert(key.clone(), Vec::new());
        let mut found = Vec::new();
        for at in self.modules[module].names.get(name).into_iter().flatten() {
            let entry = &self.modules[module].entries[*at].1;
            if !entry.is_public && !sees_private {
                continue;
            }
            match &entry.kind {
                EntryKind::Module(inner) => found.push(Def::Module(*inner)),
                EntryKind::Use(path) => found.extend(self.resolve_seen(module, path, seen)),
                EntryKind::Crate(name) if name == "self" => {
                    found.push(Def::Module(self.crate_of(module).root));
                }
                EntryKind::Crate(name) => found.extend(self.outside(module, name)),
                _ => found.push(Def::Item { id: (module, *at), rest: Vec::new() }),
            }
        }
        if found.is_empty() {
            for glob in &self.modules[module].globs {
                for def in self.resolve_seen(module, glob, seen) {
                    found.extend(self.of_glob(def, name, module, seen));
                }
            }
        }
        seen.lookups.insert(key, found.clone());
        found
    }

    /// What a glob brings under a name. What lies outside cannot be looked at, and is asked last.
    fn of_glob(&self, def: Def, name: &str, from: ModuleId, seen: &mut Seen) -> Vec<Def> {
        match def {
            Def::Module(module) => self.lookup(module, name, from, seen),
            Def::Item { id, .. } => match self.kind(id) {
                EntryKind::Enum(variants) if variants.iter().any(|variant| variant == name) => {
                    vec![Def::Item { id, rest: vec![name.to_owned()] }]
                }
                _ => Vec::new(),
            },
            Def::Outside { .. } => Vec::new(),
        }
    }

    /// What a name may be where a glob of a package outside brings it.
    fn by_outside_globs(&self, from: ModuleId, name: &str, seen: &mut Seen) -> Vec<Def> {
        if seen.in_glob || EVERYWHERE.contains(&name) {
            return Vec::new();
        }
        let mut found = Vec::new();
        let mut module = Some(from);
        while let Some(at) = module {
            self.add_by_globs(at, name, seen, &mut found, 0);
            module = self.modules[at].parent.filter(|_| self.modules[at].is_block);
        }
        found
    }

    fn add_by_globs(
        &self,
        module: ModuleId,
        name: &str,
        seen: &mut Seen,
        found: &mut Vec<Def>,
        depth: usize,
    ) {
        if depth > GLOBS_MAX || seen.in_glob {
            return;
        }
        for glob in &self.modules[module].globs {
            seen.in_glob = true;
            let defs = self.resolve_seen(module, glob, seen);
            seen.in_glob = false;
            for def in defs {
                match def {
                    Def::Outside { package, mut path } => {
                        path.push(name.to_owned());
                        found.push(Def::Outside { package, path });
                    }
                    Def::Module(inner) if inner != module => {
                        self.add_by_globs(inner, name, seen, found, depth + 1);
                    }
                    _ => {}
                }
            }
        }
    }

    /// Goes on along a path.
    fn walk(&self, starts: Vec<Def>, path: &[String], from: ModuleId, seen: &mut Seen) -> Vec<Def> {
        let Some((name, rest)) = path.split_first() else { return starts };
        let mut found = Vec::new();
        for def in starts {
            let next = match def {
                Def::Module(module) => {
                    let inner = self.lookup(module, name, from, seen);
                    if inner.is_empty() && !EVERYWHERE.contains(&name.as_str()) {
                        let mut outside = Vec::new();
                        self.add_by_globs(module, name, seen, &mut outside, 0);
                        outside
                    } else {
                        inner
                    }
                }
                Def::Outside { package, mut path } => {
                    path.push(name.clone());
                    vec![Def::Outside { package, path }]
                }
                Def::Item { id, rest } => self.of_item(id, rest, name, seen),
            };
            found.extend(self.walk(next, rest, from, seen));
        }
        found
    }

    /// What is named of an item. An alias stands for its type.
    fn of_item(&self, id: ItemId, mut rest: Vec<String>, name: &str, seen: &mut Seen) -> Vec<Def> {
        match self.kind(id) {
            EntryKind::Alias(ty) if rest.is_empty() => {
                let syn::Type::Path(path) = &**ty else { return Vec::new() };
                let starts = self.resolve_seen(id.0, &super::text_of_path(&path.path), seen);
                self.walk(starts, &[name.to_owned()], id.0, seen)
            }
            _ => {
                rest.push(name.to_owned());
                vec![Def::Item { id, rest }]
            }
        }
    }

    fn is_within(&self, inner: ModuleId, outer: ModuleId) -> bool {
        let mut module = Some(inner);
        while let Some(at) = module {
            if at == outer {
                return true;
            }
            module = self.modules[at].parent;
        }
        false
    }
}
