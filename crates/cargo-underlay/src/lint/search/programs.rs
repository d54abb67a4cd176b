use syn::spanned::Spanned;
use syn::{Expr, ExprCall, ExprMethodCall};

use super::Search;
use crate::lint::databases::{program, program_of_line};
use crate::lint::names::{Def, text_of_path};
use crate::lint::rule::Rule;

/// Functions and macros that run what they are given.
const RUNNERS: &[&str] = &["cmd", "run_cmd", "run_fun", "sh", "shell", "spawn", "spawn_with_output"];

impl Search<'_> {
    /// `Command::new("psql")`, `cmd("psql", …)`.
    pub(super) fn check_program(&mut self, path: &[String], call: &ExprCall) {
        let is_command =
            matches!(path, [.., ty, new] if ty == "Command" && new == "new") || self.is_command(path);
        let is_runner = path.last().is_some_and(|name| RUNNERS.contains(&name.as_str()));
        let Some(first) = call.args.first().filter(|_| is_command || is_runner) else { return };
        if !self.is_outside(path, "clap")
            && let Some(text) = self.text_of(first)
        {
            self.check_line(&text, first);
        }
    }

    /// Whether a path is `new` of a process under another name.
    fn is_command(&self, path: &[String]) -> bool {
        self.world.resolve(self.module, path).iter().any(|def| {
            matches!(def, Def::Outside { path, .. } if path.ends_with(&["Command".to_owned(), "new".to_owned()]))
        }) || path.len() == 2 && path[1] == "new" && self.imports_command(&path[0])
    }

    /// `use std::process::Command as C` names no package that cargo tells of.
    fn imports_command(&self, name: &str) -> bool {
        let path = self.world.imported_as(self.module, name);
        path.is_some_and(|path| matches!(path, [first, .., last] if first == "std" && last == "Command"))
    }

    fn is_outside(&self, path: &[String], package: &str) -> bool {
        let defs = self.world.resolve(self.module, path);
        defs.iter().any(|def| matches!(def, Def::Outside { package: own, .. } if own == package))
    }

    /// What a program is given: `.arg("psql -c …")` of a shell, `.args(["exec", "db", "psql"])`.
    pub(super) fn check_program_arguments(&mut self, method: &str, call: &ExprMethodCall) {
        if !["arg", "args"].contains(&method) || !self.begins_with_command(&call.receiver) {
            return;
        }
        for argument in &call.args {
            let argument = plain(argument);
            let parts: Vec<&Expr> = match argument {
                Expr::Array(array) => array.elems.iter().collect(),
                other => vec![other],
            };
            for part in parts {
                if let Some(text) = self.text_of(part) {
                    self.check_line(&text, part);
                }
            }
        }
    }

    /// Whether methods are called on a process that is put together: `Command::new(…).arg(…)`, or on a name that stands for one.
    fn begins_with_command(&self, expr: &Expr) -> bool {
        match expr {
            Expr::MethodCall(call) => self.begins_with_command(&call.receiver),
            Expr::Call(call) => match &*call.func {
                Expr::Path(path) => !self.is_outside(&text_of_path(&path.path), "clap"),
                _ => true,
            },
            _ => true,
        }
    }

    /// Finds the program of a database that a line or a name starts.
    pub(super) fn check_line(&mut self, text: &str, at: &Expr) {
        if let Some(program) = program(text).or_else(|| program_of_line(text)) {
            self.find(Rule::DatabaseProgram, at.span(), format!("starts `{program}`"));
        }
    }

    /// Whether a macro runs what it is given.
    pub(super) fn is_runner(path: &[String]) -> bool {
        path.last().is_some_and(|name| RUNNERS.contains(&name.as_str()))
    }
}

fn plain(expr: &Expr) -> &Expr {
    match expr {
        Expr::Reference(inner) => plain(&inner.expr),
        Expr::Paren(inner) => plain(&inner.expr),
        other => other,
    }
}
