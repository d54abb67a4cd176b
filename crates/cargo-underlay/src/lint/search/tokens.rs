//! Tokens that no grammar is known for: bodies of `macro_rules!`, and what macros of others are given.

use proc_macro2::{Delimiter, Span, TokenStream, TokenTree};
use syn::{Expr, Lit};

use super::Search;
use super::paths::As;
use super::texts::literal;
use crate::lint::databases::program_of_line;
use crate::lint::rule::Rule;

impl Search<'_> {
    /// Finds paths, texts and macros among tokens.
    pub(super) fn scan(&mut self, tokens: TokenStream) {
        let trees: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        while let Some(tree) = trees.get(at) {
            let follows_dot = at > 0 && is_sign(trees.get(at - 1), '.');
            match tree {
                TokenTree::Ident(_) | TokenTree::Punct(_) if !follows_dot => {
                    if let Some((path, span, length)) = path_at(&trees, at) {
                        at += length;
                        at += self.scan_path(&path, span, &trees[at..]);
                        continue;
                    }
                }
                TokenTree::Literal(text) => {
                    if let Ok(lit) = syn::parse2::<Lit>(TokenStream::from(TokenTree::Literal(text.clone()))) {
                        self.check_literal(&lit);
                    }
                }
                TokenTree::Group(group) => self.scan(group.stream()),
                _ => {}
            }
            at += 1;
        }
    }

    /// Finds texts alone among tokens.
    pub(super) fn scan_texts(&mut self, tokens: TokenStream) {
        for tree in tokens {
            match tree {
                TokenTree::Literal(text) => {
                    if let Ok(lit) = syn::parse2::<Lit>(TokenStream::from(TokenTree::Literal(text))) {
                        self.check_literal(&lit);
                    }
                }
                TokenTree::Group(group) => self.scan_texts(group.stream()),
                _ => {}
            }
        }
    }

    /// Looks at a path and at what follows it; gives how many of those tokens were read.
    fn scan_path(&mut self, path: &[String], span: Span, after: &[TokenTree]) -> usize {
        if let (Some(TokenTree::Punct(bang)), Some(TokenTree::Group(group))) = (after.first(), after.get(1))
            && bang.as_char() == '!'
        {
            let call = path_of(path, span).map(|path| syn::Macro {
                path,
                bang_token: syn::Token![!](span),
                delimiter: syn::MacroDelimiter::Paren(syn::token::Paren(group.span())),
                tokens: group.stream(),
            });
            return match call {
                Some(mac) => {
                    self.scan_macro(&mac);
                    2
                }
                None => 0,
            };
        }
        let is_called = matches!(after.first(), Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Parenthesis);
        let is_type = path.last().is_some_and(|last| last.starts_with(char::is_uppercase));
        // A name alone may be that of a value.
        if path.len() > 1 || is_called || is_type {
            let is_database = self.check_path(path, span, if is_called { As::Call } else { As::Name });
            if let Some(TokenTree::Group(group)) = after.first().filter(|_| is_called && is_database) {
                self.in_calls += 1;
                self.scan(group.stream());
                self.in_calls -= 1;
                return 1;
            }
        }
        0
    }

    /// A macro among tokens. What is put together of texts is read as a whole.
    fn scan_macro(&mut self, mac: &syn::Macro) {
        let expr = Expr::Macro(syn::ExprMacro { attrs: Vec::new(), mac: mac.clone() });
        if !self.check_text_of(&expr) {
            self.check_macro(mac);
        }
    }

    /// What a macro is given that runs a line: `cmd!(shell, "psql -c …")`, `run_cmd!(psql -c …)`.
    pub(super) fn scan_lines(&mut self, tokens: TokenStream) {
        let mut is_first = true;
        for tree in tokens.clone() {
            let line = match &tree {
                TokenTree::Ident(word) if is_first => Some(word.to_string()),
                TokenTree::Literal(text) => {
                    syn::parse2::<Lit>(TokenStream::from(TokenTree::Literal(text.clone())))
                        .ok()
                        .and_then(|lit| literal(&lit))
                }
                _ => None,
            };
            if let Some(program) = line.as_deref().and_then(program_of_line) {
                self.find(Rule::DatabaseProgram, tree.span(), format!("starts `{program}`"));
            }
            is_first = false;
        }
        self.scan(tokens);
    }
}

fn is_sign(tree: Option<&TokenTree>, sign: char) -> bool {
    matches!(tree, Some(TokenTree::Punct(own)) if own.as_char() == sign)
}

fn is_colons(trees: &[TokenTree], at: usize) -> bool {
    is_sign(trees.get(at), ':') && is_sign(trees.get(at + 1), ':')
}

/// The path that begins at a place, with its span and the number of its tokens.
fn path_at(trees: &[TokenTree], at: usize) -> Option<(Vec<String>, Span, usize)> {
    let mut path = Vec::new();
    let mut next = at;
    if is_sign(trees.get(next), '$')
        && matches!(trees.get(next + 1), Some(TokenTree::Ident(word)) if word == "crate")
    {
        next += 1;
    } else if is_sign(trees.get(next), '$') {
        return None;
    } else if is_colons(trees, next) {
        path.push(String::new());
        next += 2;
    }
    let span = trees.get(next)?.span();
    loop {
        let Some(TokenTree::Ident(word)) = trees.get(next) else { return None };
        let word = word.to_string();
        path.push(word.strip_prefix("r#").unwrap_or(&word).to_owned());
        next += 1;
        let goes_on = is_colons(trees, next) && matches!(trees.get(next + 2), Some(TokenTree::Ident(_)));
        if !goes_on {
            return Some((path, span, next - at));
        }
        next += 2;
    }
}

/// The path as syntax, with the place of its first token.
fn path_of(path: &[String], span: Span) -> Option<syn::Path> {
    let mut parsed: syn::Path = syn::parse_str(&path.join("::")).ok()?;
    for segment in &mut parsed.segments {
        segment.ident.set_span(span);
    }
    Some(parsed)
}
