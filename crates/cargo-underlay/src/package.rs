//! The files of a package, made from the templates.

use crate::name::PackageName;
use crate::origin::Origin;

/// What the package is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A whole service.
    Service,
    /// A program of one's own with a store in it.
    StoreOnly,
}

/// A package that is to be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Package<'a> {
    pub(crate) kind: Kind,
    pub(crate) name: &'a PackageName,
    pub(crate) origin: &'a Origin,
    /// Whether its folder lies below the one of a workspace, which it is no member of.
    pub(crate) is_below_workspace: bool,
}

/// A file of a package.
#[derive(Debug)]
pub(crate) struct File {
    /// From the folder of the package.
    pub(crate) path: String,
    pub(crate) text: String,
}

/// The path in the package, then the text of the template.
type Template = (&'static str, &'static str);

macro_rules! template {
    ($path:literal from $template:literal) => {
        ($path, include_str!(concat!("../template/", $template)))
    };
}

const SERVICE: &[Template] = &[
    template!("Cargo.toml" from "service/Cargo.toml.in"),
    template!("README.md" from "service/README.md"),
    template!("events.lock" from "service/events.lock"),
    template!("src/main.rs" from "service/src/main.rs"),
    template!("src/task.rs" from "service/src/task.rs"),
    template!("src/tasks.rs" from "service/src/tasks.rs"),
    template!("tests/http.rs" from "service/tests/http.rs"),
    template!("underlay-lint.toml" from "service/underlay-lint.toml"),
    template!("Dockerfile" from "beside/Dockerfile"),
    template!(".dockerignore" from "beside/dockerignore"),
    template!("deploy/{{name}}.service" from "beside/unit.service"),
    template!(".github/workflows/ci.yml" from "beside/ci.yml"),
    IGNORED,
];

const STORE_ONLY: &[Template] = &[
    template!("Cargo.toml" from "store-only/Cargo.toml.in"),
    template!("README.md" from "store-only/README.md"),
    template!("src/main.rs" from "store-only/src/main.rs"),
    template!("underlay-lint.toml" from "store-only/underlay-lint.toml"),
    IGNORED,
];

const IGNORED: Template = template!(".gitignore" from "beside/gitignore");

const OWN_WORKSPACE: &str = "
# The folder lies below a workspace. To be a member of that, remove this, and name the package there.
[workspace]
";

const CRATES_OUTSIDE: &str = "
The crates of Underlay come from a checkout beside this folder, which Docker is not given. Take a published version in `Cargo.toml`
before you build an image.
";

impl Package<'_> {
    /// All of its files.
    pub(crate) fn files(&self) -> Vec<File> {
        let templates = match self.kind {
            Kind::Service => SERVICE,
            Kind::StoreOnly => STORE_ONLY,
        };
        let places = self.places();
        let filled = |text: &str| {
            places.iter().fold(text.to_owned(), |text, (place, value)| text.replace(place, value))
        };
        templates.iter().map(|(path, text)| File { path: filled(path), text: filled(text) }).collect()
    }

    /// What stands in a template, and what in its place.
    fn places(&self) -> [(&'static str, String); 9] {
        let container = match self.origin {
            Origin::Registry => "",
            Origin::Checkout(_) => CRATES_OUTSIDE,
        };
        [
            ("{{name}}", self.name.to_string()),
            ("{{NAME}}", self.name.variable()),
            ("{{version}}", env!("CARGO_PKG_VERSION").to_owned()),
            ("{{rust}}", env!("CARGO_PKG_RUST_VERSION").to_owned()),
            ("{{underlay}}", self.origin.dependency("underlay")),
            ("{{underlay-testkit}}", self.origin.dependency("underlay-testkit")),
            ("{{add}}", self.origin.add_command()),
            ("{{container}}", container.to_owned()),
            ("{{workspace}}", if self.is_below_workspace { OWN_WORKSPACE } else { "" }.to_owned()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_template_is_left() {
        let name = PackageName::parse("order-desk").unwrap();
        for kind in [Kind::Service, Kind::StoreOnly] {
            let package = Package { kind, name: &name, origin: &Origin::Registry, is_below_workspace: true };
            for File { path, text } in package.files() {
                // The expressions of GitHub begin with a dollar.
                let left = format!("{path}\n{text}").replace("${{", "");
                assert!(!left.contains("{{"), "{path}: {text}");
            }
        }
    }

    #[test]
    fn a_published_version_is_the_one_of_this_program() {
        let name = PackageName::parse("order-desk").unwrap();
        let kind = Kind::Service;
        let package = Package { kind, name: &name, origin: &Origin::Registry, is_below_workspace: false };
        let files = package.files();
        let of = |path: &str| &files.iter().find(|file| file.path == path).unwrap().text;
        let line = format!("underlay = {{ version = \"{}\" }}\n", env!("CARGO_PKG_VERSION"));
        assert!(of("Cargo.toml").contains(&line) && !of("Cargo.toml").contains("[workspace]"));
        assert!(of("Dockerfile").contains("ORDER_DESK_LISTEN=0.0.0.0:7070"));
        assert!(!of("README.md").contains("checkout"));
    }
}
