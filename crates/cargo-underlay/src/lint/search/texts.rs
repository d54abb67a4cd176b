//! The texts of code: literals, and what is put together of them before the program runs.

use proc_macro2::Span;
use syn::spanned::Spanned;
use syn::{BinOp, Expr, ExprCall, Lit};

use super::Search;
use crate::lint::databases::connection_scheme;
use crate::lint::names::{Def, EntryKind, string_of, text_of_path};
use crate::lint::rule::Rule;
use crate::lint::sql::{Query, query};

/// How deep constants may name each other.
const DEPTH_MAX: usize = 16;
/// What stands for a part that is known when the program runs.
const PLACE: &str = "{}";

/// Whether a name says that a text is a query: `SQL`, `INSERT_QUERY`, `fetch_all`.
pub(super) fn says_query(name: &str) -> bool {
    const WORDS: &[&str] =
        &["exec", "execute", "fetch", "prepare", "prepared", "queries", "query", "sql", "statement", "stmt"];
    name.to_lowercase().split('_').any(|word| WORDS.contains(&word))
}

impl Search<'_> {
    /// Checks a text that is put together; `true` where the parts need no look of their own.
    pub(super) fn check_text_of(&mut self, expr: &Expr) -> bool {
        let is_made = match expr {
            Expr::Binary(binary) => matches!(binary.op, BinOp::Add(_)),
            Expr::Macro(mac) => ["concat", "format", "include_str", "include_bytes", "include"]
                .iter()
                .any(|name| mac.mac.path.segments.last().is_some_and(|last| last.ident == name)),
            Expr::MethodCall(call) => ["join", "concat"].iter().any(|name| call.method == name),
            _ => false,
        };
        if !is_made || self.in_texts > 0 {
            return false;
        }
        if let Expr::Macro(mac) = expr
            && self.check_included(&mac.mac)
        {
            return true;
        }
        match self.text_of(expr) {
            Some(text) => self.check_text(&text, expr.span()),
            None => false,
        }
    }

    pub(super) fn check_literal(&mut self, lit: &Lit) {
        if self.in_texts == 0
            && let Some(text) = literal(lit)
        {
            self.check_text(&text, lit.span());
        }
    }

    /// Finds what a text is; `true` where it has a rule.
    fn check_text(&mut self, text: &str, span: Span) -> bool {
        if self.in_calls > 0 {
            return false;
        }
        let least = if self.in_queries > 0 { Query::Possibly } else { Query::Surely };
        if query(text) >= least {
            self.find(Rule::QueryText, span, format!("a query: {}", shown(text)));
            return true;
        }
        if let Some(scheme) = connection_scheme(text) {
            self.find(Rule::ConnectionString, span, format!("the address of a {scheme} server"));
            return true;
        }
        false
    }

    /// `include_str!` of a file that is a query, whatever its name.
    fn check_included(&mut self, mac: &syn::Macro) -> bool {
        let name = mac.path.segments.last().map(|last| last.ident.to_string()).unwrap_or_default();
        if !["include_str", "include_bytes"].contains(&name.as_str()) || self.in_calls > 0 {
            return false;
        }
        let argument = mac.parse_body::<Expr>().ok();
        let named =
            argument.and_then(|argument| string_of(&argument, &self.world.crate_of(self.module).folder));
        let file = self.world.included(self.module, self.file, mac);
        let text = file.and_then(|file| std::fs::read_to_string(file).ok()).unwrap_or_default();
        let is_query = named.as_deref().is_some_and(is_query_file) || query(&text) == Query::Surely;
        if is_query {
            let what = format!("includes the query {}", named.unwrap_or_default());
            self.find(Rule::QueryText, mac.path.span(), what);
        }
        is_query
    }

    /// `fs::read_to_string("orders.sql")`.
    pub(super) fn check_query_file(&mut self, path: &[String], call: &ExprCall) {
        let reads =
            path.last().is_some_and(|name| ["open", "read", "read_to_string"].contains(&name.as_str()));
        let first = call.args.first().filter(|_| reads && self.in_calls == 0);
        if let Some(first) = first
            && let Some(text) = self.text_of(first).filter(|text| is_query_file(text))
        {
            self.find(Rule::QueryText, first.span(), format!("reads the query {text}"));
        }
    }

    /// The text that an expression is, with `{}` for parts that are not known; `None` where nothing of it is.
    pub(super) fn text_of(&self, expr: &Expr) -> Option<String> {
        self.text_within(expr, 0)
    }

    fn text_within(&self, expr: &Expr, depth: usize) -> Option<String> {
        if depth > DEPTH_MAX {
            return None;
        }
        let text = |expr: &Expr| self.text_within(expr, depth + 1);
        match expr {
            Expr::Lit(lit) => {
                literal(&lit.lit).or_else(|| string_of(expr, &self.world.crate_of(self.module).folder))
            }
            Expr::Paren(inner) => text(&inner.expr),
            Expr::Group(inner) => text(&inner.expr),
            Expr::Reference(inner) => text(&inner.expr),
            Expr::Binary(binary) if matches!(binary.op, BinOp::Add(_)) => {
                let (left, right) = (text(&binary.left), text(&binary.right));
                (left.is_some() || right.is_some()).then(|| or_place(left) + &or_place(right))
            }
            Expr::Path(path) => self.constant(&text_of_path(&path.path), depth),
            Expr::Call(call) if call.args.len() == 1 => {
                let Expr::Path(path) = &*call.func else { return None };
                let of_text = path.path.segments.first().is_some_and(|first| first.ident == "String");
                if of_text { text(&call.args[0]) } else { None }
            }
            Expr::MethodCall(call) => match call.method.to_string().as_str() {
                "to_owned" | "to_string" | "into" | "as_str" | "clone" | "as_ref" => text(&call.receiver),
                "concat" => self.joined(&call.receiver, "", depth),
                "join" => self.joined(&call.receiver, &text(call.args.first()?)?, depth),
                _ => None,
            },
            Expr::Macro(mac) => self.text_of_macro(&mac.mac, depth),
            _ => None,
        }
    }

    /// The parts of a list of texts, with what is put between.
    fn joined(&self, list: &Expr, between: &str, depth: usize) -> Option<String> {
        let list = match list {
            Expr::Reference(inner) => &*inner.expr,
            other => other,
        };
        let Expr::Array(array) = list else { return None };
        let parts: Vec<Option<String>> =
            array.elems.iter().map(|part| self.text_within(part, depth + 1)).collect();
        let known = parts.iter().any(Option::is_some);
        known.then(|| parts.into_iter().map(or_place).collect::<Vec<_>>().join(between))
    }

    fn text_of_macro(&self, mac: &syn::Macro, depth: usize) -> Option<String> {
        let name = mac.path.segments.last()?.ident.to_string();
        let parts = match name.as_str() {
            "concat" | "format" => {
                let parse = syn::punctuated::Punctuated::<Expr, syn::Token![,]>::parse_terminated;
                mac.parse_body_with(parse).ok()?.into_iter().collect::<Vec<_>>()
            }
            "include_str" => {
                let file = self.world.included(self.module, self.file, mac)?;
                return std::fs::read_to_string(file).ok();
            }
            _ => return None,
        };
        if name == "concat" {
            let text = parts.iter().map(|part| or_place(self.text_within(part, depth + 1)));
            return Some(text.collect());
        }
        let (form, values) = parts.split_first()?;
        let form = self.text_within(form, depth + 1)?;
        Some(self.filled(&form, values, depth))
    }

    /// A form of `format!` with the constants that it names put in.
    fn filled(&self, form: &str, values: &[Expr], depth: usize) -> String {
        let mut values = values.iter();
        let mut filled = String::new();
        let mut rest = form;
        while let Some((before, after)) = rest.split_once('{') {
            filled += before;
            let Some((inside, after)) = after.split_once('}').filter(|_| !after.starts_with('{')) else {
                filled += PLACE;
                rest = after.trim_start_matches('{');
                continue;
            };
            let name = inside.split(':').next().unwrap_or_default();
            let value = match name {
                "" => values.next().and_then(|value| self.text_within(value, depth + 1)),
                name => self.constant(&[name.to_owned()], depth),
            };
            filled += &or_place(value);
            rest = after;
        }
        filled + rest
    }

    /// The text of a constant of the workspace.
    fn constant(&self, path: &[String], depth: usize) -> Option<String> {
        if let [name] = path
            && self.locals.find(name).is_some()
        {
            return self.locals.text(name).map(str::to_owned);
        }
        self.world.resolve(self.module, path).into_iter().find_map(|def| match def {
            Def::Item { id, rest } if rest.is_empty() => match self.world.kind(id) {
                EntryKind::Value(_, Some(expr)) => self.text_within(expr, depth + 1),
                _ => None,
            },
            _ => None,
        })
    }
}

fn or_place(text: Option<String>) -> String {
    text.unwrap_or_else(|| PLACE.to_owned())
}

pub(super) fn literal(lit: &Lit) -> Option<String> {
    match lit {
        Lit::Str(text) => Some(text.value()),
        Lit::ByteStr(text) => String::from_utf8(text.value()).ok(),
        Lit::CStr(text) => text.value().into_string().ok(),
        _ => None,
    }
}

fn is_query_file(path: &str) -> bool {
    [".sql", ".psql"].iter().any(|end| path.ends_with(end))
}

/// The beginning of a text, on one line.
fn shown(text: &str) -> String {
    const CHARS_SHOWN_MAX: usize = 40;
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(CHARS_SHOWN_MAX) {
        Some((at, _)) => format!("\"{}…\"", &line[..at]),
        None => format!("\"{line}\""),
    }
}
