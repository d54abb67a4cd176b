//! What is asked of the bank, and what it answers.

use serde::{Deserialize, Serialize};
use underlay_core::{CommitId, Error, Json, StreamVersion, TenantId};
use underlay_runtime::{Engine, ExecuteError, Executed, Request};

use super::bank::{ACCOUNTS, Account, AccountCommand, AccountRefusal, TENANTS, Transfer};
use crate::Result;
use crate::dice::Dice;

/// A command with its id: sent again, it is the same command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Errand {
    pub(crate) id: CommitId,
    pub(crate) tenant: TenantId,
    pub(crate) ask: Ask,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Ask {
    Deposit {
        account: String,
        cents: i64,
    },
    Withdraw {
        account: String,
        cents: i64,
    },
    /// Between two accounts.
    Transfer(Transfer),
}

/// What was answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Answer {
    /// It is done, and durable.
    Done { position: u64, versions: Vec<StreamVersion> },
    /// The domain says no, and that is durable.
    Refused { code: String, fields: Json },
    /// Busy or uncertain: no promise was made.
    Open(String),
    /// Something that never should be answered.
    Broken(String),
}

impl Answer {
    /// Whether it is a promise.
    pub(crate) fn is_final(&self) -> bool {
        matches!(self, Self::Done { .. } | Self::Refused { .. })
    }
}

impl Errand {
    /// Something new.
    pub(crate) fn new(dice: &mut Dice) -> Result<Self> {
        let id = CommitId(dice.uuid());
        let tenant = TenantId::new(TENANTS[dice.index(TENANTS.len())])?;
        let from = dice.below(ACCOUNTS);
        // Another account: some of the others are further on, and it begins again after the last.
        let to = (from + 1 + dice.below(ACCOUNTS - 1)) % ACCOUNTS;
        let (from, to) = (from.to_string(), to.to_string());
        let small = 1 + dice.below(50).cast_signed();
        let ask = match dice.below(100) {
            0..40 => Ask::Deposit { account: from, cents: small },
            40..60 => Ask::Withdraw { account: from, cents: small },
            // More than anybody has.
            60..70 => Ask::Withdraw { account: from, cents: small + 1_000_000_000 },
            70..75 => Ask::Transfer(Transfer { from, to, cents: small + 1_000_000_000 }),
            _ => Ask::Transfer(Transfer { from, to, cents: small }),
        };
        Ok(Self { id, tenant, ask })
    }

    /// The same id for something else.
    pub(crate) fn changed(&self) -> Self {
        let ask = match &self.ask {
            Ask::Deposit { account, cents } => Ask::Withdraw { account: account.clone(), cents: *cents },
            Ask::Withdraw { account, cents } => Ask::Withdraw { account: account.clone(), cents: cents + 1 },
            Ask::Transfer(Transfer { from, cents, .. }) => {
                Ask::Deposit { account: from.clone(), cents: *cents }
            }
        };
        Self { ask, ..self.clone() }
    }

    /// Sends it to the bank.
    pub(crate) async fn run(&self, engine: &Engine) -> Answer {
        answer(self.execute(engine).await)
    }

    /// Whether the bank takes it, or refuses it on other grounds than that its id is known for
    /// something else.
    pub(crate) async fn is_taken(&self, engine: &Engine) -> bool {
        !matches!(
            self.execute(engine).await,
            Err(ExecuteError::Failed(
                Error::IdReused(_) | Error::Unavailable { .. } | Error::Uncertain { .. }
            ))
        )
    }

    async fn execute(&self, engine: &Engine) -> std::result::Result<Executed, ExecuteError<AccountRefusal>> {
        let request = Request::new(self.tenant.clone()).with_command_id(self.id);
        match &self.ask {
            Ask::Deposit { account, cents } => {
                let command = AccountCommand::Deposit { cents: *cents };
                engine.execute::<Account>(&request, account, command).await
            }
            Ask::Withdraw { account, cents } => {
                let command = AccountCommand::Withdraw { cents: *cents };
                engine.execute::<Account>(&request, account, command).await
            }
            Ask::Transfer(transfer) => engine.operate(&request, transfer.clone()).await,
        }
    }
}

fn answer(executed: std::result::Result<Executed, ExecuteError<AccountRefusal>>) -> Answer {
    match executed {
        Ok(executed) => Answer::Done { position: executed.position.number(), versions: executed.versions },
        Err(ExecuteError::Refused(refusal)) => match Json::encode(&refusal) {
            Ok(fields) => Answer::Refused { code: underlay_core::Refusal::code(&refusal).to_owned(), fields },
            Err(error) => Answer::Broken(error.to_string()),
        },
        Err(ExecuteError::Ended(ended)) => Answer::Refused { code: ended.code, fields: ended.fields },
        Err(ExecuteError::Failed(
            error @ (Error::Conflict(_) | Error::Unavailable { .. } | Error::Uncertain { .. }),
        )) => Answer::Open(error.to_string()),
        Err(ExecuteError::Failed(error)) => Answer::Broken(error.to_string()),
    }
}
