use syn::spanned::Spanned;
use syn::{Expr, ExprCall, ExprMethodCall};

use super::Search;
use crate::lint::databases::{program, program_of_line};
use crate::lint::names::{Def, Ty};
use crate::lint::rule::Rule;

/// Functions and macros that run what they are given.
const RUNNERS: &[&str] = &["cmd", "run_cmd", "run_fun", "sh", "shell"];

impl Search<'_> {
    /// `Command::new("psql")`, `cmd("psql", …)`.
    pub(super) fn check_program(&mut self, path: &[String], call: &ExprCall) {
        let Some(first) = call.args.first().filter(|_| self.makes_process(path) || Self::is_runner(path))
        else {
            return;
        };
        if let Some(text) = self.text_of(first) {
            self.check_line(&text, first);
        }
    }

    /// Whether a path is what makes a process, under its own name or another.
    pub(super) fn makes_process(&self, path: &[String]) -> bool {
        let [before @ .., new] = path else { return false };
        let is_other = self.world.resolve(self.module, path).iter().any(|def| match def {
            Def::Outside { package, .. } => package == "clap",
            Def::Module(_) | Def::Item { .. } => true,
        });
        let is_named = before.last().is_some_and(|name| name == "Command");
        new == "new" && !is_other && (is_named || self.world.is_process(self.module, before))
    }

    /// What a program is given: `.arg("psql -c …")` of a shell, `.args(["exec", "db", "psql"])`.
    pub(super) fn check_program_arguments(&mut self, method: &str, call: &ExprMethodCall) {
        if !["arg", "args"].contains(&method) || self.value_of(&call.receiver) != Ty::Process {
            return;
        }
        for argument in &call.args {
            let parts: Vec<&Expr> = match plain(argument) {
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
