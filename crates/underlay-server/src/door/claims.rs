//! What may be said of somebody: names of actors and of roles.

use underlay_core::Error;

/// Bytes in the name of an actor, which is stored with every event.
const ACTOR_BYTES_MAX: usize = 255;
/// Bytes in the name of a role.
const ROLE_BYTES_MAX: usize = 128;
/// Roles of one actor.
const ROLES_MAX: usize = 64;

/// Whether a text can name an actor.
pub(crate) fn check_actor(name: &str) -> Result<(), Error> {
    if !name.is_empty() && name.len() <= ACTOR_BYTES_MAX && !name.chars().any(char::is_control) {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "the name of an actor is 1 to ACTOR_BYTES_MAX = {ACTOR_BYTES_MAX} bytes without control characters"
    )))
}

/// Whether texts can name roles.
pub(crate) fn check_roles(roles: &[String]) -> Result<(), Error> {
    if roles.len() > ROLES_MAX {
        return Err(Error::invalid(format!("an actor has at most ROLES_MAX = {ROLES_MAX} roles")));
    }
    let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\' | b',');
    match roles.iter().find(|role| role.is_empty() || role.len() > ROLE_BYTES_MAX || !role.bytes().all(plain))
    {
        None => Ok(()),
        Some(role) => Err(Error::invalid(format!(
            "{role:?} is no role: it is 1 to ROLE_BYTES_MAX = {ROLE_BYTES_MAX} visible ASCII characters \
             without quotes, commas and backslashes"
        ))),
    }
}
