//! The names of a workspace: crates, modules and items, and what a path leads to.
//!
//! This is as much of name resolution as the rules need: `use` with its lists, renames and globs, `extern crate`, aliases of types,
//! re-exports through modules and through other packages of the workspace, items in blocks. What a macro makes has no name here.

mod attributes;
mod crates;
mod entry;
mod follow;
mod resolve;
mod ty;

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

use syn::Item;

pub(crate) use attributes::{derives_and_names, is_test_code};
pub(crate) use entry::{EntryKind, text_of_path, use_leaves};
pub(crate) use follow::string_of;
pub(crate) use resolve::Def;
pub(crate) use ty::Ty;

use entry::Entry;

pub(crate) type FileId = usize;
pub(crate) type ModuleId = usize;
/// A module, and the place in its entries.
pub(crate) type ItemId = (ModuleId, usize);

/// What paths lead to, by the module that names them.
type Resolved = HashMap<(ModuleId, Vec<String>), Vec<Def>>;

/// Everything that the packages of a workspace are made of.
#[derive(Default)]
pub(crate) struct World {
    pub(crate) files: Vec<File>,
    pub(crate) crates: Vec<Crate>,
    pub(crate) modules: Vec<Module>,
    /// The library of each package, by the package's name.
    libraries: HashMap<String, usize>,
    /// What the methods of a type return: modules and return types by the name of the method.
    methods: HashMap<ItemId, HashMap<String, (ModuleId, Option<syn::Type>)>>,
    /// What a type gives by `Deref`, as its module names it.
    targets: HashMap<ItemId, (ModuleId, syn::Type)>,
    /// Files that cannot be read, with the reason.
    pub(crate) wrong: Vec<String>,
    /// Database crates beside those that the lint knows.
    databases: Vec<String>,
    /// The folder of the workspace.
    root: PathBuf,
    /// What paths lead to, where it was asked before. The names of a module do not change once all files are read.
    resolved: RefCell<Resolved>,
}

/// A file of Rust.
#[derive(Debug)]
pub(crate) struct File {
    /// From the root of the workspace, with `/` on every system.
    pub(crate) path: String,
    pub(crate) absolute: PathBuf,
    /// The functions in it that are tests, and whether each is run.
    pub(crate) tests: Vec<Test>,
}

/// A function that is a test.
#[derive(Debug)]
pub(crate) struct Test {
    /// With the modules of the file before it.
    pub(crate) name: String,
    pub(crate) is_ignored: bool,
}

/// A crate that cargo builds.
#[derive(Debug)]
pub(crate) struct Crate {
    /// The name of its package.
    pub(crate) package: String,
    pub(crate) folder: PathBuf,
    pub(crate) root: ModuleId,
    /// The packages that its code can name, by the name they have there.
    externs: HashMap<String, String>,
}

pub(crate) struct Module {
    krate: usize,
    /// The module around it; that of a block is where its names are looked for next.
    parent: Option<ModuleId>,
    name: String,
    is_block: bool,
    pub(crate) is_test: bool,
    /// Its items, by the files they stand in. They are taken out while they are looked through.
    pub(crate) parts: Vec<(FileId, Vec<Item>)>,
    entries: Vec<(String, Entry)>,
    names: HashMap<String, Vec<usize>>,
    globs: Vec<Vec<String>>,
}

impl World {
    pub(crate) fn crate_of(&self, module: ModuleId) -> &Crate {
        &self.crates[self.modules[module].krate]
    }

    /// A module for the items of a block.
    pub(crate) fn open_block(&mut self, around: ModuleId, items: &[&Item]) -> ModuleId {
        let Module { krate, is_test, .. } = self.modules[around];
        let block = self.add_module(krate, Some(around), "", is_test);
        self.modules[block].is_block = true;
        for item in items {
            self.enter(block, item);
        }
        block
    }

    /// A file that is included in the place of an expression.
    pub(crate) fn add_included(&mut self, absolute: &Path) -> FileId {
        let path = absolute.strip_prefix(&self.root).unwrap_or(absolute).to_string_lossy().replace('\\', "/");
        self.files.push(File { path, absolute: absolute.to_owned(), tests: Vec::new() });
        self.files.len() - 1
    }

    /// The path of the `use` that brings a name into a module, or into the blocks and the module around.
    pub(crate) fn imported_as(&self, module: ModuleId, name: &str) -> Option<&[String]> {
        let mut at = Some(module);
        while let Some(module) = at.map(|module| &self.modules[module]) {
            for place in module.names.get(name).into_iter().flatten() {
                if let EntryKind::Use(path) = &module.entries[*place].1.kind {
                    return Some(path);
                }
            }
            at = module.parent.filter(|_| module.is_block);
        }
        None
    }

    fn add_module(&mut self, krate: usize, parent: Option<ModuleId>, name: &str, is_test: bool) -> ModuleId {
        self.modules.push(Module {
            krate,
            parent,
            name: name.to_owned(),
            is_block: false,
            is_test,
            parts: Vec::new(),
            entries: Vec::new(),
            names: HashMap::new(),
            globs: Vec::new(),
        });
        self.modules.len() - 1
    }

    fn add_entry(&mut self, module: ModuleId, name: &str, entry: Entry) {
        let module = &mut self.modules[module];
        module.names.entry(name.to_owned()).or_default().push(module.entries.len());
        module.entries.push((name.to_owned(), entry));
    }

    fn entry(&self, (module, at): ItemId) -> &(String, Entry) {
        &self.modules[module].entries[at]
    }

    /// What an item is.
    pub(crate) fn kind(&self, id: ItemId) -> &EntryKind {
        &self.entry(id).1.kind
    }

    /// The package of an item, and its path from the root of its crate.
    pub(crate) fn place_of(&self, id: ItemId) -> (&str, Vec<String>) {
        let mut path = vec![self.entry(id).0.clone()];
        let mut module = Some(id.0);
        while let Some(Module { name, parent, .. }) = module.map(|module| &self.modules[module]) {
            path.insert(0, name.clone());
            module = *parent;
        }
        path.retain(|name| !name.is_empty());
        (&self.crate_of(id.0).package, path)
    }
}
