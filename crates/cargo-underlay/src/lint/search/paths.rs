use proc_macro2::Span;
use syn::spanned::Spanned;

use super::{GLOB, Search, doors};
use crate::lint::databases::is_underlay;
use crate::lint::names::{Def, EntryKind, Ty, text_of_path};
use crate::lint::rule::Rule;

/// What a path is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum As {
    /// It brings a name.
    Import,
    /// It names a type, a trait, a value.
    Name,
    /// It is called.
    Call,
}

impl Search<'_> {
    pub(super) fn check_syn_path(&mut self, path: &syn::Path, used: As) -> bool {
        self.check_path(&text_of_path(path), path.span(), used)
    }

    /// Finds what a path leads to, where that has a rule; `true` where it has.
    pub(super) fn check_path(&mut self, path: &[String], span: Span, used: As) -> bool {
        if used != As::Import && self.is_known_here(path) {
            return false;
        }
        if let Some(database) = self.database_of(path) {
            self.note_use(&database);
            // A name is told where it is brought, and again where it is called.
            if used != As::Name || !self.is_told(path) {
                let name =
                    path.iter().filter(|part| !part.is_empty()).cloned().collect::<Vec<_>>().join("::");
                let what = if used == As::Call { "calls" } else { "names" };
                self.find(
                    Rule::DatabaseAccess,
                    span,
                    format!("{what} `{name}` of the database crate {database}"),
                );
            }
            return true;
        }
        let Some((rule, what)) = self.door_of(path) else { return false };
        if used != As::Name || !self.is_told(path) {
            self.find(rule, span, what);
        }
        true
    }

    /// Whether a path is the name of a value, a type parameter or `Self`.
    fn is_known_here(&self, path: &[String]) -> bool {
        match path {
            [name] => self.locals.find(name).is_some() || name == "Self",
            // A value may have the name of a crate, and then a path means the crate.
            [first, _] => first.starts_with(char::is_uppercase) && self.locals.find(first).is_some(),
            _ => false,
        }
    }

    fn is_told(&self, path: &[String]) -> bool {
        // A name of the file stands in its blocks, too.
        path.first().is_some_and(|first| {
            self.told.iter().any(|(_, name)| name == first || name == GLOB && path.len() == 1)
        })
    }

    /// The database crate that a path leads into.
    pub(super) fn database_of(&self, path: &[String]) -> Option<String> {
        self.world.resolve(self.module, path).into_iter().find_map(|def| match &def {
            Def::Outside { package, .. } => self.world.is_database(package).then(|| package.clone()),
            Def::Item { id, rest } if rest.is_empty() => {
                let ty = match self.world.kind(*id) {
                    EntryKind::Alias(_) => self.world.type_of_def(&def, 0),
                    EntryKind::Value(ty, _) => self.world.type_of(id.0, ty),
                    _ => Ty::Unknown,
                };
                match ty {
                    Ty::Database(package) => Some(package),
                    _ => None,
                }
            }
            _ => None,
        })
    }

    /// The rule that a path of Underlay has.
    fn door_of(&self, path: &[String]) -> Option<(Rule, String)> {
        self.world.resolve(self.module, path).into_iter().find_map(|def| match def {
            Def::Outside { package, path } if is_underlay(&package) => doors::named(&package, &path),
            Def::Item { id, rest } => {
                let (package, path) = self.world.place_of(id);
                // Inside itself a package has no doors.
                let is_own = package == self.world.crate_of(self.module).package;
                if !is_underlay(package) || is_own {
                    return None;
                }
                doors::named(package, &[path, rest].concat())
            }
            _ => None,
        })
    }
}
