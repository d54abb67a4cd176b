//! How many tests passed, which did not, and what those said: told again where a run ends, since whoever reads a long
//! log reads its end.

use std::mem;

/// Lines that are told again of what a test said that failed.
const LINES_MAX: usize = 24;
/// Characters of each of those lines.
const LINE_MAX: usize = 300;
/// Tests whose words are told again; of the others the names are.
const WORDS_MAX: usize = 10;
/// Begins the part that tells why a test failed.
const REASON: &str = "panicked at";

/// Tests that ended, as their runner said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    passed: u64,
    failed: u64,
    /// Those of the passed that failed before.
    flaky: u64,
    /// What failed, also once, in the order in which it did.
    failures: Vec<Failure>,
    /// The lines that are read are what the last of the failures said.
    is_heard: bool,
}

/// A try of a test that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Failure {
    /// As its runner writes it, with how it ended.
    name: String,
    words: Vec<String>,
}

impl Count {
    /// Tests that passed.
    pub(crate) fn passed(&self) -> u64 {
        self.passed
    }

    /// Tests that passed at their second try only.
    pub(crate) fn flaky(&self) -> u64 {
        self.flaky
    }

    /// Prints what failed and the numbers, where a runner gave any.
    pub(crate) fn print(&self) {
        for (number, failure) in self.failures.iter().enumerate() {
            println!("\n{}", failure.name);
            for line in failure.reason().take(if number < WORDS_MAX { LINES_MAX } else { 0 }) {
                println!("  {line}");
            }
        }
        if self.passed + self.failed > 0 {
            if self.flaky > 0 {
                println!("\n{} of them passed at their second try only: mend them", self.flaky);
            }
            println!("{} passed, {} failed", self.passed, self.failed);
        }
    }

    /// Adds a line of `cargo test`: the name of a test that failed, or the numbers that end a test binary:
    /// `test result: ok. 3 passed; 0 failed; 1 ignored; …`.
    pub(super) fn add_libtest(&mut self, line: &str) {
        if let Some(name) = line.strip_prefix("test ").and_then(|rest| rest.strip_suffix(" ... FAILED")) {
            self.failures.push(Failure { name: format!("FAILED {name}"), words: Vec::new() });
        }
        let Some((_, numbers)) = line.strip_prefix("test result: ").and_then(|rest| rest.split_once(". "))
        else {
            return;
        };
        self.add(numbers.split(';'));
    }

    /// Adds a line of nextest: how a test ended, what one said that failed, or the summary:
    /// `Summary [ 1.0s] 5 tests run: 3 passed (1 slow, 1 flaky), 1 failed, 1 timed out, 2 skipped`.
    pub(super) fn add_nextest(&mut self, line: &str) {
        let Some((status, test)) = status_of(line) else {
            if let Some(failure) = self.failures.last_mut().filter(|_| self.is_heard) {
                failure.hear(line);
            }
            return;
        };
        self.is_heard = false;
        if status == "Summary" {
            let Some((_, numbers)) = line.split_once(" run: ") else { return };
            self.add(numbers.split(','));
            let words: Vec<&str> =
                numbers.split([' ', ',', '(', ')']).filter(|word| !word.is_empty()).collect();
            let flaky =
                words.windows(2).find(|pair| pair[1] == "flaky").and_then(|pair| pair[0].parse().ok());
            self.flaky += flaky.unwrap_or(0_u64);
        } else if is_bad(status) {
            let name = format!("{status} {test}");
            // The list that follows the summary names each again.
            if self.failures.iter().all(|failure| failure.name != name) {
                self.failures.push(Failure { name, words: Vec::new() });
                self.is_heard = true;
            }
        }
    }

    fn add<'a>(&mut self, parts: impl Iterator<Item = &'a str>) {
        for part in parts {
            let mut words = part.split_whitespace();
            let number = words.next().and_then(|word| word.parse::<u64>().ok());
            let (Some(number), Some(word)) = (number, words.next()) else { continue };
            match word {
                "passed" => self.passed += number,
                // `timed out` and `exec failed` end a test badly too.
                "failed" | "timed" | "exec" => self.failed += number,
                _ => {}
            }
        }
    }
}

impl Failure {
    /// Keeps a line: all of the reason until it is told whole, and before it the last ones.
    fn hear(&mut self, line: &str) {
        let line: String = line.trim().chars().take(LINE_MAX).collect();
        if line.is_empty() {
            return;
        }
        let begun = self.reason_begins();
        if begun.is_none() && self.words.len() == LINES_MAX {
            self.words.remove(0);
        }
        if begun.is_some() && line.contains(REASON) {
            // Of several the last is the test's own: what it ran in the background fails before.
            mem::take(&mut self.words);
        }
        if self.words.len() < 2 * LINES_MAX {
            self.words.push(line);
        }
    }

    fn reason(&self) -> impl Iterator<Item = &String> {
        self.words.iter().skip(self.reason_begins().unwrap_or(0))
    }

    fn reason_begins(&self) -> Option<usize> {
        self.words.iter().position(|line| line.contains(REASON))
    }
}

/// How nextest says a test or a run ended, and which:
/// `  TRY 1 FAIL [   1.8s] (  7/3760) harness::it faults::one`.
fn status_of(line: &str) -> Option<(&str, &str)> {
    let (status, rest) = line.trim_start().split_once(" [")?;
    let (seconds, test) = rest.split_once("] ")?;
    let is_time = seconds.trim_start_matches([' ', '>']).strip_suffix('s')?.parse::<f64>().is_ok();
    let is_status = status.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, ' ' | '/' | '-' | '+'));
    if !is_time || !is_status || !status.starts_with(|c: char| c.is_ascii_uppercase()) {
        return None;
    }
    let test = test.trim_start();
    let test = match test.strip_prefix('(').and_then(|rest| rest.split_once(") ")) {
        Some((_, name)) => name,
        None => test,
    };
    Some((status, test))
}

/// Whether a try that ended so failed.
fn is_bad(status: &str) -> bool {
    // `TRY 2 FAIL` is told with its number, and `TERMINATING` is followed by its end.
    const BAD: [&str; 6] = ["FAIL", "TMT", "TIMEOUT", "ABORT", "XFAIL", "LKFAIL"];
    let word = status.rsplit(' ').next().unwrap_or_default();
    BAD.contains(&word) || word.starts_with("SIG") || status.ends_with("FAIL + LEAK")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(count: &Count) -> [u64; 3] {
        [count.passed, count.failed, count.flaky]
    }

    #[test]
    fn libtest_results_are_added_up() {
        let mut count = Count::default();
        count.add_libtest("running 3 tests");
        count.add_libtest(
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.02s",
        );
        count.add_libtest("test tests::one ... FAILED");
        count.add_libtest("test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 9 filtered out");
        assert_eq!(numbers(&count), [4, 2, 0]);
        assert_eq!(count.failures[0].name, "FAILED tests::one");
    }

    #[test]
    fn a_nextest_summary_is_read_with_every_bad_end() {
        let mut count = Count::default();
        count.add_nextest("        PASS [   0.004s] xtask test::tests::one");
        count.add_nextest(
            "     Summary [   1.203s] 9 tests run: 5 passed (1 slow, 2 flaky, 1 leaky), 2 failed, 1 timed out, 1 exec failed, 3 skipped",
        );
        assert_eq!(numbers(&count), [5, 4, 2]);
        assert!(count.failures.is_empty());
    }

    #[test]
    fn a_line_that_is_no_summary_counts_nothing() {
        let mut count = Count::default();
        count.add_libtest("test result: unknown");
        count.add_nextest("  note: Summary [ 1s] 2 tests run: 2 passed");
        assert_eq!(count, Count::default());
    }

    #[test]
    fn what_failed_is_named_once_with_its_reason() {
        let mut count = Count::default();
        for line in [
            "  TRY 1 FAIL [   1.847s] (─────────) harness::it faults::one",
            "  stdout ───",
            "    running 1 test",
            "  stderr ───",
            "    thread 'other' panicked at src/other.rs:1:2:",
            "    in the background",
            "    thread 'faults::one' panicked at tests/it/faults.rs:7:5:",
            "    3 were lost",
            "        PASS [   0.004s] (   2/3760) xtask test::tests::one",
            "    not of it",
            "  TRY 2 SLOW [> 60.000s] (─────────) harness::it faults::one",
            "     TIMEOUT [ 600.000s] (   3/3760) harness::it faults::two",
            "   TRY 2 SIGABRT [   0.1s] (   4/3760) harness::it faults::three",
            "     Summary [   1.203s] 4 tests run: 2 passed, 1 timed out, 1 failed, 0 skipped",
            "     TIMEOUT [ 600.000s] (   3/3760) harness::it faults::two",
        ] {
            count.add_nextest(line);
        }
        let names: Vec<&str> = count.failures.iter().map(|failure| failure.name.as_str()).collect();
        let all = [
            "TRY 1 FAIL harness::it faults::one",
            "TIMEOUT harness::it faults::two",
            "TRY 2 SIGABRT harness::it faults::three",
        ];
        assert_eq!(names, all);
        let reason: Vec<&String> = count.failures[0].reason().collect();
        assert_eq!(reason, ["thread 'faults::one' panicked at tests/it/faults.rs:7:5:", "3 were lost"]);
    }

    #[test]
    fn of_a_test_that_said_much_the_last_lines_are_kept() {
        let mut count = Count::default();
        count.add_nextest("  TRY 1 FAIL [   1.847s] (─────────) harness::it faults::one");
        (0..1_000).for_each(|line| count.add_nextest(&format!("    line {line}")));
        let said: Vec<&String> = count.failures[0].reason().collect();
        assert_eq!((said.len(), said[LINES_MAX - 1].as_str()), (LINES_MAX, "line 999"));
    }
}
