use std::time::Duration;

use jsonwebtoken::Algorithm;
use underlay_core::Error;

use super::keys::JwtKeys;

/// How far the clocks of the issuer and of this machine may be apart.
pub const LEEWAY: Duration = Duration::from_secs(30);

/// Which signed tokens are taken, and what of them says who asks.
#[derive(Clone, Debug)]
pub struct JwtConfig {
    /// Who issues them: what the claim `iss` is.
    pub issuer: String,
    /// For whom they are issued: the claim `aud` is or holds one of these.
    pub audiences: Vec<String>,
    /// What they are signed with.
    pub keys: JwtKeys,
    /// The claim that names the tenant. A dot leads into an object: `org.id`.
    pub tenant_claim: String,
    /// The claim that names who asks.
    pub actor_claim: String,
    /// The claim with the roles: a list of texts, or one text with blanks between them.
    pub roles_claim: String,
    pub(super) algorithms: Vec<Algorithm>,
}

impl JwtConfig {
    /// Tokens of an issuer for one of these audiences, with `tenant`, `sub` and `roles` as claims. Signed
    /// with a secret they are of HS256, with any other key of RS256, ES256 or EdDSA.
    pub fn new(issuer: impl Into<String>, audiences: Vec<String>, keys: JwtKeys) -> Self {
        let algorithms = match keys.is_secret() {
            true => vec![Algorithm::HS256],
            false => vec![Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA],
        };
        Self {
            issuer: issuer.into(),
            audiences,
            keys,
            tenant_claim: "tenant".to_owned(),
            actor_claim: "sub".to_owned(),
            roles_claim: "roles".to_owned(),
            algorithms,
        }
    }

    /// Sets the algorithms they may be signed with, by their names.
    ///
    /// # Errors
    /// [`Error::Invalid`] with the names there are; `none` is no algorithm here.
    pub fn with_algorithms(mut self, names: &[impl AsRef<str>]) -> Result<Self, Error> {
        let parse = |name: &str| {
            name.parse::<Algorithm>().map_err(|_| {
                Error::invalid(format!(
                    "{name:?} is no algorithm of a signature; there are RS256, RS384, RS512, PS256, PS384, \
                     PS512, ES256, ES384, EdDSA, and for a secret HS256, HS384, HS512"
                ))
            })
        };
        self.algorithms = names.iter().map(|name| parse(name.as_ref())).collect::<Result<_, _>>()?;
        Ok(self)
    }

    /// Refuses what would let in whoever should not be, or nobody.
    pub(super) fn check(&self) -> Result<(), Error> {
        use jsonwebtoken::AlgorithmFamily::Hmac;
        let wrong = |what: &str| Err(Error::invalid(format!("signed tokens: {what}")));
        if self.issuer.is_empty() {
            return wrong("they need the name of their issuer");
        }
        if self.audiences.is_empty() || self.audiences.iter().any(String::is_empty) {
            return wrong(
                "they need an audience: else a token for any other service of the issuer opens this one",
            );
        }
        if [&self.tenant_claim, &self.actor_claim, &self.roles_claim].iter().any(|claim| claim.is_empty()) {
            return wrong("a claim has a name");
        }
        if self.algorithms.is_empty() {
            return wrong("they need an algorithm");
        }
        let of_secrets = |algorithm: &Algorithm| algorithm.family() == Hmac;
        if self.keys.is_secret() && !self.algorithms.iter().all(of_secrets) {
            return wrong("with a secret the algorithm is HS256, HS384 or HS512");
        }
        if !self.keys.is_secret() && self.algorithms.iter().any(of_secrets) {
            return wrong("HS256, HS384 and HS512 are for a secret, and these keys are public");
        }
        Ok(())
    }
}
