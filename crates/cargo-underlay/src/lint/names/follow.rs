use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};
use syn::{Expr, Item};

use super::super::workspace::Workspace;
use super::attributes::{is_conditional, is_ignored, is_test, is_test_code, paths};
use super::entry::{Entry, EntryKind};
use super::{File, FileId, ModuleId, Test, World};

/// How deep modules may lie in each other; a file that includes itself ends there.
const DEPTH_MAX: usize = 64;

/// Where the items of a module stand.
#[derive(Clone)]
struct Place<'a> {
    workspace: &'a Workspace,
    file: FileId,
    /// The folder of the files of its modules.
    folder: PathBuf,
    /// Whether a module written between braces lies between the file and the items.
    is_inline: bool,
    /// The modules of the file around the items.
    names: Vec<String>,
    depth: usize,
}

impl World {
    /// Reads the file of a crate, and what it names.
    pub(super) fn follow_root(&mut self, workspace: &Workspace, root: ModuleId, source: &Path) {
        let folder = folder_of(source);
        self.follow_file(workspace, root, source, folder, 0);
    }

    fn follow_file(
        &mut self,
        workspace: &Workspace,
        module: ModuleId,
        source: &Path,
        folder: PathBuf,
        depth: usize,
    ) {
        if depth > DEPTH_MAX {
            let path = workspace.relative(source);
            self.wrong.push(format!("{path}: lies in more than {DEPTH_MAX} modules, or includes itself"));
            return;
        }
        let Some((file, ast)) = self.read_file(workspace, source) else { return };
        let is_test = is_test_code(&ast.attrs);
        self.modules[module].is_test |= is_test;
        let place = Place { workspace, file, folder, is_inline: false, names: Vec::new(), depth };
        self.follow_items(module, &place, ast.items);
    }

    fn read_file(&mut self, workspace: &Workspace, source: &Path) -> Option<(FileId, syn::File)> {
        let path = workspace.relative(source);
        let parsed = match std::fs::read_to_string(source) {
            Ok(text) => syn::parse_file(&text).map_err(|error| {
                let at = error.span().start();
                format!("{path}:{}:{}: is no Rust that the lint can read: {error}", at.line, at.column + 1)
            }),
            Err(error) => Err(format!("{path}: cannot be read: {error}")),
        };
        match parsed {
            Ok(ast) => {
                let absolute = source.to_owned();
                self.files.push(File { path, absolute, tests: Vec::new() });
                Some((self.files.len() - 1, ast))
            }
            Err(told) => {
                self.wrong.push(told);
                None
            }
        }
    }

    fn follow_items(&mut self, module: ModuleId, place: &Place<'_>, mut items: Vec<Item>) {
        for item in &mut items {
            match item {
                Item::Mod(item) => self.follow_module(module, place, item),
                Item::Macro(item) => self.follow_macro(module, place, item),
                Item::Fn(item) => {
                    self.note_test(place, &item.attrs, &item.sig.ident);
                    self.enter(module, &Item::Fn(item.clone()));
                }
                other => self.enter(module, other),
            }
        }
        self.modules[module].parts.push((place.file, items));
    }

    fn follow_module(&mut self, module: ModuleId, place: &Place<'_>, item: &mut syn::ItemMod) {
        let name = item.ident.to_string();
        let name = name.strip_prefix("r#").unwrap_or(&name);
        let is_test = self.modules[module].is_test || is_test_code(&item.attrs);
        let krate = self.modules[module].krate;
        let child = self.add_module(krate, Some(module), name, is_test);
        let is_public = !matches!(item.vis, syn::Visibility::Inherited);
        self.add_entry(module, name, Entry { is_public, kind: EntryKind::Module(child) });
        let named = paths(&item.attrs);
        let base =
            if place.is_inline { place.folder.clone() } else { folder_of(&self.files[place.file].absolute) };
        if let Some((_, items)) = item.content.take() {
            let folder = named.first().map_or_else(|| place.folder.join(name), |path| base.join(path));
            let names = [&place.names[..], &[name.to_owned()]].concat();
            let inner = Place { folder, is_inline: true, names, ..place.clone() };
            self.follow_items(child, &inner, items);
            return;
        }
        let files: Vec<(PathBuf, PathBuf)> = named
            .iter()
            .map(|path| (base.join(path), folder_of(&base.join(path))))
            .chain(
                files_of(&place.folder, name)
                    .into_iter()
                    .filter(|_| named.is_empty() || is_conditional(&item.attrs)),
            )
            .filter(|(file, _)| file.is_file())
            .collect();
        if files.is_empty() && !is_conditional(&item.attrs) {
            let line = item.ident.span().start().line;
            let path = &self.files[place.file].path;
            self.wrong.push(format!("{path}:{line}: there is no file for the module {name}"));
        }
        for (file, folder) in files {
            self.follow_file(place.workspace, child, &file, folder, place.depth + 1);
        }
    }

    fn follow_macro(&mut self, module: ModuleId, place: &Place<'_>, item: &syn::ItemMacro) {
        if item.mac.path.is_ident("include") {
            if let Some(path) = self.included(module, place.file, &item.mac) {
                let folder = folder_of(&path);
                self.follow_file(place.workspace, module, &path, folder, place.depth + 1);
            }
            return;
        }
        if item.ident.is_some() {
            return;
        }
        // Modules that a macro is given, as `cfg_if!` is.
        for name in modules_in(item.mac.tokens.clone()) {
            let krate = self.modules[module].krate;
            let child = self.add_module(krate, Some(module), &name, self.modules[module].is_test);
            self.add_entry(module, &name, Entry { is_public: true, kind: EntryKind::Module(child) });
            for (file, folder) in
                files_of(&place.folder, &name).into_iter().filter(|(file, _)| file.is_file())
            {
                self.follow_file(place.workspace, child, &file, folder, place.depth + 1);
            }
        }
    }

    fn note_test(&mut self, place: &Place<'_>, attributes: &[syn::Attribute], name: &syn::Ident) {
        if attributes.iter().any(is_test) {
            let name = [&place.names[..], &[name.to_string()]].concat().join("::");
            self.files[place.file].tests.push(Test { name, is_ignored: is_ignored(attributes) });
        }
    }

    /// The file that `include!`, `include_str!` or `include_bytes!` names, where it is there before a build.
    pub(crate) fn included(&self, module: ModuleId, file: FileId, mac: &syn::Macro) -> Option<PathBuf> {
        let argument: Expr = mac.parse_body().ok()?;
        let text = string_of(&argument, &self.crate_of(module).folder)?;
        let path = folder_of(&self.files[file].absolute).join(text);
        path.is_file().then_some(path)
    }
}

/// The text that a compiler makes of literals, `concat!` and the folder of the package.
pub(crate) fn string_of(expr: &Expr, folder: &Path) -> Option<String> {
    match expr {
        Expr::Lit(lit) => Some(match &lit.lit {
            syn::Lit::Str(text) => text.value(),
            syn::Lit::Int(number) => number.base10_digits().to_owned(),
            syn::Lit::Float(number) => number.base10_digits().to_owned(),
            syn::Lit::Char(c) => c.value().to_string(),
            syn::Lit::Bool(value) => value.value.to_string(),
            _ => return None,
        }),
        Expr::Paren(inner) => string_of(&inner.expr, folder),
        Expr::Group(inner) => string_of(&inner.expr, folder),
        Expr::Macro(inner) if inner.mac.path.is_ident("concat") => {
            let parts = arguments(&inner.mac)?;
            parts.iter().map(|part| string_of(part, folder)).collect()
        }
        Expr::Macro(inner) if inner.mac.path.is_ident("env") => {
            let name: syn::LitStr = inner.mac.parse_body().ok()?;
            (name.value() == "CARGO_MANIFEST_DIR").then(|| folder.to_string_lossy().into_owned())
        }
        _ => None,
    }
}

/// The arguments of a macro that takes expressions.
pub(super) fn arguments(mac: &syn::Macro) -> Option<Vec<Expr>> {
    let parse = syn::punctuated::Punctuated::<Expr, syn::Token![,]>::parse_terminated;
    mac.parse_body_with(parse).ok().map(|arguments| arguments.into_iter().collect())
}

fn folder_of(file: &Path) -> PathBuf {
    file.parent().map_or_else(PathBuf::new, Path::to_owned)
}

/// The files that may hold a module, each with the folder of the modules below.
fn files_of(folder: &Path, name: &str) -> Vec<(PathBuf, PathBuf)> {
    let below = folder.join(name);
    vec![(folder.join(format!("{name}.rs")), below.clone()), (below.join("mod.rs"), below)]
}

/// The modules that tokens declare: `mod name;`.
fn modules_in(tokens: TokenStream) -> Vec<String> {
    let trees: Vec<TokenTree> = tokens.into_iter().collect();
    let mut names = Vec::new();
    for (at, tree) in trees.iter().enumerate() {
        match (tree, trees.get(at + 1), trees.get(at + 2)) {
            (TokenTree::Group(group), _, _) => names.extend(modules_in(group.stream())),
            (TokenTree::Ident(word), Some(TokenTree::Ident(name)), Some(TokenTree::Punct(end)))
                if *word == "mod" && end.as_char() == ';' =>
            {
                names.push(name.to_string());
            }
            _ => {}
        }
    }
    names
}
