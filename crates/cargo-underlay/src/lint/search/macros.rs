use syn::visit::Visit;
use syn::{Expr, Stmt, Token};

use super::paths::As;
use super::{Search, texts};
use crate::lint::names::text_of_path;

/// How deep included files may lie in each other; one that includes itself ends there.
const FILES_MAX: usize = 16;

impl Search<'_> {
    /// What a macro is, and what it is given.
    pub(super) fn check_macro(&mut self, mac: &syn::Macro) {
        let path = text_of_path(&mac.path);
        let is_database = self.check_syn_path(&mac.path, As::Call) && self.database_of(&path).is_some();
        let name = path.last().cloned().unwrap_or_default();
        let is_runner = Self::is_runner(&path);
        self.in_calls += usize::from(is_database);
        let says_query = texts::says_query(&name);
        self.in_queries += usize::from(says_query);
        if name == "include" {
            self.walk_included(mac);
        } else if is_runner {
            self.scan_lines(mac.tokens.clone());
        } else {
            self.walk_given(mac);
        }
        self.in_queries -= usize::from(says_query);
        self.in_calls -= usize::from(is_database);
    }

    /// Reads what a macro is given as expressions, as statements, as items, or else as tokens.
    fn walk_given(&mut self, mac: &syn::Macro) {
        let expressions = syn::punctuated::Punctuated::<Expr, Token![,]>::parse_terminated;
        if let Ok(given) = mac.parse_body_with(expressions) {
            return given.iter().for_each(|expr| self.visit_expr(expr));
        }
        if let Ok(statements) = mac.parse_body_with(syn::Block::parse_within) {
            // A statement that is no more than a token tree says nothing of what it is.
            let is_read =
                !statements.iter().any(|statement| matches!(statement, Stmt::Expr(Expr::Verbatim(_), _)));
            if is_read {
                return self.walk_statements(&statements);
            }
        }
        match syn::parse2::<syn::File>(mac.tokens.clone()) {
            Ok(file) => file.items.iter().for_each(|item| self.visit_item(item)),
            Err(_) => self.scan(mac.tokens.clone()),
        }
    }

    /// `include!` in the place of an expression or of statements.
    fn walk_included(&mut self, mac: &syn::Macro) {
        let path = self.world.included(self.module, self.file, mac);
        let Some(path) = path.filter(|_| self.in_files < FILES_MAX) else { return };
        let Ok(text) = std::fs::read_to_string(&path) else { return };
        let parse = |text: &str| syn::parse_str::<syn::Block>(&format!("{{{text}\n}}"));
        let Ok(block) = parse(&text) else { return };
        let file = self.world.add_included(&path);
        let before = std::mem::replace(&mut self.file, file);
        self.in_files += 1;
        self.visit_block(&block);
        self.in_files -= 1;
        self.file = before;
    }
}
