//! Mistakes a service could make, put before one that makes none.

use std::time::Duration;

use underlay_core::{Clock, SystemClock};

use super::door::{Asked, FEED, Told};
use super::site::Known;

/// By how much an answer is late that should not be.
const LATE: Duration = Duration::from_millis(400);

/// A mistake.
pub(super) struct Mistake {
    pub(super) name: &'static str,
    /// Whether a request meets it.
    meets: fn(&Asked, &Known) -> bool,
    /// What happens to it then.
    does: Does,
}

enum Does {
    /// It is answered as if the other tenant had asked.
    AsVictim,
    /// It is answered as if its own tenant had asked well.
    AsOwn,
    /// Its answer has another status.
    Status(u16),
    /// Its answer has a header more.
    Header,
    /// Its answer is late.
    Late,
}

const fn mistake(name: &'static str, meets: fn(&Asked, &Known) -> bool, does: Does) -> Mistake {
    Mistake { name, meets, does }
}

pub(super) const MISTAKES: [Mistake; 26] = [
    mistake(
        "queues are told without their tenant",
        |asked, _| asked.target == "/v1/admin/queues",
        Does::AsVictim,
    ),
    mistake(
        "a schedule is removed without its tenant",
        |asked, known| asked.method == "DELETE" && asked.holds(&known.schedule.theirs),
        Does::AsVictim,
    ),
    mistake(
        "a link to what another tenant has is forbidden and not absent",
        |asked, known| asked.target == known.link.theirs,
        Does::Status(403),
    ),
    mistake(
        "a command that waits is cancelled without its tenant",
        |asked, known| asked.method == "DELETE" && asked.holds(&known.waiting.theirs),
        Does::AsVictim,
    ),
    mistake(
        "a command is looked up without its tenant",
        |asked, known| asked.target.starts_with("/v1/commands/") && asked.holds(&known.command_id.theirs),
        Does::AsVictim,
    ),
    mistake(
        "a key is looked up without its tenant",
        |asked, known| asked.target.starts_with("/v1/commands/") && asked.holds(&known.key.theirs),
        Does::AsVictim,
    ),
    mistake(
        "a dead letter is found without its tenant",
        |asked, known| {
            asked.target.starts_with("/v1/admin/dead-letters?") && asked.holds(&known.letter_key.theirs)
        },
        Does::AsVictim,
    ),
    mistake(
        "one dead letter is shown without its tenant",
        |asked, known| {
            asked.method == "GET"
                && asked.target.starts_with("/v1/admin/dead-letters/")
                && asked.holds(&known.letter.theirs)
        },
        Does::AsVictim,
    ),
    mistake(
        "one schedule is shown without its tenant",
        |asked, known| {
            asked.method == "GET"
                && asked.target.starts_with("/v1/admin/schedules/")
                && asked.holds(&known.schedule.theirs)
        },
        Does::AsVictim,
    ),
    mistake(
        "a dead letter is settled without its tenant",
        |asked, known| asked.method == "POST" && asked.holds(&known.letter.theirs),
        Does::AsVictim,
    ),
    mistake(
        "a feed of the log goes on with another tenant's",
        |asked, known| asked.holds(FEED) && asked.holds(&known.position.theirs),
        Does::AsVictim,
    ),
    mistake(
        "a feed of a view is another tenant's",
        |asked, known| asked.holds(FEED) && asked.holds(&known.secret.theirs),
        Does::AsVictim,
    ),
    mistake(
        "a cursor is not bound to its tenant",
        |asked, known| asked.holds(&known.cursor.theirs),
        Does::AsVictim,
    ),
    mistake(
        "an Idempotency-Key is not bound to its tenant",
        |asked, known| asked.method == "POST" && asked.holds(&known.key.theirs),
        Does::AsVictim,
    ),
    mistake(
        "a stream of another tenant is forbidden and not absent",
        |asked, known| asked.target.starts_with("/v1/streams/") && asked.holds(&known.vault.theirs),
        Does::Status(403),
    ),
    mistake(
        "a row of another tenant is read",
        |asked, known| asked.target.starts_with("/v1/views/secrets/") && asked.holds(&known.vault.theirs),
        Does::AsVictim,
    ),
    mistake(
        "a row of another tenant takes longer",
        |asked, known| asked.target.starts_with("/v1/views/secrets/") && asked.holds(&known.vault.theirs),
        Does::Late,
    ),
    mistake(
        "an operation reads the streams of another tenant",
        |asked, known| asked.target.starts_with("/v1/operations/") && asked.holds(&known.vault.theirs),
        Does::AsVictim,
    ),
    mistake(
        "an answer has a header for what another tenant has",
        |asked, known| asked.target.starts_with("/v1/vault/") && asked.holds(&known.vault.theirs),
        Does::Header,
    ),
    mistake(
        "who waits for a position of another tenant waits longer",
        |asked, known| asked.target.contains(&format!("min_position={}&", known.position.theirs)),
        Does::Late,
    ),
    mistake(
        "a header names the tenant",
        |asked, known| {
            let names =
                |(name, value): &(&str, String)| *name == "x-tenant" && *value == known.victim.as_str();
            asked.headers.iter().any(names)
        },
        Does::AsVictim,
    ),
    mistake(
        "the query names the tenant",
        |asked, known| asked.target.contains(&format!("tenant={}", known.victim)),
        Does::AsVictim,
    ),
    mistake(
        "of two credentials the second one counts",
        |asked, known| {
            let mut given = asked.headers.iter().filter(|(name, _)| *name == "authorization");
            given.nth(1).is_some_and(|(_, value)| value.contains(&known.victims_token))
        },
        Does::AsVictim,
    ),
    mistake(
        "a token in the query opens",
        |asked, known| asked.target.contains(&format!("access_token={}", known.victims_token)),
        Does::AsVictim,
    ),
    mistake("a revoked token still opens", |asked, known| asked.holds(&known.revoked_token), Does::AsOwn),
    mistake("an expired token still opens", |asked, known| asked.holds(&known.expired_token), Does::AsOwn),
];

impl Mistake {
    /// What becomes of a request.
    pub(super) fn before(&self, asked: &Asked, known: &Known) -> Asked {
        match self.does {
            Does::AsVictim if (self.meets)(asked, known) => {
                let mut as_victim = asked.clone().only_by(&known.victims_token);
                // What the service itself would refuse is what the mistake has read.
                as_victim.target = without(&as_victim.target, &["tenant=", "access_token="]);
                as_victim
            }
            Does::AsOwn if (self.meets)(asked, known) => asked.clone().only_by(&known.token),
            _ => asked.clone(),
        }
    }

    /// What becomes of its answer.
    pub(super) async fn after(&self, asked: &Asked, known: &Known, told: &mut Told) {
        if !(self.meets)(asked, known) {
            return;
        }
        match self.does {
            Does::AsVictim | Does::AsOwn => {}
            Does::Status(status) => told.status = status,
            Does::Header => told.headers.push(("x-cache".to_owned(), "hit".to_owned())),
            Does::Late => SystemClock.sleep(LATE).await,
        }
    }
}

/// A target without some of its parameters.
fn without(target: &str, parameters: &[&str]) -> String {
    let Some((path, query)) = target.split_once('?') else { return target.to_owned() };
    let is_kept = |pair: &&str| !parameters.iter().any(|parameter| pair.starts_with(parameter));
    let query: Vec<&str> = query.split('&').filter(is_kept).collect();
    format!("{path}?{}", query.join("&"))
}
