//! A service with two tenants: one who attacks, and one who has something.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;
use tempfile::TempDir;
use underlay_core::{Clock, Entities, Error, SystemClock, TenantId, Timestamp, View};
use underlay_runtime::{Engine, EngineConfig, EntityStore, EntityStores, Ports, RunningViews, Stores};
use underlay_server::{
    FileTokens, LinkAnswer, LinkKey, LinkKeys, LinkPage, LinkTarget, LogReaders, OpenedLink, ServerConfig,
    TokenFile, TokenRequest,
};
use uuid::Uuid;

use super::super::marks::Marked;
use super::super::vault::{Keepsake, Secrets, registry};
use super::door::{Asked, Door, Told};
use super::mistakes::Mistake;
use super::{keepsakes, letters};
use crate::Result;

/// How long a view may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a token lives that is to be old when it is used.
const SHORT_LIFE: Duration = Duration::from_millis(500);
/// For longer than this, nobody is told again what the store has said.
const TOLD_AGAIN: Duration = Duration::from_millis(1_200);
/// The vault that every tenant has.
pub(super) const SHARED: &str = "shared";
/// When what waits is due.
pub(super) const LATER: &str = "2999-01-01T00:00:00Z";

/// Something that another tenant has, and something of the same form that nobody has.
#[derive(Clone, Debug)]
pub(super) struct Pair {
    pub(super) theirs: String,
    pub(super) nobodys: String,
}

impl Pair {
    /// What is theirs, with their mark, and the same without.
    fn marked(text: String) -> Self {
        let nobodys = text.replace(&victim_mark(), NOBODY);
        Self { theirs: text, nobodys }
    }
}

/// In the place of a mark, as long as one.
const NOBODY: &str = "nn000nn";

fn victim_mark() -> String {
    super::super::marks::mark(VICTIM)
}

const VICTIM: u32 = 902;
const ATTACKER: u32 = 901;
const THIRD: u32 = 903;
const IDLE: u32 = 904;

/// What the attack knows of the victim, and its own tokens.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) attacker: Marked,
    pub(super) victim: TenantId,
    pub(super) token: String,
    /// Of a tenant that has nothing at all.
    pub(super) idle_token: String,
    /// The attack never sends it alone: it is what mistakes come in with.
    pub(super) victims_token: String,
    pub(super) revoked_token: String,
    pub(super) expired_token: String,
    pub(super) vault: Pair,
    pub(super) key: Pair,
    pub(super) command_id: Pair,
    /// The key of a command that waits.
    pub(super) waiting: Pair,
    pub(super) secret: Pair,
    pub(super) cursor: Pair,
    pub(super) position: Pair,
    pub(super) version: Pair,
    /// The name of a schedule.
    pub(super) schedule: Pair,
    /// The path and the query of a link, signed for what the attacker has.
    pub(super) link: Pair,
    pub(super) letter: Pair,
    pub(super) letter_key: Pair,
    pub(super) letter_place: Pair,
}

pub(super) struct Site {
    pub(super) door: Door,
    pub(super) known: Known,
    views: RunningViews,
    _folder: TempDir,
}

impl Site {
    /// Opens a service on a store, and fills it.
    pub(super) async fn open(
        ports: Ports,
        entities: Arc<dyn Entities>,
        mistake: Option<&'static Mistake>,
    ) -> Result<Self> {
        let clock = ports.clock.clone();
        let entities = EntityStores::new(EntityStore::of_log("the store", entities));
        let stores = Stores { entities, ..Stores::default() };
        let registry = registry().entity::<Keepsake>();
        let engine = Engine::with_stores(ports.clone(), stores, registry, EngineConfig::default())?;
        engine.prepare_entities().await?;
        let folder = tempfile::tempdir()?;
        let file = TokenFile::new(folder.path().join("tokens.json"));
        let attacker = Marked::new("http-attacker", ATTACKER)?;
        let victim = Marked::new("http-victim", VICTIM)?;
        let third = Marked::new("http-third", THIRD)?;
        let (token, _) = add(&file, &attacker.id, None).await?;
        let (victims_token, _) = add(&file, &victim.id, None).await?;
        let (third_token, _) = add(&file, &third.id, None).await?;
        let (idle_token, _) = add(&file, &Marked::new("http-idle", IDLE)?.id, None).await?;
        let (expired_token, _) = add(&file, &victim.id, Some(clock.now() + SHORT_LIFE)).await?;
        let (revoked_token, revoked) = add(&file, &victim.id, None).await?;
        file.change(&SystemClock, |list| list.remove(&revoked)).await?;
        clock.sleep(SHORT_LIFE).await;
        let credentials = FileTokens::open(file, clock)?;
        let config = ServerConfig::new("attacked").with_credentials(credentials);
        let roles = vec![LogReaders::ROLE_DEFAULT.to_owned()];
        let config = config.with_log_readers(LogReaders::Roles(roles));
        let key = LinkKey::draw()?;
        let config = config.with_links(Arc::new(OwnKey(key.clone())), vec![Arc::new(Telling)]);
        let door = Door::new(underlay_server::router(engine.clone(), config)?, mistake);
        let views = engine.start_views();

        let filled = fill(&door, &victims_token, &victim.mark()).await?;
        let between = fill(&door, &third_token, &third.mark()).await?;
        let own = fill(&door, &token, &attacker.mark()).await?;
        let (letter, victims_place) = letters::give_up(&ports, &victim).await?;
        let (_, between_place) = letters::give_up(&ports, &third).await?;
        letters::give_up(&ports, &attacker).await?;
        engine.wait_for_view(Secrets::NAME, text(&own, "position").parse()?, PATIENCE).await?;
        let first = Asked::get("/v1/views/secrets?sort=secret&limit=1").by(&victims_token);
        let page = json(&door.ask_well(&first).await?)?;
        let command_id = text(&filled, "command_id");
        let secret = format!("secret-{}", victim.mark());
        let known = Known {
            victim: victim.id.clone(),
            token,
            idle_token,
            victims_token,
            revoked_token,
            expired_token,
            vault: Pair::marked(format!("own-{}", victim.mark())),
            key: Pair::marked(format!("key-{}", victim.mark())),
            command_id: Pair { nobodys: backwards(&command_id)?, theirs: command_id },
            waiting: Pair::marked(format!("waiting-{}", victim.mark())),
            secret: Pair::marked(secret),
            cursor: cursor(&text(&page, "next"))?,
            // Between theirs and the attacker's own there is nothing of the attacker's.
            position: Pair { theirs: text(&filled, "position"), nobodys: text(&between, "position") },
            schedule: Pair::marked(schedule(&victim.mark())),
            link: {
                // The signature of the attacker's own link, before the names of others.
                let own = key.path(&leads_to(&attacker.id, &attacker.mark()));
                let signed = own.split_once('?').map_or(own.as_str(), |(path, _)| path);
                let of = |mark: &str| format!("{signed}?tenant={}&subject={mark}&id={}", victim.id, LINK_ID);
                Pair { theirs: of(&victim_mark()), nobodys: of(NOBODY) }
            },
            letter: Pair { nobodys: backwards(&letter)?, theirs: letter },
            letter_key: Pair::marked(letters::key(&victim)),
            // As with positions.
            letter_place: Pair { theirs: victims_place.to_string(), nobodys: between_place.to_string() },
            version: Pair { theirs: "3".to_owned(), nobodys: "7".to_owned() },
            attacker,
        };
        Ok(Self { door, known, views, _folder: folder })
    }

    /// The victim comes to have more in a queue: a command for later.
    pub(super) async fn fill_more(&self) -> Result<()> {
        let Known { victims_token, .. } = &self.known;
        let mark = victim_mark();
        let body = format!(r#"{{"secret":"secret-{mark}"}}"#);
        let later = Asked::post(format!("/v1/vault/more-{mark}/fill?due_at={LATER}"), body).by(victims_token);
        let told = self.door.ask_well(&later).await?;
        // What a service knows of its queues may be as old as that.
        SystemClock.sleep(TOLD_AGAIN).await;
        if told.status == 202 { Ok(()) } else { Err(format!("{}: {}", told.status, told.body).into()) }
    }

    /// Everything the victim reads, as one text.
    pub(super) async fn victims(&self) -> Result<String> {
        let Known { vault, victims_token, key, waiting, .. } = &self.known;
        let mut all = String::new();
        for target in [
            format!("/v1/streams/vault-{}", vault.theirs),
            format!("/v1/streams/vault-{SHARED}"),
            format!("/v1/commands/{}", key.theirs),
            format!("/v1/commands/{}", waiting.theirs),
            "/v1/events".to_owned(),
            format!("/v1/views/secrets/{}", vault.theirs),
            "/v1/admin/dead-letters".to_owned(),
            "/v1/admin/schedules".to_owned(),
            keepsakes::KEEPSAKES.to_owned(),
        ] {
            let told = self.door.ask_well(&Asked::get(target).by(victims_token)).await?;
            all += &super::tries::plain(&told.body, &[]);
        }
        Ok(all)
    }

    pub(super) async fn close(self) {
        self.views.stop().await;
    }
}

/// The name of a tenant's schedule.
fn schedule(mark: &str) -> String {
    format!("schedule-{mark}")
}

/// What the links of all tenants have in common.
const LINK_ID: Uuid = Uuid::from_u128(7);

fn leads_to(tenant: &TenantId, mark: &str) -> LinkTarget {
    LinkTarget { page: "tell".to_owned(), tenant: tenant.clone(), subject: mark.to_owned(), id: LINK_ID }
}

struct OwnKey(LinkKey);

impl LinkKeys for OwnKey {
    fn key(&self) -> std::result::Result<LinkKey, Error> {
        Ok(self.0.clone())
    }
}

/// A page that tells whom its link is about.
struct Telling;

#[async_trait]
impl LinkPage for Telling {
    fn name(&self) -> &'static str {
        "tell"
    }

    async fn show(&self, _: &Engine, link: &OpenedLink) -> std::result::Result<LinkAnswer, Error> {
        Ok(LinkAnswer::new("A link", &link.target.subject))
    }

    async fn confirm(&self, engine: &Engine, link: &OpenedLink) -> std::result::Result<LinkAnswer, Error> {
        self.show(engine, link).await
    }
}

async fn add(file: &TokenFile, tenant: &TenantId, expires: Option<Timestamp>) -> Result<(String, String)> {
    let request = TokenRequest {
        tenant: tenant.clone(),
        actor: "somebody".to_owned(),
        roles: vec![LogReaders::ROLE_DEFAULT.to_owned(), ServerConfig::OPERATOR_ROLE_DEFAULT.to_owned()],
        expires,
        note: None,
    };
    let added = file.change(&SystemClock, |list| list.add(request, SystemClock.now())).await?;
    Ok((added.0.reveal().to_owned(), added.1.id))
}

/// Fills the vaults of a tenant; the answer to the last command.
async fn fill(door: &Door, token: &str, mark: &str) -> Result<Value> {
    keepsakes::fill(door, token, mark).await?;
    let body = format!(r#"{{"secret":"secret-{mark}"}}"#);
    let shared = Asked::post(format!("/v1/vault/{SHARED}/fill"), &body).by(token);
    json(&door.ask_well(&shared).await?)?;
    // A refusal that quotes what is in it is stored under a key.
    let again = shared.with("idempotency-key", format!("refused-{mark}"));
    door.ask_well(&again).await?;
    // One waits for longer than the attack takes.
    let later = Asked::post(format!("/v1/vault/later-{mark}/fill?due_at={LATER}"), &body).by(token);
    let told = door.ask_well(&later.with("idempotency-key", format!("waiting-{mark}"))).await?;
    if told.status != 202 {
        return Err(format!("a command was not stored: {} {}", told.status, told.body).into());
    }
    // Due at the turn of a year, and then for a vault of its own.
    let yearly = format!(r#"{{"cron":"0 0 1 1 *","for":"vault/yearly-{mark}/fill","body":{body}}}"#);
    let put = Asked::put(format!("/v1/admin/schedules/{}", schedule(mark)), yearly).by(token);
    json(&door.ask_well(&put).await?)?;
    let own = Asked::post(format!("/v1/vault/own-{mark}/fill"), body).by(token);
    json(&door.ask_well(&own.with("idempotency-key", format!("key-{mark}"))).await?)
}

fn json(told: &Told) -> Result<Value> {
    if told.status != 200 {
        return Err(format!("{}: {}", told.status, told.body).into());
    }
    Ok(serde_json::from_str(&told.body)?)
}

fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_default().to_owned()
}

/// An id of the same form.
fn backwards(id: &str) -> Result<String> {
    let digits: String = id.chars().filter(|digit| *digit != '-').rev().collect();
    Ok(Uuid::parse_str(&digits)?.to_string())
}

/// A cursor, and the same of a row that nobody has.
fn cursor(text: &str) -> Result<Pair> {
    let pairs = text.as_bytes().chunks(2).map(|pair| {
        let digits = std::str::from_utf8(pair).map_err(|error| error.to_string())?;
        u8::from_str_radix(digits, 16).map_err(|error| error.to_string())
    });
    let bytes = pairs.collect::<std::result::Result<Vec<u8>, String>>()?;
    let plain = String::from_utf8(bytes)?;
    let nobodys = plain.replace(&victim_mark(), NOBODY);
    if nobodys == plain {
        return Err(format!("the cursor {plain} names no row of the victim").into());
    }
    let nobodys = nobodys.bytes().map(|byte| format!("{byte:02x}")).collect();
    Ok(Pair { theirs: text.to_owned(), nobodys })
}
