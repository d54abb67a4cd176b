//! The templates of statements: documents that clerks write.

use underlay::EntityVersion;

use crate::money::Money;

/// What a statement says, in one language.
#[underlay::entity(name = "statement_template", version = 1, roles("clerk"))]
#[derive(Eq)]
pub struct StatementTemplate {
    /// Such as `monthly`.
    #[id]
    pub name: String,
    /// The version it was read at.
    #[version]
    pub version: EntityVersion,
    /// Such as `en`.
    #[column(indexed)]
    pub language: String,
    /// The text, with `{account}` and `{balances}` where these go.
    pub text: String,
}

impl StatementTemplate {
    /// The statement of an account.
    #[must_use]
    pub fn fill(&self, account: &str, balances: &[Money]) -> String {
        let line = |money: &Money| format!("{} {}", money.amount, money.commodity);
        let balances: Vec<String> = balances.iter().map(line).collect();
        // What is put in is not looked at again: an account may have any name.
        let parts = self.text.split("{account}").map(|part| part.replace("{balances}", &balances.join("\n")));
        parts.collect::<Vec<_>>().join(account)
    }
}
