//! What callers ask for, and what they are told.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use underlay_core::{Actor, CommitId, Error, TenantId, Timestamp, Version};
use underlay_runtime::{Cancelled, Engine, ExecuteError, Request, SubmitOptions};
use uuid::Uuid;

use super::domain::{Order, OrderCommand, PURSES, Purse, PurseCommand, SHUT, TENANTS};
use crate::Result;
use crate::dice::Dice;

/// The longest that a command is submitted for.
const LATER_MAX: Duration = Duration::from_millis(300);

/// A command with its id: asked again, it is the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Errand {
    pub(crate) id: CommitId,
    pub(crate) tenant: TenantId,
    pub(crate) ask: Ask,
    pub(crate) manner: Manner,
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Ask {
    Fill { purse: String, cents: i64 },
    Place { from: String, to: String, cents: i64 },
}

/// How it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Manner {
    Submitted,
    /// For a moment, in microseconds.
    SubmittedFor(i64),
    /// Submitted twice and executed directly, at the same time.
    Crowded,
    Executed,
    /// Submitted for a moment, and cancelled.
    Cancelled(i64),
    /// Submitted for a version of a new purse that has passed: it can only conflict.
    Outdated,
    /// Submitted for more than one commit holds: it can only be given up.
    Doomed,
}

/// What a caller was told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Told {
    /// It is stored, and will be run.
    Submitted,
    /// It is done.
    Done,
    /// It never runs.
    Cancelled,
    /// It has run.
    TooLate,
    /// Nothing: the store was away, or the answer is uncertain.
    Nothing,
    /// What never should be said.
    Wrong(String),
}

/// A line of a process's journal.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Line {
    /// Written before it is asked for.
    Asked(Errand),
    /// Written after the answer.
    Told(CommitId, Told),
    /// The worker has lost terms, by its own account; noticed then, in microseconds.
    LostTerms { worker: Uuid, at: u64 },
}

impl Errand {
    /// Something new.
    pub(crate) fn new(dice: &mut Dice) -> Result<Self> {
        let id = CommitId(dice.uuid());
        let tenant = TenantId::new(TENANTS[dice.index(TENANTS.len())])?;
        let from = dice.below(PURSES);
        let to = (from + 1 + dice.below(PURSES - 1)) % PURSES;
        let cents = 1 + dice.below(50).cast_signed();
        let ask = match dice.below(100) {
            0..35 => Ask::Fill { purse: from.to_string(), cents: 3 * cents },
            // More than anybody has.
            35..42 => Ask::Place { from: from.to_string(), to: to.to_string(), cents: cents + 1_000_000_000 },
            42..52 => Ask::Place { from: from.to_string(), to: SHUT.to_owned(), cents },
            _ => Ask::Place { from: from.to_string(), to: to.to_string(), cents },
        };
        let moment = |dice: &mut Dice| {
            let later = i64::try_from(dice.time_below(LATER_MAX).as_micros()).unwrap_or(0);
            Timestamp::now().as_microsecond() + later
        };
        let manner = match dice.below(100) {
            0..45 => Manner::Submitted,
            45..60 => Manner::SubmittedFor(moment(dice)),
            60..70 => Manner::Crowded,
            70..90 => Manner::Executed,
            90..96 => Manner::Cancelled(moment(dice)),
            96..98 => Manner::Outdated,
            _ => Manner::Doomed,
        };
        let ask = match manner {
            Manner::Outdated => Ask::Fill { purse: format!("outdated-{}", id.0.simple()), cents },
            Manner::Doomed => Ask::Fill { purse: format!("doomed-{}", id.0.simple()), cents },
            _ => ask,
        };
        Ok(Self { id, tenant, ask, manner })
    }

    /// What is asked for in so many words.
    pub(crate) fn of(tenant: TenantId, ask: Ask, manner: Manner) -> Self {
        Self { id: CommitId::draw(), tenant, ask, manner }
    }

    /// Something that no other stands before.
    pub(crate) fn probe() -> Result<Self> {
        let id = CommitId::draw();
        let ask = Ask::Fill { purse: format!("probe-{}", id.0.simple()), cents: 1 };
        Ok(Self { id, tenant: TenantId::new(TENANTS[0])?, ask, manner: Manner::Submitted })
    }

    /// The id of the command that makes an outdated one so.
    pub(crate) fn first_id(&self) -> CommitId {
        CommitId(Uuid::from_u128(!self.id.0.as_u128()))
    }

    /// Asks for it.
    pub(crate) async fn run(&self, engine: &Engine) -> Told {
        let due_at = match self.manner {
            Manner::SubmittedFor(due_at) | Manner::Cancelled(due_at) => {
                Timestamp::from_microsecond(due_at).ok()
            }
            _ => None,
        };
        let options =
            due_at.map_or_else(SubmitOptions::default, |due_at| SubmitOptions::default().due_at(due_at));
        match self.manner {
            Manner::Submitted | Manner::SubmittedFor(_) => self.submit(engine, None, options).await,
            Manner::Executed => self.execute(engine, self.id).await,
            Manner::Crowded => {
                let (first, second, third) = tokio::join!(
                    self.submit(engine, None, options),
                    self.execute(engine, self.id),
                    self.submit(engine, None, options)
                );
                let told = [first, second, third];
                let wrong = told.iter().find(|told| matches!(told, Told::Wrong(_)));
                let promise = told.iter().find(|told| **told != Told::Nothing);
                wrong.or(promise).cloned().unwrap_or(Told::Nothing)
            }
            Manner::Cancelled(_) => match self.submit(engine, None, options).await {
                Told::Submitted => self.cancel(engine).await,
                told => told,
            },
            Manner::Doomed => self.submit(engine, None, options).await,
            Manner::Outdated => match self.execute(engine, self.first_id()).await {
                Told::Done => self.submit(engine, Some(Version::NONE), options).await,
                told => told,
            },
        }
    }

    async fn submit(&self, engine: &Engine, expected: Option<Version>, options: SubmitOptions) -> Told {
        let mut request = Request::new(self.tenant.clone()).with_command_id(self.id);
        request.expected = expected;
        let submitted = match &self.ask {
            Ask::Fill { purse, cents } => {
                let cents = *cents;
                let command = match self.manner {
                    Manner::Doomed => PurseCommand::Overfill { cents },
                    _ => PurseCommand::Fill { cents },
                };
                engine.submit::<Purse>(&request, purse, &command, options).await
            }
            Ask::Place { .. } => {
                engine.submit::<Order>(&request, &self.order(), &self.place(), options).await
            }
        };
        match submitted {
            Ok(_) => Told::Submitted,
            Err(error) => failed(error),
        }
    }

    async fn execute(&self, engine: &Engine, id: CommitId) -> Told {
        let request = Request::new(self.tenant.clone()).with_command_id(id);
        match &self.ask {
            Ask::Fill { purse, cents } => {
                done(engine.execute::<Purse>(&request, purse, PurseCommand::Fill { cents: *cents }).await)
            }
            Ask::Place { .. } => done(engine.execute::<Order>(&request, &self.order(), self.place()).await),
        }
    }

    async fn cancel(&self, engine: &Engine) -> Told {
        match engine.cancel_command(&self.tenant, &Actor::default(), self.id, |_| true).await {
            Ok(Cancelled::Cancelled(_)) => Told::Cancelled,
            Ok(Cancelled::TooLate(_)) => Told::TooLate,
            // It stays submitted, and may be cancelled.
            Err(error) => failed(error),
        }
    }

    /// The order that it places.
    pub(crate) fn order(&self) -> String {
        self.id.0.to_string()
    }

    fn place(&self) -> OrderCommand {
        match &self.ask {
            Ask::Place { from, to, cents } => {
                OrderCommand::Place { from: from.clone(), to: to.clone(), cents: *cents }
            }
            Ask::Fill { purse, cents } => {
                OrderCommand::Place { from: purse.clone(), to: purse.clone(), cents: *cents }
            }
        }
    }
}

/// Nobody refuses what is asked for here, so a refusal is wrong.
fn done<T, R: underlay_core::Refusal>(executed: std::result::Result<T, ExecuteError<R>>) -> Told {
    match executed {
        Ok(_) => Told::Done,
        Err(ExecuteError::Refused(refusal)) => Told::Wrong(format!("refused: {refusal}")),
        Err(ExecuteError::Ended(ended)) => Told::Wrong(format!("it has ended: {ended}")),
        Err(ExecuteError::Failed(error)) => failed(error),
    }
}

fn failed(error: Error) -> Told {
    match error {
        Error::Unavailable { .. } | Error::Uncertain { .. } | Error::Conflict(_) => Told::Nothing,
        error => Told::Wrong(error.to_string()),
    }
}
