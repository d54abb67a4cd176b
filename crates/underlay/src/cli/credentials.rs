//! Who may come in: what the configuration says of it, made into credentials.

use std::fmt;
use std::sync::Arc;

use underlay_core::Clock;
use underlay_server::{Credentials, FileTokens, LogReaders, TokenFile};

use crate::config::{CredentialsConfig, Settings};
use crate::{ExitError, Service};

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
pub(super) fn token_file(settings: &Settings) -> Option<TokenFile> {
    settings.credentials.tokens.as_ref().map(TokenFile::new)
}

/// What the options say, beside what the service itself has set. A file of tokens that is damaged or not
/// there is refused.
pub(super) fn read(
    service: &Service,
    settings: &Settings,
    clock: &Arc<dyn Clock>,
) -> Result<Door, ExitError> {
    let log_roles = &settings.credentials.log_roles;
    let log_readers = match log_roles.as_slice() {
        [] => service.log_readers.clone(),
        _ => Some(LogReaders::Roles(log_roles.clone())),
    };
    let mut named = Vec::new();
    if let Some(own) = &service.credentials {
        named.push(("the credentials of the program itself", own.clone()));
    }
    if let Some(file) = token_file(settings) {
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
    if let Some(signed) = signed(&settings.credentials, clock)? {
        named.push(("--jwt-issuer", signed));
    }
    if let [(one, _), (other, _), ..] = named.as_slice() {
        return Err(ExitError::invalid(format!(
            "{one} and {other} cannot both say who asks; leave one of them out"
        )));
    }
    Ok(Door { credentials: named.pop().map(|(_, credentials)| credentials), log_readers })
}

#[cfg(not(feature = "jwt"))]
fn signed(
    given: &CredentialsConfig,
    _clock: &Arc<dyn Clock>,
) -> Result<Option<Arc<dyn Credentials>>, ExitError> {
    match given.first_of_jwt() {
        None => Ok(None),
        Some(option) => {
            Err(ExitError::invalid(format!("--{option}: this program was built without the feature `jwt`")))
        }
    }
}

#[cfg(feature = "jwt")]
fn signed(
    given: &CredentialsConfig,
    clock: &Arc<dyn Clock>,
) -> Result<Option<Arc<dyn Credentials>>, ExitError> {
    use underlay_server::jwt::{JwtConfig, JwtKeys, SignedTokens};

    let Some(option) = given.first_of_jwt() else { return Ok(None) };
    let issuer = given
        .jwt_issuer
        .clone()
        .ok_or_else(|| ExitError::invalid(format!("--{option} needs --jwt-issuer: who issues the tokens")))?;
    let keys = match (&given.jwt_keys, &given.jwt_secret) {
        (Some(keys), None) => JwtKeys::named(keys)?,
        (None, Some(secret)) => JwtKeys::secret_of(secret)?,
        _ => {
            return Err(ExitError::invalid(
                "one of --jwt-keys and --jwt-secret says what the tokens are signed with",
            ));
        }
    };
    let mut config = JwtConfig::new(issuer, given.jwt_audience.clone(), keys);
    if !given.jwt_algorithm.is_empty() {
        config = config.with_algorithms(&given.jwt_algorithm)?;
    }
    config.tenant_claim = given.jwt_tenant_claim.clone().unwrap_or(config.tenant_claim);
    config.actor_claim = given.jwt_actor_claim.clone().unwrap_or(config.actor_claim);
    config.roles_claim = given.jwt_roles_claim.clone().unwrap_or(config.roles_claim);
    Ok(Some(Arc::new(SignedTokens::new(config, clock.clone())?)))
}
