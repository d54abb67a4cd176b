//! The walk over the syntax: what is looked at, with which names around it.

use syn::visit::{self, Visit};
use syn::{Attribute, Block, Expr, ImplItem, Item, ItemUse, Lit, Pat, Stmt, TraitItem};

use super::Search;
use super::paths::As;
use crate::lint::names::{Ty, derives_and_names};

/// Attributes whose texts are for people, or names in other formats.
const PROSE: &[&str] = &[
    "allow",
    "arg",
    "clap",
    "command",
    "deny",
    "deprecated",
    "diagnostic",
    "doc",
    "error",
    "expect",
    "must_use",
    "schemars",
    "serde",
    "warn",
];

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
        if self.check_path(&path, item.ident.span(), As::Import) {
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
            let own = search.world.resolve(search.module, &[item.ident.to_string()]);
            let own = own.first().map_or(Ty::Unknown, |own| search.world.type_of_def(own, 0));
            let before = std::mem::replace(&mut search.own, own);
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

    /// An attribute names itself and what it derives. Its texts are for the macro that reads it, and may be a query for that.
    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        let derives = attribute.path().is_ident("derive") || attribute.path().is_ident("cfg_attr");
        for path in derives_and_names(&attribute.meta) {
            // A name alone is one of the compiler, or of a derive.
            if derives || path.segments.len() > 1 {
                self.check_syn_path(&path, As::Name);
            }
        }
        let holds_prose =
            attribute.path().get_ident().is_some_and(|name| PROSE.contains(&name.to_string().as_str()));
        if let (syn::Meta::List(list), false) = (&attribute.meta, holds_prose) {
            self.scan_texts(list.tokens.clone());
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.check_syn_path(path, As::Name);
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
        let text = local.init.as_ref().and_then(|init| self.text_of(&init.expr));
        self.bind(&local.pat, &ty);
        if let Some(text) = text {
            self.locals.give_text(&name, text);
        }
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
    pub(super) fn walk_statements(&mut self, statements: &[Stmt]) {
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
