use syn::visit::{self, Visit};
use syn::{Expr, ExprCall, ExprMethodCall};

use super::paths::As;
use super::values::is_general;
use super::{Search, doors, texts};
use crate::lint::names::{Ty, text_of_path};
use crate::lint::rule::Rule;

impl Search<'_> {
    /// An expression with what it calls and the names it brings.
    pub(super) fn walk_expr(&mut self, expr: &Expr) {
        match expr {
            Expr::Call(call) => self.walk_call(call),
            Expr::MethodCall(call) => self.walk_method_call(call),
            Expr::Closure(closure) => self.in_scope(|search| {
                for input in &closure.inputs {
                    search.visit_pat(input);
                    search.bind(input, &Ty::Unknown);
                }
                search.visit_expr(&closure.body);
            }),
            Expr::Let(condition) => {
                visit::visit_expr_let(self, condition);
                let ty = self.value_of(&condition.expr);
                self.bind(&condition.pat, &ty);
            }
            Expr::If(choice) => {
                self.in_scope(|search| {
                    search.visit_expr(&choice.cond);
                    search.visit_block(&choice.then_branch);
                });
                if let Some((_, otherwise)) = &choice.else_branch {
                    self.visit_expr(otherwise);
                }
            }
            Expr::While(repeat) => self.in_scope(|search| {
                search.visit_expr(&repeat.cond);
                search.visit_block(&repeat.body);
            }),
            Expr::ForLoop(repeat) => {
                self.visit_expr(&repeat.expr);
                let ty = self.value_of(&repeat.expr);
                self.in_scope(|search| {
                    search.visit_pat(&repeat.pat);
                    search.bind(&repeat.pat, &ty);
                    search.visit_block(&repeat.body);
                });
            }
            Expr::Match(choice) => {
                self.visit_expr(&choice.expr);
                let ty = self.value_of(&choice.expr);
                for arm in &choice.arms {
                    self.in_scope(|search| {
                        search.bind(&arm.pat, &ty);
                        search.visit_arm(arm);
                    });
                }
            }
            other => visit::visit_expr(self, other),
        }
    }

    fn walk_call(&mut self, call: &ExprCall) {
        let Expr::Path(callee) = &*call.func else {
            return visit::visit_expr_call(self, call);
        };
        let path = text_of_path(&callee.path);
        let is_database = self.check_syn_path(&callee.path, As::Call) && self.database_of(&path).is_some();
        // The types between angle brackets.
        visit::visit_path(self, &callee.path);
        self.check_program(&path, call);
        self.check_query_file(&path, call);
        let name = path.last().cloned().unwrap_or_default();
        self.walk_arguments(is_database, &name, call.args.iter());
    }

    fn walk_method_call(&mut self, call: &ExprMethodCall) {
        let method = call.method.to_string();
        let on = self.called_on(&call.receiver, &method);
        match &on {
            Ty::Database(database) => {
                self.note_use(database);
                // What follows on a call that was found is part of it.
                if !is_general(&method, call.args.len()) && !self.is_found_call(&call.receiver) {
                    let what = format!("calls `{method}` of the database crate {database}");
                    self.find(Rule::DatabaseAccess, call.method.span(), what);
                }
            }
            Ty::Door(door) => {
                if let Some((rule, what)) = doors::called(door, &method)
                    && !self.is_in_underlay(door)
                {
                    self.find(rule, call.method.span(), what);
                }
            }
            Ty::Process | Ty::Item(_) | Ty::Tuple(_) | Ty::Unknown => {}
        }
        self.visit_expr(&call.receiver);
        if let Some(turbofish) = &call.turbofish {
            self.visit_angle_bracketed_generic_arguments(turbofish);
        }
        self.check_program_arguments(&method, call);
        self.walk_arguments(matches!(on, Ty::Database(_)), &method, call.args.iter());
    }

    /// What a call is given. The texts of a call to a database belong to the call.
    fn walk_arguments<'e>(
        &mut self,
        is_database: bool,
        name: &str,
        arguments: impl Iterator<Item = &'e Expr>,
    ) {
        self.in_calls += usize::from(is_database);
        let says_query = texts::says_query(name);
        self.in_queries += usize::from(says_query);
        for argument in arguments {
            self.visit_expr(argument);
        }
        self.in_queries -= usize::from(says_query);
        self.in_calls -= usize::from(is_database);
    }

    /// Whether an expression is a call to a database itself, which is found by itself.
    fn is_found_call(&self, expr: &Expr) -> bool {
        match expr {
            Expr::Paren(inner) => self.is_found_call(&inner.expr),
            Expr::Reference(inner) => self.is_found_call(&inner.expr),
            Expr::Try(inner) => self.is_found_call(&inner.expr),
            Expr::Await(inner) => self.is_found_call(&inner.base),
            Expr::MethodCall(call) => {
                let method = call.method.to_string();
                let is_found = !is_general(&method, call.args.len())
                    && matches!(self.called_on(&call.receiver, &method), Ty::Database(_));
                is_found || self.is_found_call(&call.receiver)
            }
            Expr::Call(call) => match &*call.func {
                Expr::Path(path) => self.database_of(&text_of_path(&path.path)).is_some(),
                _ => false,
            },
            Expr::Macro(mac) => self.database_of(&text_of_path(&mac.mac.path)).is_some(),
            _ => false,
        }
    }

    /// Whether this code belongs to the package that has the type itself: the engine has `Engine`.
    fn is_in_underlay(&self, door: &str) -> bool {
        let package = &self.world.crate_of(self.module).package;
        match door {
            "EventStore" | "ReadModels" => package == "underlay-core",
            "Engine" => package == "underlay-runtime",
            _ => package == "underlay",
        }
    }
}
