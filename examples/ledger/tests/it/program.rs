//! The whole program, as a user runs it: on a file, in processes that end, or are killed.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use tempfile::TempDir;
use underlay::Decimal;

pub(crate) type Balances = BTreeMap<(String, String), Decimal>;

/// A database of a test's own, and the program on it.
pub(crate) struct Ledger {
    pub(crate) directory: TempDir,
    /// The address of the database.
    pub(crate) database: String,
}

impl Ledger {
    /// On a file.
    pub(crate) fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let database = format!("sqlite:{}", directory.path().join("ledger.db").display());
        Self { directory, database }
    }

    /// On a database that is there.
    #[cfg(feature = "postgres")]
    pub(crate) fn at(database: String) -> Self {
        Self { directory: TempDir::new().unwrap(), database }
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program());
        command.args(["--database", &self.database]).args(arguments);
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs to a good end, and gives what it printed.
    pub(crate) fn answer(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let (printed, complained) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "{arguments:?}: {}\n{printed}\n{complained}", output.status);
        printed
    }

    pub(crate) fn import(&self, file: &Path) -> String {
        self.answer(&["import", file.to_str().unwrap()])
    }

    pub(crate) fn balances(&self) -> Balances {
        parse_balances(&self.answer(&["balances", "--format", "csv"]))
    }

    /// Every event there is, as text.
    pub(crate) fn events(&self) -> String {
        self.answer(&["events", "--json", "--limit", "1000000"])
    }

    /// Serves until the answer is killed or dropped; gives the address.
    pub(crate) fn serve(&self) -> (Serving, String) {
        self.serve_with(&[])
    }

    pub(crate) fn serve_with(&self, arguments: &[&str]) -> (Serving, String) {
        self.serve_logging(arguments, Stdio::inherit())
    }

    /// The same, with its log written elsewhere.
    pub(crate) fn serve_logging(&self, arguments: &[&str], log: Stdio) -> (Serving, String) {
        let mut command = self.command(&["serve"]);
        if !arguments.contains(&"--listen") {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        command.args(arguments);
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut first = String::new();
        let mut printed = BufReader::new(child.stdout.take().unwrap());
        printed.read_line(&mut first).unwrap();
        let address = first.trim().rsplit(' ').next().unwrap().to_owned();
        (Serving { child, _printed: printed }, address)
    }
}

/// The program: the one `cargo xtask test` built for release, or the one of this profile.
pub(crate) fn program() -> OsString {
    std::env::var_os("UNDERLAY_TEST_LEDGER").unwrap_or_else(|| env!("CARGO_BIN_EXE_ledger").into())
}

/// A process that serves; killed, not asked to end.
pub(crate) struct Serving {
    child: Child,
    /// Held, so that the process does not write into a pipe that nobody reads.
    _printed: BufReader<std::process::ChildStdout>,
}

#[cfg(feature = "postgres")]
impl Serving {
    /// Sends a signal, by its name.
    pub(crate) fn signal(&self, name: &str) {
        let process = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &process]).status().unwrap().success());
    }

    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    /// Waits for its end, which must be a good one.
    pub(crate) fn wait(mut self) {
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub(crate) fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

/// Reads `account,commodity,balance`, also as hledger writes it.
pub(crate) fn parse_balances(csv: &str) -> Balances {
    let mut rows = csv::Reader::from_reader(csv.as_bytes());
    assert_eq!(rows.headers().unwrap(), vec!["account", "commodity", "balance"]);
    let balance = |row: Result<csv::StringRecord, csv::Error>| {
        let row = row.unwrap();
        ((row[0].to_owned(), row[1].to_owned()), row[2].parse().unwrap())
    };
    rows.records().map(balance).collect()
}

/// What hledger says of a journal; none where it is not installed.
pub(crate) fn judged_by_hledger(journal: &Path) -> Option<Balances> {
    let mut command = Command::new("hledger");
    command.arg("-f").arg(journal).args(["balance", "--no-total", "--layout", "bare", "-O", "csv"]);
    match command.output() {
        Ok(output) => {
            assert!(output.status.success(), "{}", text(&output.stderr));
            Some(parse_balances(&text(&output.stdout)))
        }
        Err(error) => {
            servers::Missing::new("hledger", format_args!("it does not run: {error}")).skip_test();
            None
        }
    }
}

#[test]
fn a_household_is_imported_once_and_judged_by_hledger() {
    let ledger = Ledger::new();
    let journal = data("household-2020-2024.csv");
    assert_eq!(ledger.import(&journal), "1933 entries: 1933 new, 0 already there\n");
    let expected =
        parse_balances(&std::fs::read_to_string(data("household-2020-2024.balances.csv")).unwrap());
    assert_eq!(expected.len(), 74);
    assert_eq!(ledger.balances(), expected);
    if let Some(judged) = judged_by_hledger(&data("household-2020-2024.hledger")) {
        assert_eq!(ledger.balances(), judged);
    }

    let events = ledger.events();
    assert_eq!(ledger.import(&journal), "1933 entries: 0 new, 1933 already there: nothing changed\n");
    assert_eq!(ledger.events(), events);

    let (serving, address) = ledger.serve();
    let row = "v1/views/balances/Expenses:Home:Rent@USD";
    let row = ureq::get(format!("{address}/{row}")).call().unwrap().body_mut().read_to_string().unwrap();
    let row: serde_json::Value = serde_json::from_str(&row).unwrap();
    assert_eq!(row["balance"].as_str().unwrap().parse::<Decimal>().unwrap(), Decimal::from(141_600));
    assert_eq!(row["account"], "Expenses:Home:Rent");
    drop(serving);
    assert_eq!(ledger.balances(), expected, "after a process that was killed");
}

#[test]
fn a_journal_that_is_not_there_makes_no_store() {
    let ledger = Ledger::new();
    let empty = ledger.directory.path().join("empty.csv");
    std::fs::write(&empty, "date,amount\n").unwrap();
    for arguments in [["import", "typo.csv"], ["import", empty.to_str().unwrap()], ["import-log", "typo.log"]]
    {
        let output = ledger.run(&arguments);
        let told = text(&output.stderr);
        assert!(!output.status.success() && told.contains(arguments[1]), "{arguments:?}: {told}");
        assert!(!Path::new(&ledger.database["sqlite:".len()..]).exists(), "{arguments:?}");
    }
}

#[test]
fn an_exchange_a_budget_and_hours_are_judged_by_hledger() {
    let ledger = Ledger::new();
    assert_eq!(ledger.import(&data("small.csv")), "7 entries: 7 new, 0 already there\n");
    if let Some(judged) = judged_by_hledger(&data("small.hledger")) {
        assert_eq!(ledger.balances(), judged);
    }
}

#[test]
fn an_import_that_is_killed_goes_on_where_it_was() {
    let ledger = Ledger::new();
    let journal = data("household-2020-2024.csv");
    let mut import =
        ledger.command(&["import", journal.to_str().unwrap()]).stdout(Stdio::null()).spawn().unwrap();
    // At first there is no store to look at.
    let seen = || !ledger.run(&["events", "--json", "--limit", "1"]).stdout.is_empty();
    let mut ended = None;
    while !seen() && ended.is_none() {
        ended = import.try_wait().unwrap();
    }
    assert!(ended.is_none_or(|status| status.success()), "{ended:?} before it was killed");
    import.kill().unwrap();
    import.wait().unwrap();
    let imported: serde_json::Value =
        serde_json::from_str(&ledger.answer(&["--json", "import", journal.to_str().unwrap()])).unwrap();
    assert_eq!(imported["entries"], 1933);
    let (new, before) = (imported["new"].as_u64().unwrap(), imported["already_there"].as_u64().unwrap());
    assert_eq!(new + before, 1933);
    assert!(before >= 1, "the events that were seen belong to an entry");
    let expected =
        parse_balances(&std::fs::read_to_string(data("household-2020-2024.balances.csv")).unwrap());
    assert_eq!(ledger.balances(), expected);
}

#[test]
fn a_broken_file_is_refused_with_its_line_and_changes_nothing() {
    let ledger = Ledger::new();
    ledger.import(&data("small.csv"));
    let events = ledger.events();
    let household = std::fs::read(data("household-2020-2024.csv")).unwrap();
    let with = |from: &str, to: &str| text(&household).replacen(from, to, 1).into_bytes();
    let lines = household.iter().filter(|byte| **byte == b'\n').count();
    let broken = [
        (
            "unbalanced",
            with("\"-3089.61000\"", "\"-3089.62000\""),
            "line 2: the entry is unbalanced".to_owned(),
        ),
        ("number", with("\"-4615.38000\"", "\"-4,615.38\""), "line 8: amount".to_owned()),
        ("date", with("\"2020-01-02\"", "\"2020-13-02\""), "line 6: date".to_owned()),
        ("column", with("\"amount\"", "\"sum\""), "line 1: column \"amount\" is missing".to_owned()),
        ("cut", household[..household.len() - 60].to_vec(), format!("line {lines}: the row has")),
        ("empty", Vec::new(), "line 1: the file is empty".to_owned()),
        ("bytes", [&household[..], b"\"9999\",\"\xff\"\n"].concat(), format!("line {}: the row", lines + 1)),
    ];
    for (name, bytes, complaint) in broken {
        let file = ledger.directory.path().join(format!("{name}.csv"));
        std::fs::write(&file, bytes).unwrap();
        let output = ledger.run(&["import", file.to_str().unwrap()]);
        let complained = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{name}: {complained}");
        assert!(complained.contains(&complaint), "{name}: {complained}");
        assert!(complained.contains("nothing was imported"), "{name}: {complained}");
        assert_eq!(text(&output.stdout), "", "{name}");
    }
    let missing = ledger.run(&["import", "missing.csv"]);
    assert_eq!(missing.status.code(), Some(2));
    assert!(text(&missing.stderr).contains("missing.csv: "), "{}", text(&missing.stderr));
    assert_eq!(ledger.events(), events);
}

#[test]
fn programs_get_json() {
    let ledger = Ledger::new();
    let imported = ledger.answer(&["import", data("small.csv").to_str().unwrap(), "--json"]);
    assert_eq!(imported, "{\"entries\":7,\"new\":7,\"already_there\":0}\n");
    for arguments in [&["balances", "--json"][..], &["balances", "--format", "json"]] {
        let printed = ledger.answer(arguments);
        let lines: Vec<BTreeMap<String, String>> =
            printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 10);
        assert_eq!((lines[0]["account"].as_str(), lines[0]["commodity"].as_str()), ("assets:cash", "EUR"));
        assert_eq!(lines[0]["balance"].parse::<Decimal>().unwrap(), Decimal::from(79));
    }
    let table = ledger.answer(&["balances"]);
    assert!(table.lines().next().is_some_and(|line| line.contains("account")), "{table}");
    assert_eq!(table.lines().count(), 11, "{table}");
}

#[test]
fn tenants_do_not_see_each_other() {
    let ledger = Ledger::new();
    ledger.answer(&["--tenant", "acme", "import", data("small.csv").to_str().unwrap()]);
    assert_eq!(ledger.balances(), Balances::new());
    let other = ledger.answer(&["--tenant", "other", "import", data("small.csv").to_str().unwrap()]);
    assert_eq!(other, "7 entries: 7 new, 0 already there\n");
    let acme = ledger.answer(&["--tenant", "acme", "balances", "--format", "csv"]);
    assert_eq!(parse_balances(&acme).len(), 10);
}
