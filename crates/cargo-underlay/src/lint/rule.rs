use std::fmt;

/// What the lint looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Rule {
    /// A package depends on a database crate that nothing in its infrastructure uses.
    DatabaseDependency,
    /// Code names something of a database crate, or calls it.
    DatabaseAccess,
    /// A text is SQL, or a script for a database.
    QueryText,
    /// A program of a database is started.
    DatabaseProgram,
    /// A text is the address of a database server.
    ConnectionString,
    /// A port of Underlay is used across tenants.
    EveryTenant,
    /// A store is opened or written beside the engine.
    StoreAccess,
    /// An exception is past its last day.
    ExceptionExpired,
    /// Nothing in the code needs an exception.
    ExceptionUnused,
    /// The test of an exception is not there, or is not run.
    ExceptionUntested,
    /// The generated list in a page is not what the file of the lint says.
    PageDiffers,
}

impl Rule {
    /// The rules about code. An exception can be registered for each of them.
    pub(crate) const OF_CODE: [Self; 7] = [
        Self::DatabaseDependency,
        Self::DatabaseAccess,
        Self::QueryText,
        Self::DatabaseProgram,
        Self::ConnectionString,
        Self::EveryTenant,
        Self::StoreAccess,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::DatabaseDependency => "database-dependency",
            Self::DatabaseAccess => "database-access",
            Self::QueryText => "query-text",
            Self::DatabaseProgram => "database-program",
            Self::ConnectionString => "connection-string",
            Self::EveryTenant => "every-tenant",
            Self::StoreAccess => "store-access",
            Self::ExceptionExpired => "exception-expired",
            Self::ExceptionUnused => "exception-unused",
            Self::ExceptionUntested => "exception-untested",
            Self::PageDiffers => "page-differs",
        }
    }

    /// The rule about code of this name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::OF_CODE.into_iter().find(|rule| rule.name() == name)
    }

    /// What to do instead.
    pub(crate) fn instead(self) -> &'static str {
        match self {
            Self::DatabaseDependency => {
                "remove it, or move the code that needs it into what underlay-lint.toml registers as infrastructure"
            }
            Self::DatabaseAccess => {
                "use a repository, a view or the engine; what they cannot do belongs in infrastructure"
            }
            Self::QueryText => {
                "ask a repository by a specification, or a view by a query; SQL belongs in infrastructure"
            }
            Self::DatabaseProgram => "let the service's own commands do it, or move it into infrastructure",
            Self::ConnectionString => "take the address from the configuration of the service",
            Self::EveryTenant => "read and write through the engine, which is given one tenant",
            Self::StoreAccess => {
                "let the service open its store, and change it by commands, operations and repositories"
            }
            Self::ExceptionExpired => "mend the code and remove the exception, or have it approved anew",
            Self::ExceptionUnused => "remove it",
            Self::ExceptionUntested => "name a test that covers the exception, as file::name",
            Self::PageDiffers => "run `cargo underlay lint --write` with this page",
        }
    }

    /// Whether a test may do it. A test opens stores of its own, and looks at what every tenant has in them.
    pub(crate) fn spares_tests(self) -> bool {
        matches!(self, Self::ConnectionString | Self::EveryTenant | Self::StoreAccess)
    }

    /// Whether the code that composes a service may do it.
    pub(crate) fn spares_composition(self) -> bool {
        matches!(self, Self::ConnectionString | Self::EveryTenant | Self::StoreAccess)
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A place that breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    /// From the root of the workspace, with `/` on every system.
    pub(crate) file: String,
    /// From 1.
    pub(crate) line: usize,
    /// From 1, in characters.
    pub(crate) column: usize,
    pub(crate) rule: Rule,
    /// What is there.
    pub(crate) what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, column, rule, what } = self;
        write!(f, "{file}:{line}:{column}: {rule}: {what}; {}", rule.instead())
    }
}
