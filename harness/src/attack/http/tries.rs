//! What is tried, and how two answers are compared.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::Value;
use underlay_server::{Route, routes};

use super::super::marks;
use super::super::tally::Attack;
use super::door::{Asked, Told};
use super::keepsakes;
use super::site::{Known, LATER, Pair, SHARED, Site};
use crate::Result;

/// How much longer an answer about what another tenant has may take, each of several times.
const LATER_MAX: Duration = Duration::from_millis(150);
/// How often two answers are timed before one is said to take longer.
const TIMED: usize = 3;
/// How often two answers to what only reads are compared before they are said to differ: a queue may
/// become longer between them.
const COMPARED: usize = 5;
/// Pairs of vaults that the attacker fills under keys of others.
const OWN_VAULTS: usize = 6;
/// Bytes in a text that others may hold by chance.
const SHORT_MAX: usize = 6;
/// Members of an answer that are of the moment, or drawn.
const OF_THE_MOMENT: [&str; 9] = [
    "command_id",
    "event_id",
    "recorded_at",
    "submitted_at",
    "position",
    "next",
    "correlation_id",
    "causation_id",
    "lag_seconds",
];
/// What follows a number of seconds in a page.
const SECONDS: &str = " s</td>";
/// The same of what has waited for less than one.
const MILLISECONDS: &str = " ms</td>";
/// Headers that say nothing more than the body, or the time.
const HEADERS_LEFT_OUT: [&str; 3] = ["date", "content-length", "location"];
/// The cookie of the console that is drawn for a browser which has none.
const DRAWN_COOKIE: &str = "underlay-form=";
/// Headers that some program somewhere takes for who asks, or for what is asked.
const HEADERS: [&str; 9] = [
    "x-tenant",
    "x-tenant-id",
    "tenant",
    "x-forwarded-user",
    "x-forwarded-host",
    "x-original-url",
    "x-http-method-override",
    "cookie",
    "forwarded",
];

/// Where links lead to.
const LINK: &str = "/links/{page}/{secret}";

/// One request in two forms.
pub(super) struct Try {
    /// The address, as the router has it; none where there is to be nothing.
    route: Option<&'static str>,
    theirs: Asked,
    nobodys: Asked,
    /// What is replaced in the answers before they are compared: what was asked with.
    asked_with: Vec<String>,
    wanted: Wanted,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// The answers are the same.
    Same,
    /// The same, and the other tenant is given what is theirs.
    SameAndTheirs,
    /// Neither is let in.
    Unidentified,
}

/// A token of the right form that nobody has.
fn nobodys_token(like: &str) -> String {
    let (prefix, digits) = like.rsplit_once('_').unwrap_or_default();
    format!("{prefix}_{}", digits.chars().rev().collect::<String>())
}

/// Tries everything.
pub(super) async fn attack(site: &Site, attack: &mut Attack) -> Result<()> {
    let known = &site.known;
    compare_over_time(site, attack).await?;
    let before = site.victims().await?;
    let mut tried = BTreeSet::new();
    // Once while the attacker has nothing of these names, and once after it has made its own.
    let reads = [reads(known), keepsakes::reads(known), games(known)];
    for one in reads.iter().flatten() {
        judge(site, one, attack).await?;
        tried.extend(one.route.map(|route| (one.theirs.method, route)));
    }
    for one in writes(known).iter().chain(&keepsakes::writes(known)) {
        judge(site, one, attack).await?;
        tried.extend(one.route.map(|route| (one.theirs.method, route)));
    }
    for one in reads.iter().flatten().filter(|one| one.wanted == Wanted::Same) {
        judge(site, one, attack).await?;
    }
    let is_left_out = |route: &Route| !tried.contains(&(route.method, route.path));
    let left_out: Vec<Route> = routes().into_iter().filter(is_left_out).collect();
    attack.control(left_out.is_empty(), || format!("no attack on {left_out:?}"));
    let after = site.victims().await?;
    attack.judge(before != after, || "what another tenant has was changed".to_owned());
    attack.control(before.contains(&marks::mark(902)), || "the other tenant has nothing".to_owned());
    Ok(())
}

/// What is asked with nothing but a token differs by what another tenant has only over time: who has nothing and who has
/// something are told the same before the other comes to have more, and after it.
async fn compare_over_time(site: &Site, attack: &mut Attack) -> Result<()> {
    let Known { token, idle_token, .. } = &site.known;
    let read = |route: &Route| route.method == "GET" && !route.path.contains('{');
    let targets: Vec<&str> = routes().into_iter().filter(read).map(|route| route.path).collect();
    let ask = async || -> Result<Vec<(&str, String)>> {
        let mut answers = Vec::new();
        for (target, token) in targets.iter().flat_map(|target| [(target, token), (target, idle_token)]) {
            let asked = Asked::get(*target).by(token);
            let told = site.door.ask(&asked, &site.known).await?;
            answers.push((*target, format!("{} {}", told.status, plain(&told.body, &[]))));
        }
        Ok(answers)
    };
    let before = ask().await?;
    site.fill_more().await?;
    for ((target, before), (_, after)) in before.into_iter().zip(ask().await?) {
        attack.judge(before != after, || format!("GET {target}: {after} and not {before}"));
    }
    let queues = site.door.ask(&Asked::get("/v1/admin/queues").by(idle_token), &site.known).await?;
    let told: Value = serde_json::from_str(&queues.body).unwrap_or_default();
    attack.judge(told["queues"] != Value::Array(Vec::new()), || {
        format!("who has nothing is told of queues: {}", queues.body)
    });
    // What is over all tenants is for no operator of one.
    for target in ["/v1/admin/views", "/v1/admin/views/secrets", "/v1/admin/views/secrets/parked", "/metrics"]
    {
        let told = site.door.ask(&Asked::get(target).by(token), &site.known).await?;
        attack.judge(told.status != 403, || format!("GET {target}: {} {}", told.status, told.body));
    }
    Ok(())
}

async fn judge(site: &Site, one: &Try, attack: &mut Attack) -> Result<()> {
    let Site { door, known, .. } = site;
    let is_read = one.theirs.method == "GET";
    let what = || format!("{} {} {:?}", one.theirs.method, one.theirs.target, one.theirs.headers);
    let plain = |told: &Told| plain(&told.body, &one.asked_with);
    let (mut theirs, theirs_took) = timed(site, &one.theirs).await?;
    let (mut nobodys, nobodys_took) = timed(site, &one.nobodys).await?;
    for _ in 1..COMPARED {
        if !is_read || plain(&theirs) == plain(&nobodys) {
            break;
        }
        theirs = timed(site, &one.theirs).await?.0;
        nobodys = timed(site, &one.nobodys).await?.0;
    }
    attack.judge(theirs.status != nobodys.status, || {
        format!("{}: {} and not {}: {}", what(), theirs.status, nobodys.status, theirs.body)
    });
    attack.judge(headers(&theirs, one) != headers(&nobodys, one), || {
        format!("{}: {:?} and not {:?}", what(), theirs.headers, nobodys.headers)
    });
    attack.judge(plain(&theirs) != plain(&nobodys), || {
        format!("{}: {} and not {}", what(), theirs.body, nobodys.body)
    });
    let sign = marks::foreign(Some(known.attacker.number), &plain(&theirs));
    attack.judge(sign.is_some(), || format!("{}: {sign:?} in {}", what(), theirs.body));
    if one.wanted == Wanted::Unidentified {
        attack.judge(theirs.status != 401, || format!("{}: {} {}", what(), theirs.status, theirs.body));
    }
    // A flush may take any time; what is only read does not.
    if is_read {
        let mut later = theirs_took.saturating_sub(nobodys_took);
        for _ in 1..TIMED {
            if later <= LATER_MAX {
                break;
            }
            let (_, theirs_took) = timed(site, &one.theirs).await?;
            let (_, nobodys_took) = timed(site, &one.nobodys).await?;
            later = later.min(theirs_took.saturating_sub(nobodys_took));
        }
        attack.judge(later > LATER_MAX, || format!("{}: takes {later:?} longer", what()));
    }
    if one.wanted == Wanted::SameAndTheirs {
        let told = door.ask_well(&one.theirs.clone().only_by(&known.victims_token)).await?;
        let is_theirs = told.status == 200 && told.body.contains(&marks::mark(902));
        attack.control(is_theirs, || format!("{} is nothing of the other's: {}", what(), told.body));
    }
    Ok(())
}

async fn timed(site: &Site, asked: &Asked) -> Result<(Told, Duration)> {
    let began = Instant::now();
    let told = site.door.ask(asked, &site.known).await?;
    Ok((told, began.elapsed()))
}

fn headers(told: &Told, one: &Try) -> Vec<(String, String)> {
    let says_more = |(name, value): &&(String, String)| {
        let is_drawn = name == "set-cookie" && value.starts_with(DRAWN_COOKIE);
        !is_drawn && !HEADERS_LEFT_OUT.contains(&name.as_str())
    };
    let header = |(name, value): &(String, String)| (name.clone(), without(value, &one.asked_with));
    let mut headers: Vec<_> = told.headers.iter().filter(says_more).map(header).collect();
    headers.sort();
    headers
}

/// A body without what is of the moment, and without what was asked with.
pub(super) fn plain(body: &str, asked_with: &[String]) -> String {
    let text = match serde_json::from_str::<Value>(body) {
        Ok(mut value) => {
            leave_out(&mut value);
            value.to_string()
        }
        Err(_) if body.starts_with("retry: ") => plain_feed(body),
        Err(_) => without_seconds(body),
    };
    without(&text, asked_with)
}

/// What a feed says, without its ids: they are of its moment.
fn plain_feed(feed: &str) -> String {
    let line = |line: &str| match line.split_once(": ") {
        Some(("id", _)) => None,
        Some(("data", data)) => Some(plain(data, &[])),
        _ => Some(line.to_owned()),
    };
    feed.lines().filter_map(line).collect::<Vec<_>>().join("\n")
}

/// A page without how long something has waited.
fn without_seconds(page: &str) -> String {
    let page = page.replace(MILLISECONDS, SECONDS);
    let Some((waited, rest)) = page.rsplit_once(SECONDS) else { return page };
    let plain = |part: &str| part.trim_end_matches(|sign: char| sign.is_ascii_digit()).to_owned() + SECONDS;
    waited.split(SECONDS).map(plain).chain([rest.to_owned()]).collect()
}

fn leave_out(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                if OF_THE_MOMENT.contains(&name.as_str()) && !value.is_null() {
                    *value = Value::from("…");
                }
                leave_out(value);
            }
        }
        Value::Array(values) => values.iter_mut().for_each(leave_out),
        _ => {}
    }
}

fn without(text: &str, asked_with: &[String]) -> String {
    asked_with.iter().fold(text.to_owned(), |text, asked| replaced(&text, asked))
}

/// A text without another. A short one, such as a version, is replaced where it stands alone, since
/// others hold it by chance.
fn replaced(text: &str, asked: &str) -> String {
    if asked.len() > SHORT_MAX {
        return text.replace(asked, "∎");
    }
    let is_of_a_word =
        |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'-');
    let bytes = text.as_bytes();
    let (mut plain, mut from) = (String::new(), 0);
    for (at, found) in text.match_indices(asked) {
        let before = at.checked_sub(1).and_then(|before| bytes.get(before));
        if !is_of_a_word(before) && !is_of_a_word(bytes.get(at + found.len())) {
            plain.push_str(&text[from..at]);
            plain.push('∎');
            from = at + found.len();
        }
    }
    plain + &text[from..]
}

/// A text with every byte as its escape.
pub(super) fn escaped(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// The tries of one pair, with the requests that `asks` makes of its two sides.
pub(super) fn of(route: &'static str, pair: &Pair, wanted: Wanted, asks: impl Fn(&str) -> Asked) -> Try {
    Try {
        route: Some(route),
        theirs: asks(&pair.theirs),
        nobodys: asks(&pair.nobodys),
        asked_with: [&pair.theirs, &pair.nobodys].into_iter().flat_map(|text| spellings(text)).collect(),
        wanted,
    }
}

/// How an answer may repeat a text that was asked with.
fn spellings(text: &str) -> [String; 3] {
    [text.to_owned(), text.to_uppercase(), text.replace('-', "")]
}

/// What is only read, with every name and id of the other.
fn reads(known: &Known) -> Vec<Try> {
    use Wanted::{Same, SameAndTheirs};
    let Known { token, vault, key, command_id, waiting, secret, cursor, position, version, .. } = known;
    let Known { letter, letter_key, letter_place, schedule, link, .. } = known;
    let schedules = "/v1/admin/schedules";
    let (queues, letters) = ("/v1/admin/queues", "/v1/admin/dead-letters");
    let outbox = "/v1/admin/outbox";
    let get = |target: String| Asked::get(target).by(token);
    let stream = "/v1/streams/{stream}";
    let state = "/v1/streams/{stream}/state";
    let instances = "/v1/admin/processes/{name}/instances";
    let instance = "/v1/admin/processes/{name}/instances/{*instance}";
    let row = "/v1/views/{view}/{*key}";
    let rows = "/v1/views/{view}";
    let command = "/v1/commands/{id}";
    // A store that keeps no work has none of theirs.
    let found = if letter_place.theirs == "0" { Same } else { SameAndTheirs };
    let escapes = Pair { theirs: escaped(&vault.theirs), nobodys: escaped(&vault.nobodys) };
    let mut tries = vec![
        of(stream, vault, SameAndTheirs, |id| get(format!("/v1/streams/vault-{id}"))),
        of(stream, vault, Same, |id| get(format!("/v1/streams/vault-{id}?after=1&limit=1"))),
        of(stream, vault, Same, |id| get(format!("/v1/streams/vault-{}", id.to_uppercase()))),
        of(stream, vault, Same, |id| get(format!("/v1/streams/vault-{id}/"))),
        of(stream, version, Same, |after| get(format!("/v1/streams/vault-{SHARED}?after={after}"))),
        of(state, vault, SameAndTheirs, |id| get(format!("/v1/streams/vault-{id}/state"))),
        of(state, vault, Same, |id| get(format!("/v1/streams/vault-{id}/state?version=1"))),
        of(state, vault, Same, |id| get(format!("/v1/streams/vault-{id}/state?at=2999-01-01T00:00:00Z"))),
        of(state, version, Same, |version| {
            get(format!("/v1/streams/vault-{SHARED}/state?version={version}"))
        }),
        of(command, key, SameAndTheirs, |key| get(format!("/v1/commands/{key}"))),
        of(command, command_id, Same, |id| get(format!("/v1/commands/{id}"))),
        of(command, command_id, Same, |id| get(format!("/v1/commands/{}", id.to_uppercase()))),
        of(command, command_id, Same, |id| get(format!("/v1/commands/{}", id.replace('-', "")))),
        of(command, waiting, Same, |key| get(format!("/v1/commands/{key}"))),
        of("/v1/commands", letter_place, Same, |after| get(format!("/v1/commands?after={after}"))),
        of("/v1/commands", letter_place, Same, |after| {
            get(format!("/v1/commands?status=failed&after={after}"))
        }),
        of(instances, vault, Same, |id| get(format!("/v1/admin/processes/{id}/instances"))),
        of(instances, vault, Same, |id| get(format!("/v1/admin/processes/watch/instances?after={id}"))),
        of(instance, vault, Same, |id| get(format!("/v1/admin/processes/watch/instances/{id}"))),
        of(row, vault, SameAndTheirs, |id| get(format!("/v1/views/secrets/{id}"))),
        of(row, vault, Same, |id| get(format!("/v1/views/secrets/{id}/x"))),
        of(row, vault, Same, |id| get(format!("/v1/views/secrets/../secrets/{id}"))),
        of(rows, secret, SameAndTheirs, |secret| {
            get(format!("/v1/views/secrets?secret={secret}&count=true"))
        }),
        of(rows, secret, Same, |secret| get(format!("/v1/views/secrets?secret[prefix]={secret}&count=true"))),
        of(rows, secret, Same, |secret| get(format!("/v1/views/secrets?secret[ge]={secret}&sort=-secret"))),
        of(rows, vault, Same, |view| get(format!("/v1/views/{view}"))),
        of(rows, cursor, SameAndTheirs, |cursor| {
            get(format!("/v1/views/secrets?sort=secret&cursor={cursor}"))
        }),
        of(rows, position, Same, |at| get(format!("/v1/views/secrets?min_position={at}&wait=1"))),
        of(row, position, Same, |at| get(format!("/v1/views/secrets/{SHARED}?min_position={at}&wait=1"))),
        of("/v1/views", vault, Same, |id| get(format!("/v1/views?{id}=1"))),
        of("/v1/views", vault, Same, |id| {
            get("/v1/views".to_owned()).with("if-none-match", format!("\"{id}\""))
        }),
        of("/v1/events", position, Same, |at| get(format!("/v1/events?after={at}"))),
        of("/v1/events", position, Same, |at| get(format!("/v1/events?after={at}&limit=1"))),
        of("/v1/events", position, Same, |at| get("/v1/events".to_owned()).with("last-event-id", at)),
        of("/v1/events", vault, Same, |id| get(format!("/v1/events?category={id}&type={id}"))),
        of("/v1/events", vault, SameAndTheirs, |id| get(format!("/v1/events?stream=vault-{id}"))),
        of("/v1/events", vault, Same, |id| get(format!("/v1/events?stream=vault-{id}&order=descending"))),
        of("/v1/events", vault, Same, |id| get(format!("/v1/events?actor={id}"))),
        of("/v1/events", command_id, Same, |id| get(format!("/v1/events?command_id={id}"))),
        of("/v1/events", command_id, Same, |id| {
            get(format!("/v1/events?correlation_id={id}&order=descending"))
        }),
        of("/v1/streams", vault, Same, |id| get(format!("/v1/streams?after=a-{id}"))),
        of("/v1/streams", vault, Same, |id| get(format!("/v1/streams?category={id}"))),
        of("/v1/events", position, Same, |at| get(format!("/v1/events?after={at}")).followed()),
        of("/v1/events", position, Same, |at| {
            get("/v1/events?format=cloudevents".to_owned()).with("last-event-id", at).followed()
        }),
        of("/v1/events", position, Same, |at| {
            get("/v1/events".to_owned()).with("last-event-id", format!("{at}-0011223344556677")).followed()
        }),
        of("/v1/events", vault, Same, |id| get(format!("/v1/events?after=0&category={id}")).followed()),
        of(rows, secret, SameAndTheirs, |secret| {
            get(format!("/v1/views/secrets?secret={secret}")).followed()
        }),
        of(rows, secret, Same, |secret| get(format!("/v1/views/secrets?secret[ge]={secret}")).followed()),
        of(rows, position, Same, |at| {
            get("/v1/views/secrets".to_owned())
                .with("last-event-id", format!("1.{at}-0011223344556677"))
                .followed()
        }),
        of(rows, vault, Same, |view| get(format!("/v1/views/{view}")).followed()),
        of(queues, letter, Same, |id| {
            get("/v1/admin/queues".to_owned()).with("if-none-match", format!("\"{id}\""))
        }),
        of(queues, vault, Same, |id| get(format!("/v1/admin/queues?receiver={id}"))),
        of(letters, letter_key, found, |key| get(format!("/v1/admin/dead-letters?key={key}"))),
        of(letters, letter_key, Same, |key| get(format!("/v1/admin/dead-letters?receiver=mailer&key={key}"))),
        of(letters, letter_place, Same, |after| get(format!("/v1/admin/dead-letters?after={after}"))),
        of(letters, letter_place, Same, |after| get(format!("/v1/admin/dead-letters?after={after}&limit=1"))),
        of(letters, vault, Same, |id| get(format!("/v1/admin/dead-letters?receiver={id}"))),
        of(outbox, letter_key, Same, |key| get(format!("/v1/admin/outbox?key={key}"))),
        of(outbox, letter_place, Same, |after| get(format!("/v1/admin/outbox?after={after}"))),
        of(outbox, vault, Same, |id| get(format!("/v1/admin/outbox?receiver=vault&key={id}"))),
        of("/v1/admin/processes", vault, Same, |id| get(format!("/v1/admin/processes?tenant={id}"))),
        of("/v1/admin/pumps", vault, Same, |id| get(format!("/v1/admin/pumps?tenant={id}"))),
        of("/v1/admin/dead-letters/{id}", letter, Same, |id| get(format!("/v1/admin/dead-letters/{id}"))),
        of("/v1/admin/dead-letters/{id}", letter, Same, |id| {
            get(format!("/v1/admin/dead-letters/{}", id.replace('-', "")))
        }),
        of("/v1/admin/schedules/{name}", schedule, Same, |name| get(format!("/v1/admin/schedules/{name}"))),
        of(schedules, schedule, Same, |name| get(format!("/v1/admin/schedules?name={name}"))),
        of("/metrics", vault, Same, |id| get(format!("/metrics?tenant={id}"))),
        of("/v1/admin/views", vault, Same, |id| get(format!("/v1/admin/views?tenant={id}"))),
        of("/v1/admin/views/{view}", vault, Same, |id| get(format!("/v1/admin/views/{id}"))),
        of("/v1/admin/views/{view}/parked", position, Same, |at| {
            get(format!("/v1/admin/views/secrets/parked?after={at}"))
        }),
        of(schedules, schedule, Same, |name| {
            get("/v1/admin/schedules".to_owned()).with("if-none-match", format!("\"{name}\""))
        }),
        of(LINK, link, Same, |link| Asked::get(link)),
        of(LINK, link, Same, |link| get(link.to_owned())),
        of("/", vault, Same, |id| get(format!("/?x={id}"))),
        of("/openapi.json", vault, Same, |id| get(format!("/openapi.json?x={id}"))),
        of("/openapi.json", vault, Same, |id| get("/openapi.json".to_owned()).with("if-none-match", id)),
        of("/docs", vault, Same, |id| get(format!("/docs?x={id}"))),
        of("/docs/page.js", vault, Same, |id| get(format!("/docs/page.js?x={id}"))),
        of("/docs/page.css", vault, Same, |id| get(format!("/docs/page.css?x={id}"))),
        of("/livez", vault, Same, |id| get(format!("/livez?x={id}"))),
        of("/readyz", vault, Same, |id| get(format!("/readyz?x={id}"))),
    ];
    let escaped_in = [
        (stream, "/v1/streams/vault-"),
        (stream, "/v1/streams/%76ault%2D"),
        (row, "/v1/views/secrets/"),
        (row, "/v1/views/%73ecrets/"),
    ];
    for (route, prefix) in escaped_in {
        for times in [
            &escapes,
            &Pair {
                theirs: escapes.theirs.replace('%', "%25"),
                nobodys: escapes.nobodys.replace('%', "%25"),
            },
        ] {
            let mut one = of(route, times, Same, |id| get(format!("{prefix}{id}")));
            let plain = [&vault.theirs, &vault.nobodys, &escapes.theirs, &escapes.nobodys];
            one.asked_with.extend(plain.into_iter().cloned());
            tries.push(one);
        }
    }
    // The second time, the attacker has made its own under these names and keys.
    let own = (0..OWN_VAULTS).flat_map(|number| own_vaults(known, number));
    let own: Vec<String> = own.collect();
    let names = [&own[..], &[vault.theirs.clone(), vault.nobodys.clone()]].concat();
    tries.iter_mut().for_each(|one| one.asked_with.extend(names.iter().cloned()));
    tries
}

/// Vaults of the attacker's own for the two sides of a try: the first side changes nothing for the second.
fn own_vaults(known: &Known, number: usize) -> [String; 2] {
    ['a', 'b'].map(|side| format!("{}-{number}{side}", known.attacker.mark()))
}

/// What is sent to be stored, with every name and id of the other.
fn writes(known: &Known) -> Vec<Try> {
    use Wanted::Same;
    let Known { token, attacker, vault, key, command_id, waiting, version, letter, .. } = known;
    let Known { schedule, link, letter_key, .. } = known;
    let one_schedule = "/v1/admin/schedules/{name}";
    let remove = |name: &str| Asked::delete(format!("/v1/admin/schedules/{name}")).by(token);
    let yearly = format!(r#"{{"cron":"0 0 1 1 *","for":"vault/{SHARED}/fill","body":{{"secret":"x"}}}}"#);
    let body = format!(r#"{{"secret":"secret-{}"}}"#, attacker.mark());
    let post = |target: String, body: &str| Asked::post(target, body).by(token);
    let fill = "/v1/{category}/{id}/{command}";
    let operation = "/v1/operations/{name}";
    let command = "/v1/commands/{id}";
    let cancel = |key: &str| Asked::delete(format!("/v1/commands/{key}")).by(token);
    let shared = format!("/v1/vault/{SHARED}/fill");
    // A vault of the attacker's own for each side: the first one changes nothing for the second.
    let own = |side: &str, number: u32| {
        let side = if [&key.theirs, &command_id.theirs, &waiting.theirs].iter().any(|theirs| *theirs == side)
        {
            'a'
        } else {
            'b'
        };
        format!("{}-{number}{side}", attacker.mark())
    };
    let mut tries = vec![
        of(fill, vault, Same, |id| post(format!("/v1/vault/{id}/fill"), &body)),
        // Each has its own now, and is told what is in its own.
        of(fill, vault, Same, |id| post(format!("/v1/vault/{id}/fill"), &body)),
        of(fill, vault, Same, |id| post(format!("/v1/vault/{id}/open"), &body)),
        of(fill, vault, Same, |id| post(format!("/v1/{id}/x/fill"), &body)),
        of(fill, version, Same, |version| {
            post(shared.clone(), &body).with("if-match", format!("\"{version}\""))
        }),
        of(fill, command_id, Same, |id| post(shared.clone(), &body).with("x-correlation-id", id)),
        of(operation, vault, Same, |id| {
            post("/v1/operations/copy".to_owned(), &format!(r#"{{"from":"{id}x","to":"{SHARED}x"}}"#))
        }),
        of(operation, vault, Same, |id| {
            post("/v1/operations/copy".to_owned(), &format!(r#"{{"from":"{SHARED}","to":"{id}y"}}"#))
        }),
        of(operation, vault, Same, |id| post(format!("/v1/operations/{id}"), &body)),
        of(command, waiting, Same, cancel),
        of(command, key, Same, cancel),
        of(command, command_id, Same, cancel),
        of(fill, vault, Same, |id| post(format!("/v1/vault/{SHARED}/fill?due_at={id}"), &body)),
        of(one_schedule, schedule, Same, remove),
        // Each has its own now, and the other keeps theirs.
        of(one_schedule, schedule, Same, |name| {
            Asked::put(format!("/v1/admin/schedules/{name}"), yearly.clone()).by(token)
        }),
        of(one_schedule, schedule, Same, remove),
        of(LINK, link, Same, |link| Asked::post(link, "")),
    ];
    for (route, last) in [
        ("/v1/admin/views/{view}/rebuild", "rebuild"),
        ("/v1/admin/views/{view}/verify", "verify"),
        ("/v1/admin/views/{view}/cancel", "cancel"),
        ("/v1/admin/views/{view}/revert", "revert"),
        ("/v1/admin/views/{view}/discard", "discard"),
        ("/v1/admin/views/{view}/retry", "retry"),
        ("/v1/admin/views/{view}/skip", "skip"),
    ] {
        tries.push(of(route, version, Same, |at| {
            let body = format!(r#"{{"position":"{at}","why":"x"}}"#);
            post(format!("/v1/admin/views/secrets/{last}"), &body)
        }));
    }
    // Stored under keys of the other, and taken back.
    for (number, prefer) in [(4, true), (5, false)] {
        let ask = |side: &str| {
            let key = format!("{side}{}", if prefer { "" } else { "." });
            let target = format!("/v1/vault/{}/fill", own(side, number));
            let asked = match prefer {
                true => post(target, &body).with("prefer", "respond-async"),
                false => post(format!("{target}?due_at={LATER}"), &body),
            };
            asked.with("idempotency-key", key)
        };
        let mut one = of(fill, waiting, Same, ask);
        one.asked_with.extend([own(&waiting.theirs, number), own(&waiting.nobodys, number)]);
        tries.push(one);
    }
    tries.push(of(command, waiting, Same, cancel));
    for (route, last) in
        [("/v1/admin/dead-letters/{id}/replay", "replay"), ("/v1/admin/dead-letters/{id}/discard", "discard")]
    {
        let order = |id: &str| post(format!("/v1/admin/dead-letters/{id}/{last}"), "{}");
        tries.push(of(route, letter, Same, order));
        tries.push(of(route, letter, Same, |id| order(&id.to_uppercase())));
        tries.push(of(route, letter, Same, |id| order(&id.replace('-', ""))));
    }
    for (route, last) in
        [("/v1/admin/dead-letters/replay", "replay"), ("/v1/admin/dead-letters/discard", "discard")]
    {
        let order = |body: &str| post(format!("/v1/admin/dead-letters/{last}"), body);
        tries.push(of(route, letter, Same, |id| order(&format!(r#"{{"ids":["{id}"]}}"#))));
        tries.push(of(route, letter_key, Same, |key| order(&format!(r#"{{"key":"{key}"}}"#))));
    }
    for (route, of_what) in
        [("/v1/admin/processes/{name}/retry", "processes"), ("/v1/admin/pumps/{name}/retry", "pumps")]
    {
        tries.push(of(route, vault, Same, |id| post(format!("/v1/admin/{of_what}/{id}/retry"), "")));
    }
    tries.push(of("/v1/admin/pumps/{name}/rewind", vault, Same, |id| {
        post(format!("/v1/admin/pumps/{id}/rewind"), r#"{"to":"start"}"#)
    }));
    for (number, pair) in [(0, key), (2, command_id)] {
        for (number, route) in [(number, fill), (number + 1, operation)] {
            let ask = |side: &str| {
                // An operation under a key that a command had already would be the attacker's own doing.
                let key = if route == operation { format!("{side}.") } else { side.to_owned() };
                let asked = if route == operation {
                    let to = own(side, number);
                    post("/v1/operations/copy".to_owned(), &format!(r#"{{"from":"{SHARED}","to":"{to}"}}"#))
                } else {
                    post(format!("/v1/vault/{}/fill", own(side, number)), &body)
                };
                asked.with("idempotency-key", key)
            };
            let mut one = of(route, pair, Same, ask);
            one.asked_with.extend([own(&pair.theirs, number), own(&pair.nobodys, number)]);
            tries.push(one);
        }
    }
    tries
}

/// Every other way to say whose data is meant, or who asks.
fn games(known: &Known) -> Vec<Try> {
    use Wanted::{Same, Unidentified};
    let Known { token, victims_token, revoked_token, expired_token, victim, vault, .. } = known;
    let tenants = Pair { theirs: victim.to_string(), nobodys: "http-nobody".to_owned() };
    let tokens = Pair { theirs: victims_token.clone(), nobodys: nobodys_token(victims_token) };
    let target = format!("/v1/streams/vault-{}", vault.theirs);
    let stream = "/v1/streams/{stream}";
    let mut tries = Vec::new();
    for header in HEADERS {
        for (route, target) in [(stream, target.as_str()), ("/v1/events", "/v1/events"), ("/", "/")] {
            let get = || Asked::get(target).by(token);
            tries.push(of(route, &tenants, Same, |tenant| get().with(header, tenant)));
            tries.push(of(route, &tokens, Same, |other| get().with(header, other)));
        }
    }
    for parameter in ["tenant", "x-tenant", "actor", "access_token", "token"] {
        for (route, target) in [
            (stream, target.as_str()),
            ("/v1/views/{view}", "/v1/views/secrets"),
            ("/v1/events", "/v1/events"),
        ] {
            let with = |value: &str| format!("{target}?{parameter}={value}");
            tries.push(of(route, &tenants, Same, |tenant| Asked::get(with(tenant)).by(token)));
            tries.push(of(route, &tokens, Same, |other| Asked::get(with(other)).by(token)));
            tries.push(of(route, &tokens, Unidentified, |other| Asked::get(with(other))));
        }
    }
    for path in ["/v1/tenants/{}/events", "/{}/v1/events", "/v1/{}/events", "/v1/events/{}", "//v1/events?{}"]
    {
        let mut one = of("", &tenants, Same, |tenant| Asked::get(path.replace("{}", tenant)).by(token));
        one.route = None;
        tries.push(one);
    }
    let fill = "/v1/{category}/{id}/{command}";
    let body = |tenant: &str| format!(r#"{{"secret":"x","tenant":"{tenant}"}}"#);
    tries.push(of(fill, &tenants, Same, |tenant| {
        Asked::post("/v1/vault/shared/fill", body(tenant)).by(token)
    }));
    tries.push(of(fill, &tenants, Same, |tenant| {
        Asked::post("/v1/vault/shared/fill", r#"{"secret":"x"}"#).by(token).with("x-tenant", tenant)
    }));
    let asked_by = |credentials: &[String]| {
        credentials
            .iter()
            .fold(Asked::get(target.as_str()), |asked, value| asked.with("authorization", value.as_str()))
    };
    let bearer = |token: &str| format!("Bearer {token}");
    type Spelling<'a> = &'a dyn Fn(&str) -> Vec<String>;
    let spellings: [Spelling<'_>; 10] = [
        &|other| vec![bearer(token), bearer(other)],
        &|other| vec![bearer(other), bearer(token)],
        &|other| vec![format!("{}, {}", bearer(token), bearer(other))],
        &|other| vec![format!("{} {other}", bearer(token))],
        &|other| vec![bearer(&other.to_uppercase())],
        &|other| vec![bearer(&format!("{other}="))],
        &|other| vec![bearer(&other[..other.len() - 1])],
        &|other| vec![format!("Basic {other}")],
        &|other| vec![format!("Token {other}")],
        &|other| vec![other.to_owned()],
    ];
    for spelling in spellings {
        tries.push(of(stream, &tokens, Unidentified, |other| asked_by(&spelling(other))));
    }
    for gone in [revoked_token, expired_token] {
        // One that has ended is told apart from one that never was: its holder needs a new one.
        let as_never = Pair { theirs: gone.clone(), nobodys: nobodys_token(revoked_token) };
        for Route { method, path, of_a_tenant } in routes() {
            if !of_a_tenant || method != "GET" {
                continue;
            }
            let target = path
                .replace("{stream}", "vault-shared")
                .replace("{view}", "secrets")
                .replace("{*key}", SHARED);
            let target = target.replace("{id}", &known.key.theirs);
            let mut one = of(path, &as_never, Unidentified, |gone| Asked::get(target.as_str()).by(gone));
            if gone == expired_token {
                one.nobodys = one.theirs.clone();
            }
            tries.push(one);
        }
    }
    // Both sides ask with it.
    let names = [vault.theirs.clone(), vault.nobodys.clone()];
    tries.iter_mut().for_each(|one| one.asked_with.extend(names.iter().cloned()));
    tries
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_of_the_moment_is_left_out_of_an_answer() {
        let page = |lag: &str| format!("<td>mail</td><td>12 s</td><td>{lag} s</td><p>7 s</p>");
        assert_eq!(plain(&page("18"), &[]), plain(&page("9"), &[]));
        assert_ne!(plain(&page("18"), &[]), plain(&page("18").replace("<p>7", "<p>8"), &[]));
        let queue = |ready: u8, lag: u8| format!(r#"{{"queues":[{{"ready":{ready},"lag_seconds":{lag}}}]}}"#);
        assert_eq!(plain(&queue(2, 18), &[]), plain(&queue(2, 19), &[]));
        assert_ne!(plain(&queue(2, 18), &[]), plain(&queue(3, 18), &[]));
    }
}
