//! Who runs this program: it is stored with what they ask for, and told in the log.

use clap::ArgMatches;

use crate::ExitError;

/// The variables that a login sets.
const VARIABLES: [&str; 3] = ["USER", "LOGNAME", "USERNAME"];

/// Who gives an order: the name after `--as`, or the user of the system.
///
/// # Errors
/// That the system does not say, where it does not: nothing is done in nobody's name.
pub(super) fn who(matches: &ArgMatches) -> Result<String, ExitError> {
    let given = matches.get_one::<String>("as").cloned();
    given.or_else(os_user).filter(|name| !name.is_empty()).ok_or_else(|| {
        ExitError::invalid("the system does not say who you are; say who orders this with --as NAME")
    })
}

/// The user as the login says, or else as the system lists who runs this program. In a container nobody has
/// logged in.
fn os_user() -> Option<String> {
    let of_login = VARIABLES.iter().find_map(|name| std::env::var(name).ok().filter(|name| !name.is_empty()));
    of_login.or_else(listed_user)
}

#[cfg(target_os = "linux")]
fn listed_user() -> Option<String> {
    use std::os::unix::fs::MetadataExt;
    let id = std::fs::metadata("/proc/self").ok()?.uid();
    name_of(id, &std::fs::read_to_string("/etc/passwd").ok()?)
}

#[cfg(not(target_os = "linux"))]
fn listed_user() -> Option<String> {
    None
}

/// The name that a list of users has for an id. A line begins with the name, the password's place and the id.
#[cfg(any(target_os = "linux", test))]
fn name_of(id: u32, users: &str) -> Option<String> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, _password, listed) = (fields.next()?, fields.next()?, fields.next()?);
        (listed.parse() == Ok(id) && !name.is_empty()).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_the_id_that_the_system_lists() {
        let users = "root:x:0:0:root:/:sh\n# a comment\n\n:x:7::\nada:x:1000:1000::/:sh\n";
        assert_eq!(name_of(0, users).as_deref(), Some("root"));
        assert_eq!(name_of(1000, users).as_deref(), Some("ada"));
        for nobody in [1, 7, 100, u32::MAX] {
            assert_eq!(name_of(nobody, users), None, "{nobody}");
        }
    }
}
