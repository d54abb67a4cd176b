//! Looks through the code of a workspace for what the rules are about.
//!
//! A walk over the syntax tree of each module, with what the names mean there and, as far as signatures, fields and `let` say it,
//! of which type a value is. What a macro is given is read as expressions, statements or items where it can be, and else as tokens.

mod calls;
mod doors;
mod locals;
mod macros;
mod paths;
mod programs;
mod texts;
mod tokens;
mod values;
mod walk;

use std::collections::{BTreeSet, HashSet};

use proc_macro2::Span;
use syn::visit::Visit;
use syn::{Attribute, ItemUse, Signature};

use super::names::{FileId, ModuleId, Ty, World, is_test_code, use_leaves};
use super::rule::{Finding, Rule};
use locals::Locals;

/// What stands for the names that a glob brings.
const GLOB: &str = "*";

/// What was found in the code.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// In their order, each with the package of its file.
    pub(crate) places: BTreeSet<Place>,
    /// Which file of which package uses which database crate.
    pub(crate) uses: HashSet<Use>,
    /// The lines that were told already, with the rule: one is told once, however much of it is there.
    lines: HashSet<(FileId, usize, Rule)>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) finding: Finding,
    pub(crate) package: String,
}

/// A file that uses a database crate.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Use {
    pub(crate) package: String,
    pub(crate) file: String,
    pub(crate) database: String,
}

/// Looks through every module.
pub(crate) fn search(world: &mut World) -> Found {
    let mut found = Found::default();
    for module in 0..world.modules.len() {
        let parts = std::mem::take(&mut world.modules[module].parts);
        for (file, items) in &parts {
            let is_test = world.modules[module].is_test;
            let mut search = Search::new(world, *file, module, is_test, &mut found);
            for item in items {
                search.visit_item(item);
            }
        }
    }
    found
}

/// A walk over the items of one file.
struct Search<'a> {
    world: &'a mut World,
    file: FileId,
    module: ModuleId,
    is_test: bool,
    locals: Locals,
    /// The type that `Self` is.
    own: Ty,
    /// Names that a `use` brought that was found already, by module.
    told: HashSet<(ModuleId, String)>,
    /// How many calls to a database lie around: what they are given is found with them.
    in_calls: usize,
    /// How many places lie around whose name says that a text is a query.
    in_queries: usize,
    /// How many texts lie around that were read as a whole.
    in_texts: usize,
    /// How many included files lie around.
    in_files: usize,
    found: &'a mut Found,
}

impl<'a> Search<'a> {
    fn new(
        world: &'a mut World,
        file: FileId,
        module: ModuleId,
        is_test: bool,
        found: &'a mut Found,
    ) -> Self {
        Self {
            world,
            file,
            module,
            is_test,
            locals: Locals::default(),
            own: Ty::Unknown,
            told: HashSet::new(),
            in_calls: 0,
            in_queries: 0,
            in_texts: 0,
            in_files: 0,
            found,
        }
    }

    fn find(&mut self, rule: Rule, span: Span, what: impl Into<String>) {
        if self.is_test && rule.spares_tests() {
            return;
        }
        let at = span.start();
        let file = self.world.files[self.file].path.clone();
        let finding = Finding { file, line: at.line, column: at.column + 1, rule, what: what.into() };
        if self.found.lines.insert((self.file, at.line, rule)) {
            let package = self.world.crate_of(self.module).package.clone();
            self.found.places.insert(Place { finding, package });
        }
    }

    /// Notes that this file uses a database crate, whether it may or not.
    fn note_use(&mut self, database: &str) {
        let file = self.world.files[self.file].path.clone();
        let package = self.world.crate_of(self.module).package.clone();
        self.found.uses.insert(Use { package, file, database: database.to_owned() });
    }

    /// Goes on as in code for tests, where attributes say so.
    fn as_tested(&mut self, attributes: &[Attribute], walk: impl FnOnce(&mut Self)) {
        let before = self.is_test;
        self.is_test |= is_test_code(attributes);
        walk(self);
        self.is_test = before;
    }

    /// Goes on with names of its own.
    fn in_scope(&mut self, walk: impl FnOnce(&mut Self)) {
        self.locals.open();
        walk(self);
        self.locals.close();
    }

    /// Goes on in what a name says is a query, such as `const SQL`.
    fn in_query_named(&mut self, name: &str, walk: impl FnOnce(&mut Self)) {
        let says_query = texts::says_query(name);
        self.in_queries += usize::from(says_query);
        walk(self);
        self.in_queries -= usize::from(says_query);
    }

    fn function(&mut self, signature: &Signature, walk: impl FnOnce(&mut Self)) {
        self.in_scope(|search| {
            search.enter_generics(&signature.generics);
            search.visit_signature(signature);
            for input in &signature.inputs {
                match input {
                    syn::FnArg::Receiver(_) => search.locals.bind("self", search.own.clone()),
                    syn::FnArg::Typed(input) => search.bind_typed(&input.pat, &input.ty),
                }
            }
            walk(search);
        });
    }

    fn check_use(&mut self, item: &ItemUse) {
        for leaf in use_leaves(item) {
            let module = self.module;
            if self.check_path(&leaf.path, leaf.at.span(), paths::As::Import) {
                self.told.insert((module, leaf.name.unwrap_or_else(|| GLOB.to_owned())));
            }
        }
    }
}
