use clap::ArgMatches;

use super::{or_dash, print_list, print_table};
use crate::ExitError;
use crate::config::{Config, Entry};

pub(super) fn command() -> clap::Command {
    clap::Command::new("config")
        .about("Print every option, with its value, where that comes from and what it means")
}

pub(super) fn run(config: &Config, matches: &ArgMatches) -> Result<(), ExitError> {
    let entries = config.entries();
    if matches.get_flag("json") {
        return print_list(entries);
    }
    let row = |entry: &Entry| {
        vec![entry.option.clone(), or_dash(entry.value.as_ref()), entry.source.clone(), entry.meaning.clone()]
    };
    print_table(&["option", "value", "from", "meaning"], entries.iter().map(row).collect())
}
