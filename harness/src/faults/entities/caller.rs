use std::sync::Arc;

use async_trait::async_trait;
use underlay_core::{CommitId, Entities, EntityChange, Error, StoredEntity, TenantId, Value};

use super::heard::Heard;
use super::schema::{Mark, count, counters, is_alone, own_id, shared_id};
use crate::faults::callers::{Answer, Counter, Errand};
use crate::faults::progress::Progress;
use crate::faults::told::Acknowledged;

/// How often a unit is tried again that met others at the shared counter. On a busy machine they meet each time.
const TRIES_MAX: usize = 20;

/// Entities, asked by their port.
pub(super) struct EntityCounter {
    pub(super) entities: Arc<dyn Entities>,
    pub(super) tenant: TenantId,
    pub(super) heard: Arc<Heard>,
    pub(super) progress: Arc<Progress>,
}

#[async_trait]
impl Counter for EntityCounter {
    fn commit_id(&self, errand: &Errand) -> CommitId {
        CommitId(errand.key)
    }

    async fn ask(&self, errand: &Errand) -> Answer {
        let answer = match self.store(errand).await {
            Ok(()) => stored(errand),
            Err(error) => self.answer_to(errand, error).await,
        };
        if matches!(answer, Answer::Stored(_)) {
            self.progress.note(errand.caller);
        }
        answer
    }
}

impl EntityCounter {
    /// Stores the next change of a caller's counter, with others where it is a unit.
    async fn store(&self, errand: &Errand) -> Result<(), Error> {
        let (own, key) = (own_id(errand.caller), errand.key.to_string());
        if is_alone(errand.version) {
            self.entities.apply(&self.tenant, vec![count(&own, errand.version, &key)]).await?;
            return Ok(());
        }
        let shared = shared_id(errand.caller);
        let mut tries = 0;
        loop {
            let version = self.find(&shared).await?.map_or(0, |stored| stored.version.0);
            let mark = Mark {
                key: errand.key,
                own: (own.clone(), errand.version + 1),
                shared: (shared.clone(), version + 1),
            };
            let unit: Vec<EntityChange> =
                vec![count(&own, errand.version, &key), count(&shared, version, &key), mark.change()];
            match self.entities.apply(&self.tenant, unit).await {
                // Another caller was faster.
                Err(Error::EntityConflict(conflict)) if conflict.id == shared && tries < TRIES_MAX => {
                    tries += 1
                }
                answer => return answer.map(drop),
            }
        }
    }

    /// What an error says to a caller.
    async fn answer_to(&self, errand: &Errand, error: Error) -> Answer {
        self.heard.note(&error);
        match &error {
            Error::UnitUncertain { .. } => Answer::Uncertain,
            Error::Unavailable { .. } => Answer::Declined,
            // Others were faster each time: nothing was stored.
            Error::EntityConflict(conflict) if conflict.id == shared_id(errand.caller) => {
                match errand.in_doubt {
                    true => Answer::Uncertain,
                    false => Answer::Declined,
                }
            }
            // Nobody else counts here, so the change that was in doubt was stored, or it is wrong.
            Error::EntityConflict(conflict) if errand.in_doubt && conflict.id == own_id(errand.caller) => {
                self.find_out(errand).await
            }
            _ => Answer::Wrong(format!(
                "{} at version {} was answered by: {error}",
                errand.key, errand.version
            )),
        }
    }

    /// What became of a change that was in doubt, as somebody finds out who reads the entity.
    async fn find_out(&self, errand: &Errand) -> Answer {
        let found = match self.find(&own_id(errand.caller)).await {
            Ok(found) => found,
            Err(error @ Error::Unavailable { .. }) => {
                self.heard.note(&error);
                return Answer::Uncertain;
            }
            Err(error) => return Answer::Wrong(error.to_string()),
        };
        let is_it = |found: &StoredEntity| {
            found.version.0 == errand.version + 1 && found.values == [Value::Text(errand.key.to_string())]
        };
        match found {
            Some(found) if is_it(&found) => stored(errand),
            found => Answer::Wrong(format!("{} was in doubt, and there is {found:?}", errand.key)),
        }
    }

    async fn find(&self, counter: &str) -> Result<Option<StoredEntity>, Error> {
        let ids = [counter.to_owned()];
        Ok(self.entities.load(&counters(), &self.tenant, &ids).await?.pop().flatten())
    }
}

fn stored(errand: &Errand) -> Answer {
    Answer::Stored(Acknowledged {
        commit: errand.key,
        stream: own_id(errand.caller),
        version: errand.version + 1,
        position: None,
    })
}
