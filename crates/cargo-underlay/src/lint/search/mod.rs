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

use std::collections::{BTreeSet, HashSet};

use proc_macro2::Span;
use syn::visit::{self, Visit};
use syn::{Attribute, Block, Expr, ImplItem, Item, ItemUse, Lit, Pat, Signature, Stmt, TraitItem};

use super::names::{FileId, ModuleId, Ty, World, derives_and_names, is_test_code, use_leaves};
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
        // One place is told once, however much of it is on the line.
        let is_there = |place: &Place| {
            let Finding { file, line, rule, .. } = &place.finding;
            (file, line, rule) == (&finding.file, &finding.line, &finding.rule)
        };
        if !self.found.places.iter().any(is_there) {
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

impl<'ast> Visit<'ast> for Search<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        let attributes = match item {
            Item::Const(item) => &item.attrs,
            Item::Enum(item) => &item.attrs,
            Item::Fn(item) => &item.attrs,
            Item::Impl(item) => &item.attrs,
            Item::Macro(item) => &item.attrs,
            Item::Static(item) => &item.attrs,
            Item::Struct(item) => &item.attrs,
            Item::Trait(item) => &item.attrs,
            Item::Type(item) => &item.attrs,
            Item::Use(item) => &item.attrs,
            _ => &Vec::new(),
        };
        self.as_tested(attributes, |search| visit::visit_item(search, item));
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        self.check_use(item);
    }

    fn visit_item_extern_crate(&mut self, item: &'ast syn::ItemExternCrate) {
        let path = [String::new(), item.ident.to_string()];
        if self.check_path(&path, item.ident.span(), paths::As::Import) {
            let name = item.rename.as_ref().map_or(&item.ident, |(_, name)| name).to_string();
            self.told.insert((self.module, name));
        }
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.visit_attributes(&item.attrs);
        self.function(&item.sig, |search| search.visit_block(&item.block));
    }

    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        self.in_scope(|search| {
            search.enter_generics(&item.generics);
            visit::visit_item_struct(search, item);
        });
    }

    fn visit_item_enum(&mut self, item: &'ast syn::ItemEnum) {
        self.in_scope(|search| {
            search.enter_generics(&item.generics);
            visit::visit_item_enum(search, item);
        });
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        self.in_scope(|search| {
            search.enter_generics(&item.generics);
            let own = search.world.type_of(search.module, &item.self_ty);
            let before = std::mem::replace(&mut search.own, own);
            visit::visit_item_impl(search, item);
            search.own = before;
        });
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        self.in_scope(|search| {
            search.enter_generics(&item.generics);
            let before = std::mem::replace(&mut search.own, Ty::Unknown);
            visit::visit_item_trait(search, item);
            search.own = before;
        });
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        match item {
            ImplItem::Fn(method) => self.as_tested(&method.attrs, |search| {
                search.visit_attributes(&method.attrs);
                search.function(&method.sig, |search| search.visit_block(&method.block));
            }),
            ImplItem::Const(constant) => {
                let name = constant.ident.to_string();
                self.in_query_named(&name, |search| visit::visit_impl_item_const(search, constant));
            }
            other => visit::visit_impl_item(self, other),
        }
    }

    fn visit_trait_item(&mut self, item: &'ast TraitItem) {
        match item {
            TraitItem::Fn(method) => self.function(&method.sig, |search| {
                if let Some(block) = &method.default {
                    search.visit_block(block);
                }
            }),
            other => visit::visit_trait_item(self, other),
        }
    }

    fn visit_item_const(&mut self, item: &'ast syn::ItemConst) {
        self.in_query_named(&item.ident.to_string(), |search| visit::visit_item_const(search, item));
    }

    fn visit_item_static(&mut self, item: &'ast syn::ItemStatic) {
        self.in_query_named(&item.ident.to_string(), |search| visit::visit_item_static(search, item));
    }

    fn visit_field_value(&mut self, field: &'ast syn::FieldValue) {
        let name = match &field.member {
            syn::Member::Named(name) => name.to_string(),
            syn::Member::Unnamed(_) => String::new(),
        };
        self.in_query_named(&name, |search| search.visit_expr(&field.expr));
    }

    /// An attribute names itself and what it derives. Its texts are for the macro that reads it.
    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        let derives = attribute.path().is_ident("derive") || attribute.path().is_ident("cfg_attr");
        for path in derives_and_names(&attribute.meta) {
            // A name alone is one of the compiler, or of a derive.
            if derives || path.segments.len() > 1 {
                self.check_syn_path(&path, paths::As::Name);
            }
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.check_syn_path(path, paths::As::Name);
        visit::visit_path(self, path);
    }

    fn visit_block(&mut self, block: &'ast Block) {
        self.walk_statements(&block.stmts);
    }

    fn visit_local(&mut self, local: &'ast syn::Local) {
        let name = match &local.pat {
            Pat::Ident(pattern) => pattern.ident.to_string(),
            Pat::Type(typed) => match &*typed.pat {
                Pat::Ident(pattern) => pattern.ident.to_string(),
                _ => String::new(),
            },
            _ => String::new(),
        };
        self.in_query_named(&name, |search| {
            if let Some(init) = &local.init {
                search.visit_expr(&init.expr);
                if let Some((_, otherwise)) = &init.diverge {
                    search.visit_expr(otherwise);
                }
            }
        });
        visit::visit_pat(self, &local.pat);
        let ty = local.init.as_ref().map_or(Ty::Unknown, |init| self.value_of(&init.expr));
        self.bind(&local.pat, &ty);
    }

    fn visit_expr(&mut self, expr: &'ast Expr) {
        let is_text = self.check_text_of(expr);
        self.in_texts += usize::from(is_text);
        self.walk_expr(expr);
        self.in_texts -= usize::from(is_text);
    }

    fn visit_arm(&mut self, arm: &'ast syn::Arm) {
        self.in_scope(|search| visit::visit_arm(search, arm));
    }

    fn visit_lit(&mut self, lit: &'ast Lit) {
        self.check_literal(lit);
    }

    fn visit_macro(&mut self, mac: &'ast syn::Macro) {
        self.check_macro(mac);
    }

    fn visit_item_macro(&mut self, item: &'ast syn::ItemMacro) {
        if item.ident.is_some() {
            self.scan(item.mac.tokens.clone());
        } else {
            self.check_macro(&item.mac);
        }
    }
}

impl Search<'_> {
    fn visit_attributes(&mut self, attributes: &[Attribute]) {
        for attribute in attributes {
            self.visit_attribute(attribute);
        }
    }

    /// Statements with the items among them, which have names of their own.
    fn walk_statements(&mut self, statements: &[Stmt]) {
        let items: Vec<&Item> = statements
            .iter()
            .filter_map(|statement| match statement {
                Stmt::Item(item) => Some(item),
                _ => None,
            })
            .collect();
        let before = self.module;
        if !items.is_empty() {
            self.module = self.world.open_block(before, &items);
        }
        self.in_scope(|search| {
            for statement in statements {
                search.visit_stmt(statement);
            }
        });
        self.module = before;
    }
}
