//! Workspaces that are written down in a text, with what the lint finds in them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// What a finding is compared by: its file, its line and its rule.
pub(super) type Marked = (String, usize, String);

/// A package of a text.
pub(super) struct Case {
    pub(super) name: String,
    /// Its folder, from the root of the workspace.
    pub(super) folder: String,
    files: Vec<(String, String)>,
}

/// What a package has where its case says nothing of it.
const FILES: &[(&str, &str)] = &[
    (
        "Cargo.toml",
        "[dependencies]\nsqlx = \"0.8\"\nredis = \"1\"\nmongodb = \"3\"\nrusqlite = \"0.37\"\ndiesel = \"2\"\n\
         tokio-postgres = \"0.7\"\nown-driver = \"1\"\nunderlay = \"0.1\"\nunderlay-postgres = \"0.1\"\nclap = \"4\"\n\
         kit = { path = \"../../kit\" }\n",
    ),
    (
        "examples/infrastructure.rs",
        "use {diesel as _, mongodb as _, own_driver as _, redis as _, rusqlite as _, sqlx as _, tokio_postgres as _};\n\
         fn main() {}\n",
    ),
];

/// The infrastructure that the packages have in common.
const KIT: &str = r"
pub use sqlx;
pub use sqlx::PgPool as Pool;
pub type Connection = sqlx::PgConnection;
pub static POOL: std::sync::OnceLock<sqlx::PgPool> = std::sync::OnceLock::new();
pub mod prelude {
    pub use sqlx::*;
}
pub mod names {
    use sqlx::PgPool;
    pub struct Name;
    impl Name {
        pub fn fresh() -> Self {
            Self
        }
        pub fn text(&self) -> String {
            String::new()
        }
    }
    fn open() -> PgPool {
        todo!()
    }
}
pub struct Infra {
    pub pool: sqlx::PgPool,
    pub reader: Option<std::sync::Arc<sqlx::PgPool>>,
}
impl Infra {
    pub async fn connect() -> Result<Self, sqlx::Error> {
        todo!()
    }
    pub fn pool(&self) -> &sqlx::PgPool {
        &self.pool
    }
    pub async fn orders(&self) -> Vec<String> {
        Vec::new()
    }
    pub fn ready(&self) {}
    pub fn run_query(&self, _: &str) {}
}
#[derive(Clone)]
pub struct Wrapped(Pool);
impl std::ops::Deref for Wrapped {
    type Target = Pool;
    fn deref(&self) -> &Pool {
        &self.0
    }
}
impl Wrapped {
    pub fn name(&self) -> String {
        String::new()
    }
}
pub async fn named() -> Result<(Pool, String), sqlx::Error> {
    todo!()
}
pub trait HasPool {
    fn shared(&self) -> std::sync::Arc<Pool>;
}
pub fn pool() -> std::sync::Arc<sqlx::PgPool> {
    todo!()
}
pub fn ready() {}
#[macro_export]
macro_rules! orders {
    ($kit:expr) => {
        $crate::sqlx::query(include_str!(concat!(env!($kit), `orders`)))
    };
}
";

/// What a workspace of the cases calls infrastructure. No path may be named that is not there.
pub(super) fn settings(cases: &[Case]) -> String {
    let has = |part: &str| cases.iter().any(|case| case.files.iter().any(|(path, _)| path.starts_with(part)));
    let more = if has("src/infrastructure/") { ", 'cases/*/src/infrastructure/**'" } else { "" };
    let composition =
        if has("src/main.rs") { "[composition]\npaths = ['cases/*/src/main.rs']\n" } else { "" };
    format!(
        "[infrastructure]\npackages = ['kit']\npaths = ['cases/*/examples/infrastructure.rs'{more}]\n\
         [databases]\ncrates = ['own-driver']\n{composition}"
    )
}

/// The cases of a text: `=== name` begins one, `--- path` a file of it.
pub(super) fn cases(text: &str) -> Vec<Case> {
    let texts = format!("\n{text}");
    let cases = texts.split("\n=== ").skip(1).enumerate().map(|(number, text)| {
        let (name, rest) = text.split_once('\n').unwrap();
        let rest = format!("\n{rest}\n");
        let files = rest.split("\n--- ").skip(1).map(|text| {
            let (path, text) = text.split_once('\n').unwrap_or((text, ""));
            (path.to_owned(), format!("{}\n", text.trim_end()))
        });
        Case { name: name.to_owned(), folder: format!("cases/c{:03}", number + 1), files: files.collect() }
    });
    cases.collect()
}

impl Case {
    /// What is marked in its files: `//~ rule` on the line itself, `//~@-3 rule` three lines above.
    pub(super) fn marked(&self) -> BTreeSet<Marked> {
        let mut marked = BTreeSet::new();
        for (path, text) in &self.files {
            for (at, line) in text.lines().enumerate() {
                let Some((_, mark)) = line.split_once("//~").or_else(|| line.split_once("#~")) else {
                    continue;
                };
                let (above, rules) = match mark.strip_prefix("@-") {
                    Some(mark) => mark.split_once(' ').unwrap(),
                    None => ("0", mark),
                };
                let line = at + 1 + self.lines_before(path) - above.parse::<usize>().unwrap();
                for rule in rules.split_whitespace() {
                    marked.insert((format!("{}/{path}", self.folder), line, rule.to_owned()));
                }
            }
        }
        marked
    }

    fn write(&self, root: &Path) {
        let folder = root.join(&self.folder);
        let is_own = |path: &str| self.files.iter().any(|(own, _)| own == path);
        let given = FILES.iter().filter(|(path, _)| !is_own(path)).map(|(path, text)| (*path, *text));
        for (path, text) in self.files.iter().map(|(path, text)| (path.as_str(), text.as_str())).chain(given)
        {
            let text = format!("{}{text}", self.before(path));
            // The marks are for the reader alone.
            let text: Vec<&str> =
                text.lines().map(|line| line.split("#~").next().unwrap_or_default()).collect();
            write(&folder.join(path), &(text.join("\n") + "\n"));
        }
    }

    /// What stands before the text of a file.
    fn before(&self, path: &str) -> String {
        let name = self.folder.rsplit('/').next().unwrap_or_default();
        match path {
            "Cargo.toml" => {
                format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n")
            }
            _ => String::new(),
        }
    }

    fn lines_before(&self, path: &str) -> usize {
        self.before(path).lines().count()
    }
}

/// Writes a workspace of the cases.
pub(super) fn write_workspace(root: &Path, cases: &[Case]) {
    write(
        &root.join("Cargo.toml"),
        "[workspace]\nresolver = \"3\"\nmembers = [\"cases/*\", \"kit\"]\n\
        [workspace.dependencies]\nsqlx = \"0.8\"\n",
    );
    let kit = "[package]\nname = \"kit\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[dependencies]\nsqlx = \"0.8\"\n";
    write(&root.join("kit/Cargo.toml"), kit);
    write(&root.join("kit/src/lib.rs"), &KIT.replace('`', "\""));
    for case in cases {
        case.write(root);
    }
    write(&root.join("underlay-lint.toml"), &settings(cases));
}

pub(super) fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}
