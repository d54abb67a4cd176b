use std::path::PathBuf;

use underlay_core::options::{ConfigOption, Configurable, OptionSpec, Options, Place};

use super::catalogue::Key;

/// Who may come in, as the configuration says.
#[derive(Clone, Debug, Default)]
pub(crate) struct CredentialsConfig {
    /// The file of tokens.
    pub(crate) tokens: Option<PathBuf>,
    /// Roles that may read the log; none where nothing was said.
    pub(crate) log_roles: Vec<String>,
    /// Roles that may look after what is over all tenants.
    pub(crate) store_operators: Vec<String>,
    /// Who issues signed tokens.
    pub(crate) jwt_issuer: Option<String>,
    /// For whom they are issued.
    pub(crate) jwt_audience: Vec<String>,
    /// The keys they are signed with: a file or an address.
    pub(crate) jwt_keys: Option<String>,
    /// The file of the secret they are signed with.
    pub(crate) jwt_secret: Option<PathBuf>,
    /// How they may be signed.
    pub(crate) jwt_algorithm: Vec<String>,
    /// The claim that names the tenant.
    pub(crate) jwt_tenant_claim: Option<String>,
    /// The claim that names who asks.
    pub(crate) jwt_actor_claim: Option<String>,
    /// The claim with the roles.
    pub(crate) jwt_roles_claim: Option<String>,
}

impl CredentialsConfig {
    /// The first option of signed tokens that is set, as a flag has it.
    pub(crate) fn first_of_jwt(&self) -> Option<String> {
        let is_set = |option: &OptionSpec| option.name.starts_with("jwt_") && option.default.is_some();
        self.describe().into_iter().find(is_set).map(|option| option.name.replace('_', "-"))
    }
}

/// Whether an option says who may come in.
pub(super) fn sets(key: &Key) -> bool {
    let is_it = |option: &OptionSpec| option.name == key.spec.name;
    key.section.is_empty() && CredentialsConfig::default().describe().iter().any(is_it)
}

impl Configurable for CredentialsConfig {
    const OPTIONS: &'static [ConfigOption<Self>] = &[
        ConfigOption::<Self>::new(
            "tokens",
            "The file of tokens that `serve` lets in, and that `token` changes",
            |config| Place::Text(&mut config.tokens),
        )
        .checked(check_text)
        .called("FILE"),
        ConfigOption::<Self>::new(
            "log_role",
            "A role that may read the log and its streams, instead of log-reader",
            |config| Place::List(&mut config.log_roles),
        )
        .checked(check_list)
        .called("ROLE"),
        ConfigOption::<Self>::new(
            "store_operators",
            "A role that may look after views as a whole, over all tenants; nobody may when not given",
            |config| Place::List(&mut config.store_operators),
        )
        .checked(check_list)
        .called("ROLE"),
        ConfigOption::<Self>::new(
            "jwt_issuer",
            "Who issues the signed tokens (JWT) that `serve` lets in, as their claim `iss` has it",
            |config| Place::Text(&mut config.jwt_issuer),
        )
        .checked(check_text)
        .called("URL"),
        ConfigOption::<Self>::new(
            "jwt_audience",
            "For whom they are issued, as their claim `aud` has it",
            |config| Place::List(&mut config.jwt_audience),
        )
        .checked(check_list)
        .called("NAME"),
        ConfigOption::<Self>::new(
            "jwt_keys",
            "The keys they are signed with: a JWKS, as a file or an address, or a PEM file",
            |config| Place::Text(&mut config.jwt_keys),
        )
        .checked(check_keys)
        .called("FILE|URL"),
        ConfigOption::<Self>::new(
            "jwt_secret",
            "The file of the secret they are signed with, where that is no public key",
            |config| Place::Text(&mut config.jwt_secret),
        )
        .checked(check_text)
        .called("FILE"),
        ConfigOption::<Self>::new(
            "jwt_algorithm",
            "An algorithm they may be signed with, such as RS256",
            |config| Place::List(&mut config.jwt_algorithm),
        )
        .checked(check_list)
        .called("NAME"),
        ConfigOption::<Self>::new(
            "jwt_tenant_claim",
            "The claim that names the tenant, such as org.id; `tenant` when not given",
            |config| Place::Text(&mut config.jwt_tenant_claim),
        )
        .checked(check_text)
        .called("PATH"),
        ConfigOption::<Self>::new(
            "jwt_actor_claim",
            "The claim that names who asks; `sub` when not given",
            |config| Place::Text(&mut config.jwt_actor_claim),
        )
        .checked(check_text)
        .called("PATH"),
        ConfigOption::<Self>::new(
            "jwt_roles_claim",
            "The claim with the roles, such as realm_access.roles; `roles` when not given",
            |config| Place::Text(&mut config.jwt_roles_claim),
        )
        .checked(check_text)
        .called("PATH"),
    ];
}

/// An empty text is what a variable leaves that nobody has set: taken for nothing, it would let everybody in.
pub(crate) fn check_text(text: &str) -> Result<(), String> {
    match text.trim() {
        "" => Err("it is empty; name something, or leave the option out".to_owned()),
        _ => Ok(()),
    }
}

fn check_list(text: &str) -> Result<(), String> {
    text.split(',').try_for_each(check_text)
}

/// The address of keys is shown by `config`, and a password in it would be of no use.
fn check_keys(text: &str) -> Result<(), String> {
    match text.split_once("://") {
        Some((_, rest)) if rest.contains('@') => Err("a password in an address is not sent".to_owned()),
        _ => check_text(text),
    }
}
