use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::http::HeaderMap;
use jsonwebtoken::{Validation, decode, decode_header};
use serde_json::{Map, Value};
use underlay_core::{Actor, Clock, Error, TenantId, Timestamp};

use super::config::{JwtConfig, LEEWAY};
use super::fetch::Fetcher;
use super::keeper::KeyKeeper;
use super::keys::{KeySet, Source};
use super::ring_provider;
use crate::door::claims::{check_actor, check_roles};
use crate::{Credentials, Denied, Principal, bearer};

/// Credentials that are signed tokens.
pub struct SignedTokens {
    config: JwtConfig,
    clock: Arc<dyn Clock>,
    keys: Keys,
}

enum Keys {
    Given(Arc<KeySet>),
    Fetched(KeyKeeper),
}

type Claims = Map<String, Value>;

impl std::fmt::Debug for SignedTokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SignedTokens").field("config", &self.config).finish_non_exhaustive()
    }
}

impl SignedTokens {
    /// Tokens as the configuration has them. Keys are fetched when the first token comes.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the configuration would let in whoever should not be, or nobody.
    pub fn new(config: JwtConfig, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        config.check()?;
        ring_provider::install();
        let keys = match &config.keys.0 {
            Source::Given(keys) | Source::Secret(keys) => Keys::Given(keys.clone()),
            Source::Address(uri) => Keys::Fetched(KeyKeeper::new(Fetcher::new(uri.clone())?, clock.clone())),
        };
        Ok(Self { config, clock, keys })
    }

    /// What a token claims, once it is known to be the issuer's, for this service and of this time.
    async fn verify(&self, token: &str) -> Result<(Claims, Timestamp), Denied> {
        let header = decode_header(token).map_err(|_| Denied::invalid("this is no signed token"))?;
        if !self.config.algorithms.contains(&header.alg) {
            return Err(Denied::invalid("the token is signed with an algorithm that is not taken here"));
        }
        if header.crit.is_some() {
            return Err(Denied::invalid("the token asks for an extension that is not known here"));
        }
        let id = header.kid.as_deref();
        let keys = match &self.keys {
            Keys::Given(keys) => keys.clone(),
            Keys::Fetched(keeper) => keeper.keys(id, header.alg).await?,
        };
        let mut validation = Validation::new(header.alg);
        validation.set_issuer(&[&self.config.issuer]);
        validation.set_audience(&self.config.audiences);
        validation.required_spec_claims = HashSet::from(["iss", "aud"].map(str::to_owned));
        // By the clock of the service, below.
        (validation.validate_exp, validation.validate_nbf) = (false, false);
        let mut claims = None;
        for key in keys.find(id, header.alg) {
            match decode::<Claims>(token, key, &validation) {
                Ok(decoded) => {
                    claims = Some(decoded.claims);
                    break;
                }
                Err(error) => tracing::debug!(%error, "a signed token is refused"),
            }
        }
        // The issuer is one text: of a list, somebody else may have written a part.
        let is_issuers =
            |claims: &Claims| claims.get("iss").and_then(Value::as_str) == Some(self.config.issuer.as_str());
        let claims = claims.filter(is_issuers).ok_or_else(|| {
            Denied::invalid("the token is not of the issuer and for the audience of this service")
        })?;
        let end = self.check_time(&claims)?;
        Ok((claims, end))
    }

    /// Checks that a token has begun; when it ends.
    fn check_time(&self, claims: &Claims) -> Result<Timestamp, Denied> {
        let no_time =
            |name| Denied::invalid(format!("the claim `{name}` of the token is a number of seconds"));
        let seconds = |name: &'static str| match claims.get(name) {
            None => Ok(None),
            Some(value) => {
                let number = value.as_i64().or_else(|| value.as_f64().map(|number| number.floor() as i64));
                let time = number.and_then(|number| Timestamp::from_second(number).ok());
                time.map(Some).ok_or_else(|| no_time(name))
            }
        };
        let now = self.clock.now();
        let Some(end) = seconds("exp")? else { return Err(Denied::invalid("the token has no end (`exp`)")) };
        let end = end.checked_add(LEEWAY).map_err(|_| no_time("exp"))?;
        if end <= now {
            return Err(Denied::invalid("the token has expired"));
        }
        let early =
            |begin: Timestamp| Duration::try_from(begin.duration_since(now)).is_ok_and(|wait| wait > LEEWAY);
        if seconds("nbf")?.is_some_and(early) {
            return Err(Denied::invalid("the token is not valid yet"));
        }
        Ok(end)
    }

    fn principal(&self, claims: &Claims, end: Timestamp) -> Result<Principal, Denied> {
        let JwtConfig { tenant_claim, actor_claim, roles_claim, .. } = &self.config;
        let refused =
            |claim: &str, what: String| Denied::Forbidden(format!("the claim `{claim}` of the token {what}"));
        let text = |claim: &str| match find(claims, claim) {
            Some(Value::String(text)) => Ok(text.clone()),
            Some(_) => Err(refused(claim, "is no text".to_owned())),
            None => Err(refused(claim, "is missing".to_owned())),
        };
        let tenant = TenantId::new(text(tenant_claim)?)
            .map_err(|error| refused(tenant_claim, format!("names no tenant: {error}")))?;
        let name = text(actor_claim)?;
        check_actor(&name).map_err(|error| refused(actor_claim, format!("names nobody: {error}")))?;
        let no_roles = || refused(roles_claim, "is neither a text nor a list of texts".to_owned());
        let roles: Vec<String> = match find(claims, roles_claim) {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::String(text)) => text.split_ascii_whitespace().map(str::to_owned).collect(),
            Some(Value::Array(values)) => values
                .iter()
                .map(|value| value.as_str().map(str::to_owned).ok_or_else(no_roles))
                .collect::<Result<_, _>>()?,
            Some(_) => return Err(no_roles()),
        };
        check_roles(&roles).map_err(|error| refused(roles_claim, format!("holds no roles: {error}")))?;
        Ok(Principal { tenant, actor: Actor { name: Some(name), roles }, expires_at: Some(end) })
    }
}

/// The claim of a name, or the one that its dots lead to.
fn find<'a>(claims: &'a Claims, path: &str) -> Option<&'a Value> {
    if let Some(value) = claims.get(path) {
        return Some(value);
    }
    let mut names = path.split('.');
    let first = claims.get(names.next()?)?;
    names.try_fold(first, |value, name| value.as_object()?.get(name))
}

#[async_trait]
impl Credentials for SignedTokens {
    async fn identify(&self, headers: &HeaderMap) -> Result<Principal, Denied> {
        let (claims, end) = self.verify(bearer(headers)?).await?;
        self.principal(&claims, end)
    }

    fn trouble(&self) -> Option<String> {
        match &self.keys {
            Keys::Given(_) => None,
            Keys::Fetched(keeper) => keeper.trouble(),
        }
    }
}
