//! What belongs to databases by name: crates, programs, and the schemes of addresses.

/// Crates that reach a database, or build and run queries.
const CRATES: &[&str] = &[
    "async-sqlite",
    "aws-sdk-dynamodb",
    "barrel",
    "bb8-bolt",
    "bb8-diesel",
    "bb8-postgres",
    "bb8-redis",
    "bb8-rusqlite",
    "bb8-tiberius",
    "cassandra-cpp",
    "cdrs-tokio",
    "clickhouse",
    "clickhouse-rs",
    "clorinde",
    "cornucopia",
    "deadpool-diesel",
    "deadpool-libsql",
    "deadpool-postgres",
    "deadpool-r2d2",
    "deadpool-redis",
    "deadpool-sqlite",
    "diesel",
    "diesel-async",
    "diesel_migrations",
    "duckdb",
    "firestore",
    "fjall",
    "fred",
    "heed",
    "libsql",
    "libsqlite3-sys",
    "limbo",
    "lmdb",
    "lmdb-rkv",
    "mobc-postgres",
    "mobc-redis",
    "mongodb",
    "mongodm",
    "mysql",
    "mysql_async",
    "mysql_common",
    "neo4rs",
    "odbc-api",
    "oracle",
    "ormx",
    "postgres",
    "postgres-native-tls",
    "postgres-openssl",
    "postgres-protocol",
    "postgres-types",
    "pq-sys",
    "prisma-client-rust",
    "r2d2-diesel",
    "r2d2_mongodb",
    "r2d2_mysql",
    "r2d2_postgres",
    "r2d2_redis",
    "r2d2_sqlite",
    "rbatis",
    "rbdc",
    "rbdc-pg",
    "redb",
    "redis",
    "refinery",
    "rocksdb",
    "rusqlite",
    "rusqlite_migration",
    "rustis",
    "scylla",
    "sea-orm",
    "sea-orm-migration",
    "sea-query",
    "sea-query-binder",
    "sea-query-rusqlite",
    "sea-schema",
    "sled",
    "sqlite",
    "sqlite3-sys",
    "sqlx",
    "sqlx-core",
    "sqlx-macros",
    "sqlx-mysql",
    "sqlx-postgres",
    "sqlx-sqlite",
    "surrealdb",
    "tiberius",
    "tikv-client",
    "toasty",
    "tokio-postgres",
    "tokio-postgres-rustls",
    "tokio-rusqlite",
    "turso",
    "welds",
];

/// Crates of Underlay that are a store each.
const ADAPTERS: &[&str] = &["underlay-mongodb", "underlay-postgres", "underlay-redis", "underlay-sqlite"];

/// Programs that reach a database.
const PROGRAMS: &[&str] = &[
    "clickhouse-client",
    "clusterdb",
    "cockroach",
    "cqlsh",
    "createdb",
    "createuser",
    "dropdb",
    "dropuser",
    "duckdb",
    "initdb",
    "mariadb",
    "mariadb-dump",
    "mongo",
    "mongod",
    "mongodump",
    "mongoexport",
    "mongoimport",
    "mongorestore",
    "mongosh",
    "mysql",
    "mysqladmin",
    "mysqldump",
    "pg_basebackup",
    "pg_ctl",
    "pg_dump",
    "pg_dumpall",
    "pg_restore",
    "pgbench",
    "pgcli",
    "psql",
    "redis-benchmark",
    "redis-cli",
    "redis-server",
    "reindexdb",
    "sqlcmd",
    "sqlite3",
    "sqlplus",
    "usql",
    "vacuumdb",
    "valkey-cli",
];

/// Schemes of addresses of database servers. A file of SQLite is an address of Underlay's own, and is not here.
const SCHEMES: &[&str] = &[
    "cassandra",
    "clickhouse",
    "cockroachdb",
    "mariadb",
    "mongodb",
    "mongodb+srv",
    "mssql",
    "mysql",
    "neo4j",
    "oracle",
    "postgres",
    "postgresql",
    "redis",
    "redis+unix",
    "rediss",
    "sqlserver",
    "valkey",
    "valkeys",
];

/// Whether a package of this name is a database crate; `more` are those that the user names.
pub(crate) fn is_database(package: &str, more: &[String]) -> bool {
    CRATES.contains(&package) || more.iter().any(|name| name == package)
}

/// Whether a package of this name is one of Underlay whose items have rules.
pub(crate) fn is_underlay(package: &str) -> bool {
    ["underlay", "underlay-core", "underlay-runtime"].contains(&package) || is_adapter(package)
}

/// Whether a package of this name is a store of Underlay.
pub(crate) fn is_adapter(package: &str) -> bool {
    ADAPTERS.contains(&package)
}

/// The program of a database that a word names, which may be a path.
pub(crate) fn program(word: &str) -> Option<&'static str> {
    let name = word.rsplit(['/', '\\']).next().unwrap_or(word);
    let name = name.strip_suffix(".exe").unwrap_or(name);
    PROGRAMS.iter().copied().find(|program| *program == name)
}

/// The program of a database that a line for a shell starts.
pub(crate) fn program_of_line(line: &str) -> Option<&'static str> {
    let segments = line.split(['|', ';', '&', '\n', '(', '`']);
    segments
        .filter_map(|segment| {
            let mut words = segment.split_whitespace().skip_while(|word| is_before_program(word));
            let found = program(words.next()?)?;
            // A single word may be the name of anything; the line is a program where it is all there is.
            (words.next().is_some() || line.trim() == segment.trim()).then_some(found)
        })
        .next()
}

/// Words that may stand before the program in a line: variables, and programs that start others.
fn is_before_program(word: &str) -> bool {
    word.contains('=') || ["exec", "sudo", "env", "time", "nohup", "command"].contains(&word)
}

/// The scheme of an address of a database server, where a text is one: it names a host or a user, not the places for them.
pub(crate) fn connection_scheme(text: &str) -> Option<&'static str> {
    let text = text.trim();
    let text = text.strip_prefix("jdbc:").unwrap_or(text);
    if let Some((scheme, rest)) = text.split_once("://") {
        let scheme = SCHEMES.iter().copied().find(|known| known.eq_ignore_ascii_case(scheme))?;
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        let is_place = authority.chars().all(|c| c.is_ascii_uppercase() || "_@:[]<>…".contains(c));
        let is_one = !rest.is_empty() && !rest.contains(char::is_whitespace);
        return (is_one && (!is_place || authority.is_empty() && rest.len() > 1)).then_some(scheme);
    }
    let settings: Vec<&str> =
        text.split_whitespace().filter_map(|word| word.split_once('=')).map(|(key, _)| key).collect();
    let names = |key: &str| settings.contains(&key);
    (names("host") && (names("dbname") || names("user"))).then_some("postgres")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_are_in_order() {
        for list in [CRATES, ADAPTERS, PROGRAMS, SCHEMES] {
            assert!(list.is_sorted(), "{list:?}");
        }
    }

    #[test]
    fn a_line_starts_a_program_where_a_word_alone_says_nothing() {
        for line in [
            "psql",
            "psql -c x",
            "cat a | psql -q",
            "PGPASSWORD=x /usr/bin/psql shop",
            "cd a && sqlite3 b.db .dump",
        ] {
            assert!(program_of_line(line).is_some(), "{line}");
        }
        for line in ["a psql client", "echo psql", "use it; psql", "psqlrc", "apt-get install psql"] {
            assert_eq!(program_of_line(line), None, "{line}");
        }
    }

    #[test]
    fn an_address_is_told_from_its_scheme_and_from_its_form() {
        for text in [
            "postgres://me:pw@db/shop",
            "rediss://cache:6380",
            "jdbc:postgresql://h/d",
            "mongodb+srv://c.example",
            "host=db user=me dbname=shop",
            "postgres:///shop?host=/run",
            "redis://{host}:{port}",
        ] {
            assert!(connection_scheme(text).is_some(), "{text}");
        }
        for text in [
            "postgres://",
            "postgres://USER@HOST/DATABASE",
            "an address such as postgres://h/d",
            "https://db/",
            "postgres://h/d is its address",
            "host=db port=1",
            "sqlite:shop.db",
        ] {
            assert_eq!(connection_scheme(text), None, "{text}");
        }
    }
}
