//! What the command line says of who may come in. Every option stands in [`OPTIONS`], once.

use std::fmt;
use std::sync::Arc;

use clap::{Arg, ArgAction, ArgMatches};
use underlay_core::Clock;
use underlay_server::{Credentials, FileTokens, LogReaders, TokenFile};

use crate::{ExitError, Service};

/// An option of `serve`, and of `token` where that needs it.
struct Described {
    name: &'static str,
    value: &'static str,
    help: &'static str,
    repeated: bool,
}

const fn once(name: &'static str, value: &'static str, help: &'static str) -> Described {
    Described { name, value, help, repeated: false }
}

const fn repeated(name: &'static str, value: &'static str, help: &'static str) -> Described {
    Described { name, value, help, repeated: true }
}

const TOKENS: &str = "tokens";
const LOG_ROLE: &str = "log-role";
const JWT_ISSUER: &str = "jwt-issuer";
const JWT_AUDIENCE: &str = "jwt-audience";
const JWT_KEYS: &str = "jwt-keys";
const JWT_SECRET: &str = "jwt-secret";
const JWT_ALGORITHM: &str = "jwt-algorithm";
const JWT_TENANT_CLAIM: &str = "jwt-tenant-claim";
const JWT_ACTOR_CLAIM: &str = "jwt-actor-claim";
const JWT_ROLES_CLAIM: &str = "jwt-roles-claim";

const OPTIONS: [Described; 10] = [
    once(TOKENS, "FILE", "The file of tokens that `serve` lets in, and that `token` changes"),
    repeated(
        LOG_ROLE,
        "ROLE",
        "A role that may read the log and its streams, instead of log-reader; may be repeated",
    ),
    once(
        JWT_ISSUER,
        "URL",
        "Who issues the signed tokens (JWT) that `serve` lets in, as their claim `iss` has it",
    ),
    repeated(JWT_AUDIENCE, "NAME", "For whom they are issued, as their claim `aud` has it; may be repeated"),
    once(
        JWT_KEYS,
        "FILE|URL",
        "The keys they are signed with: a JWKS, as a file or an address, or a PEM file",
    ),
    once(JWT_SECRET, "FILE", "The secret they are signed with, where that is no public key"),
    repeated(JWT_ALGORITHM, "NAME", "An algorithm they may be signed with, such as RS256; may be repeated"),
    once(
        JWT_TENANT_CLAIM,
        "PATH",
        "The claim that names the tenant, such as org.id; `tenant` when not given",
    ),
    once(JWT_ACTOR_CLAIM, "PATH", "The claim that names who asks; `sub` when not given"),
    once(
        JWT_ROLES_CLAIM,
        "PATH",
        "The claim with the roles, such as realm_access.roles; `roles` when not given",
    ),
];

/// The options, for the command line.
pub(super) fn arguments() -> impl Iterator<Item = Arg> {
    OPTIONS.iter().map(|Described { name, value, help, repeated }| {
        let argument = Arg::new(*name).long(*name).value_name(*value).help(*help).global(true);
        if *repeated { argument.action(ArgAction::Append) } else { argument }
    })
}

/// Who may come in.
#[derive(Clone)]
pub(crate) struct Door {
    /// How a request says who asks; none where everybody is let in, as one tenant.
    pub(crate) credentials: Option<Arc<dyn Credentials>>,
    /// Who may read the log; none where nothing was said.
    pub(crate) log_readers: Option<LogReaders>,
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Door").field("log_readers", &self.log_readers).finish_non_exhaustive()
    }
}

/// The file that `--tokens` names.
pub(super) fn token_file(matches: &ArgMatches) -> Option<TokenFile> {
    matches.get_one::<String>(TOKENS).map(TokenFile::new)
}

/// What the options say, beside what the service itself has set. A file of tokens that is damaged or not
/// there is refused.
pub(super) fn read(
    service: &Service,
    matches: &ArgMatches,
    clock: &Arc<dyn Clock>,
) -> Result<Door, ExitError> {
    let log_roles: Vec<String> = matches.get_many(LOG_ROLE).unwrap_or_default().cloned().collect();
    let log_readers = match log_roles.as_slice() {
        [] => service.log_readers.clone(),
        _ => Some(LogReaders::Roles(log_roles)),
    };
    let mut named = Vec::new();
    if let Some(own) = &service.credentials {
        named.push(("the credentials of the program itself", own.clone()));
    }
    if let Some(file) = token_file(matches) {
        let tokens = FileTokens::open(file, clock.clone()).map_err(|error| match error {
            error @ underlay_core::Error::NotFound(_) => {
                let mut told = ExitError::from(error);
                told.message += &format!("; `{} token new` makes one", service.name);
                told
            }
            error => error.into(),
        })?;
        named.push(("--tokens", Arc::new(tokens)));
    }
    if let Some(signed) = signed(matches, clock)? {
        named.push(("--jwt-issuer", signed));
    }
    if let [(one, _), (other, _), ..] = named.as_slice() {
        return Err(ExitError::invalid(format!(
            "{one} and {other} cannot both say who asks; leave one of them out"
        )));
    }
    Ok(Door { credentials: named.pop().map(|(_, credentials)| credentials), log_readers })
}

/// The first of the options of signed tokens that was given.
fn first_of_jwt(matches: &ArgMatches) -> Option<&'static str> {
    let given = |option: &&Described| option.name.starts_with("jwt-") && matches.contains_id(option.name);
    OPTIONS.iter().find(given).map(|option| option.name)
}

#[cfg(not(feature = "jwt"))]
fn signed(matches: &ArgMatches, _clock: &Arc<dyn Clock>) -> Result<Option<Arc<dyn Credentials>>, ExitError> {
    match first_of_jwt(matches) {
        None => Ok(None),
        Some(option) => {
            Err(ExitError::invalid(format!("--{option}: this program was built without the feature `jwt`")))
        }
    }
}

#[cfg(feature = "jwt")]
fn signed(matches: &ArgMatches, clock: &Arc<dyn Clock>) -> Result<Option<Arc<dyn Credentials>>, ExitError> {
    use underlay_server::jwt::{JwtConfig, JwtKeys, SignedTokens};

    let Some(option) = first_of_jwt(matches) else { return Ok(None) };
    let text = |name: &str| matches.get_one::<String>(name).cloned();
    let list = |name: &str| matches.get_many(name).unwrap_or_default().cloned().collect::<Vec<String>>();
    let issuer = text(JWT_ISSUER).ok_or_else(|| {
        ExitError::invalid(format!("--{option} needs --{JWT_ISSUER}: who issues the tokens"))
    })?;
    let keys = match (text(JWT_KEYS), text(JWT_SECRET)) {
        (Some(keys), None) => JwtKeys::named(&keys)?,
        (None, Some(secret)) => JwtKeys::secret_of(secret.as_ref())?,
        _ => {
            return Err(ExitError::invalid(format!(
                "one of --{JWT_KEYS} and --{JWT_SECRET} says what the tokens are signed with"
            )));
        }
    };
    let mut config = JwtConfig::new(issuer, list(JWT_AUDIENCE), keys);
    let algorithms = list(JWT_ALGORITHM);
    if !algorithms.is_empty() {
        config = config.with_algorithms(&algorithms)?;
    }
    config.tenant_claim = text(JWT_TENANT_CLAIM).unwrap_or(config.tenant_claim);
    config.actor_claim = text(JWT_ACTOR_CLAIM).unwrap_or(config.actor_claim);
    config.roles_claim = text(JWT_ROLES_CLAIM).unwrap_or(config.roles_claim);
    Ok(Some(Arc::new(SignedTokens::new(config, clock.clone())?)))
}
