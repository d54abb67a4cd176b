//! Payments through a gateway, by the whole program: each ends rightly and is charged once, also where the
//! program is killed in the middle.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::gateway::{
    CUT, DECLINED, FAILS, HANGS, LATE, LOCKED_OUT, NONSENSE, PAID, REFUSED, TWICE, TestGateway,
};
use crate::program::{Ledger, Serving};

/// How long everything may take to end, with a lease that has to run out.
const END_WITHIN: Duration = Duration::from_secs(60);
/// How long anything may take to be seen, with a server that begins anew.
#[cfg(any(feature = "temporal", feature = "mongodb", feature = "redis"))]
const SEEN_WITHIN: Duration = Duration::from_secs(90);

fn serve(ledger: &Ledger, gateway: &TestGateway, answer_within: &str) -> (Serving, String) {
    ledger.serve_with(&["--gateway-address", &gateway.address, "--gateway-answer-within", answer_within])
}

fn post(address: &str, path: &str, body: &Value) -> Value {
    let sent = ureq::post(format!("{address}/v1/{path}"))
        .header("content-type", "application/json")
        .send(body.to_string().as_bytes());
    serde_json::from_str(&sent.unwrap().body_mut().read_to_string().unwrap()).unwrap()
}

pub(crate) fn open_purse(address: &str) {
    post(address, "account/purse/open", &json!({}));
    post(address, "account/purse/deposit", &json!({"amount": "1000", "commodity": "EUR"}));
}

fn pay(address: &str, id: &str, amount: &str, payee: &str) {
    let asked = json!({"account": "purse", "amount": amount, "commodity": "EUR", "payee": payee});
    post(address, &format!("payment/{id}/pay"), &asked);
}

/// The events of the tenant that are of payments and of the purse.
pub(crate) fn events(address: &str) -> Vec<Value> {
    let mut all = Vec::new();
    loop {
        let last = all.last().map(|event: &Value| event["position"].as_str().unwrap().to_owned());
        let after = last.unwrap_or_else(|| "0".to_owned());
        let page = ureq::get(format!("{address}/v1/events?limit=500&after={after}")).call().unwrap();
        let page: Value = serde_json::from_str(&page.into_body().read_to_string().unwrap()).unwrap();
        let items = page["events"].as_array().unwrap_or_else(|| panic!("{page}"));
        if items.is_empty() {
            return all;
        }
        all.extend(items.iter().cloned());
    }
}

/// Waits until there is another event, or a second has gone by: what waits for more looks for itself.
pub(crate) fn wait_for_more(address: &str) {
    let next: u64 = 1 + events(address)
        .last()
        .map_or(0, |event| event["position"].as_str().unwrap().parse::<u64>().unwrap());
    let row = format!("{address}/v1/views/balances/purse@EUR?min_position={next}&wait=1");
    let _late_or_not = ureq::get(row).call();
}

/// Looks until it is so: with each event of the ledger, and once a second.
#[cfg(any(feature = "temporal", feature = "mongodb", feature = "redis"))]
pub(crate) fn wait_until<T>(address: &str, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(begun.elapsed() < SEEN_WITHIN, "{what}");
        wait_for_more(address);
    }
}

/// What an address answers, whatever its status.
#[cfg(any(feature = "temporal", feature = "mongodb", feature = "redis"))]
pub(crate) fn get(address: &str, path: &str) -> Value {
    let answer = ureq::get(format!("{address}{path}")).config().http_status_as_error(false).build().call();
    serde_json::from_str(&answer.unwrap().body_mut().read_to_string().unwrap()).unwrap()
}

/// How each payment ended, and what became of the money that was set aside for it: each as often as it happened.
fn ends(address: &str) -> BTreeMap<String, Vec<String>> {
    let mut ends = BTreeMap::<String, Vec<String>>::new();
    for event in events(address) {
        let kind = event["type"].as_str().unwrap();
        let payment = match kind {
            "payment-charged" | "payment-declined" => {
                event["stream"].as_str().unwrap().strip_prefix("payment-").unwrap().to_owned()
            }
            "account-settled" | "account-released" => {
                event["payload"]["payment"].as_str().unwrap().to_owned()
            }
            _ => continue,
        };
        ends.entry(payment).or_default().push(kind.split_once('-').unwrap().1.to_owned());
    }
    ends
}

/// Waits until payments have come to an end.
fn wait_for(address: &str, wanted: &BTreeMap<String, Vec<String>>) {
    let begun = Instant::now();
    loop {
        let found = ends(address);
        if found == *wanted {
            return;
        }
        assert!(begun.elapsed() < END_WITHIN, "{found:?} in place of {wanted:?}");
        wait_for_more(address);
    }
}

fn wanted<'a>(of: impl IntoIterator<Item = (&'a str, &'a [&'a str])>) -> BTreeMap<String, Vec<String>> {
    let texts = |ends: &[&str]| ends.iter().map(|&end| end.to_owned()).collect();
    of.into_iter().map(|(payment, ends)| (payment.to_owned(), texts(ends))).collect()
}

const CHARGED: &[&str] = &["charged", "settled"];
const RELEASED: &[&str] = &["declined", "released"];

fn balance(ledger: &Ledger) -> String {
    let balances = ledger.balances();
    balances[&("purse".to_owned(), "EUR".to_owned())].normalize().to_string()
}

fn check_every_payment_ends_rightly(ledger: &Ledger) {
    let gateway = TestGateway::new();
    let (_serving, address) = serve(ledger, &gateway, "2s");
    open_purse(&address);
    let payees = [
        ("paid", PAID, CHARGED),
        ("declined", DECLINED, RELEASED),
        ("fails", FAILS, CHARGED),
        ("hangs", HANGS, RELEASED),
        ("late", LATE, CHARGED),
        ("twice", TWICE, CHARGED),
        ("cut", CUT, CHARGED),
        ("nonsense", NONSENSE, CHARGED),
    ];
    for (id, payee, _) in payees {
        pay(&address, id, "10", payee);
    }
    // There is not as much in the purse: the gateway is not asked.
    pay(&address, "dear", "5000", PAID);
    let mut ends = wanted(payees.map(|(id, _, end)| (id, end)));
    ends.extend(wanted([("dear", &["declined"][..])]));
    wait_for(&address, &ends);

    let charged = payees.iter().filter(|(_, _, end)| *end == CHARGED);
    let once: BTreeMap<_, _> = charged.map(|(id, ..)| (format!("main/{id}"), 1)).collect();
    assert_eq!(gateway.charged(), once);
    assert_eq!(gateway.asked("main/dear"), 0);
    assert!(gateway.asked("main/fails") >= 1 && gateway.asked("main/cut") >= 1);
    assert_eq!(balance(ledger), "940");
}

fn check_a_killed_program_finishes(ledger: &Ledger) {
    let gateway = TestGateway::new();
    let (mut serving, mut address) = serve(ledger, &gateway, "30s");
    open_purse(&address);
    let ids: Vec<String> = (0..12).map(|n| format!("payment-{n}")).collect();
    for id in &ids {
        pay(&address, id, "10", PAID);
    }
    // Killed after the gateway has charged, and before the program has its answer or has noted it.
    for after in [1, 4] {
        for _ in 0..after {
            gateway.requests.recv_timeout(END_WITHIN).unwrap();
        }
        drop(serving);
        (serving, address) = serve(ledger, &gateway, "30s");
    }
    wait_for(&address, &wanted(ids.iter().map(|id| (id.as_str(), CHARGED))));
    assert_eq!(gateway.charged(), ids.iter().map(|id| (format!("main/{id}"), 1)).collect());
    assert_eq!(balance(ledger), "880");
    drop(serving);
}

#[test]
fn every_payment_ends_rightly_and_is_charged_once() {
    check_every_payment_ends_rightly(&Ledger::new());
}

#[test]
fn a_program_that_is_killed_finishes_its_payments() {
    check_a_killed_program_finishes(&Ledger::new());
}

#[cfg(feature = "postgres")]
#[test]
fn every_payment_ends_rightly_on_postgres() {
    let Some(place) = crate::postgres::Place::new() else { return };
    check_every_payment_ends_rightly(&Ledger::at(place.address()));
}

#[cfg(feature = "postgres")]
#[test]
fn a_program_that_is_killed_finishes_its_payments_on_postgres() {
    let Some(place) = crate::postgres::Place::new() else { return };
    check_a_killed_program_finishes(&Ledger::at(place.address()));
}

/// The gateway is taken out of the options while it charges. What it may have charged is neither declined nor released.
#[test]
fn a_charged_payment_outlives_the_option_that_names_its_gateway() {
    let ledger = Ledger::new();
    let gateway = TestGateway::new();
    let (serving, address) = serve(&ledger, &gateway, "5s");
    open_purse(&address);
    pay(&address, "rent", "10", LATE);
    gateway.requests.recv_timeout(END_WITHIN).unwrap();
    assert_eq!(gateway.charged(), [("main/rent".to_owned(), 1)].into());
    drop(serving);

    let (serving, address) = ledger.serve();
    let begun = Instant::now();
    loop {
        let told = ledger.answer(&["outbox", "list", "--json"]);
        if told.contains("gateway.address") {
            break;
        }
        assert!(begun.elapsed() < END_WITHIN, "{told}");
        wait_for_more(&address);
    }
    assert_eq!(ends(&address), BTreeMap::new());
    drop(serving);

    let (_serving, address) = serve(&ledger, &gateway, "5s");
    wait_for(&address, &wanted([("rent", CHARGED)]));
    assert_eq!(gateway.charged(), [("main/rent".to_owned(), 1)].into());
    assert_eq!(balance(&ledger), "990");
}

/// A person stops a payment that the gateway is charging, and one that it is not.
#[test]
fn a_payment_that_a_person_stops_ends_as_the_gateway_says() {
    let ledger = Ledger::new();
    let gateway = TestGateway::new();
    let (_serving, address) = serve(&ledger, &gateway, "1h");
    open_purse(&address);
    for (id, payee) in [("late", LATE), ("hangs", HANGS)] {
        pay(&address, id, "10", payee);
        gateway.requests.recv_timeout(END_WITHIN).unwrap();
        post(&address, &format!("payment/{id}/note-declined"), &json!({ "reason": "a mistake" }));
    }
    wait_for(&address, &wanted([("late", CHARGED), ("hangs", RELEASED)]));
    assert_eq!(gateway.charged(), [("main/late".to_owned(), 1)].into());
    assert_eq!(balance(&ledger), "990");
}

/// Waits until the program's answer is as wanted.
fn until(ledger: &Ledger, address: &str, arguments: &[&str], is_wanted: impl Fn(&str) -> bool) -> String {
    let begun = Instant::now();
    loop {
        let told = ledger.answer(arguments);
        if is_wanted(&told) {
            return told;
        }
        assert!(begun.elapsed() < END_WITHIN, "{arguments:?}: {told}");
        wait_for_more(address);
    }
}

/// What a gateway refuses for good ends at once, long before its time is up. A payment whose time is up leaves no charge
/// behind. Each says how it ended.
#[test]
fn a_payment_that_has_ended_says_how_and_leaves_nothing_behind() {
    let ledger = Ledger::new();
    let gateway = TestGateway::new();
    let (serving, address) = serve(&ledger, &gateway, "1h");
    open_purse(&address);
    pay(&address, "refused", "10", REFUSED);
    pay(&address, "paid", "10", PAID);
    let mut ends = wanted([("refused", RELEASED), ("paid", CHARGED)]);
    wait_for(&address, &ends);
    let reasons = events(&address).into_iter().filter(|event| event["type"] == "payment-declined");
    let reasons: Vec<_> =
        reasons.map(|event| event["payload"]["reason"].as_str().unwrap().to_owned()).collect();
    assert!(reasons.len() == 1 && reasons[0].contains("400"), "{reasons:?}");
    drop(serving);

    let (_serving, address) = serve(&ledger, &gateway, "1s");
    pay(&address, "hangs", "10", HANGS);
    ends.extend(wanted([("hangs", RELEASED)]));
    wait_for(&address, &ends);
    let finished = ["process", "list", "payments", "--finished"];
    let listed = until(&ledger, &address, &finished, |told| told.matches("finished: ").count() == 3);
    for (id, how) in [("refused", "declined"), ("paid", "charged"), ("hangs", "cancelled")] {
        let line = listed.lines().find(|line| line.contains(&format!(" {id} "))).unwrap();
        assert!(line.contains(&format!("finished: {how}")), "{listed}");
        let shown = ledger.answer(&["process", "show", "payments", id]);
        assert!(shown.contains(&format!("{id} is finished: {how}")), "{shown}");
    }
    // The attempt that hung comes back, and asks for nothing more.
    until(&ledger, &address, &["outbox", "list", "--receiver", "charge", "--json"], str::is_empty);
    assert_eq!(gateway.asked("main/hangs"), 1);
    assert_eq!(ledger.answer(&["dead-letters", "list", "--json"]), "");
    assert_eq!(balance(&ledger), "990");
}

/// A gateway that lets nobody in says nothing of a payment. It stays open, and says which dead letter it waits for.
#[test]
fn a_payment_that_the_gateway_says_nothing_of_names_its_dead_letter() {
    let ledger = Ledger::new();
    let gateway = TestGateway::new();
    let (_serving, address) = serve(&ledger, &gateway, "1h");
    open_purse(&address);
    pay(&address, "rent", "10", LOCKED_OUT);
    let show = ["process", "show", "payments", "rent"];
    let shown = until(&ledger, &address, &show, |told| told.contains("dead letter"));
    assert!(shown.contains("is open") && shown.contains("sent reconcile-payment to reconcile"), "{shown}");
    assert!(shown.contains("401"), "{shown}");
    let letters = ledger.answer(&["dead-letters", "list", "--json"]);
    let letters: Vec<Value> = letters.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(letters.len(), 1, "the charge left none: {letters:?}");
    assert!(shown.contains(letters[0]["work_id"].as_str().unwrap()), "{shown}");
    // Another instance has sent nothing that is dead.
    pay(&address, "heating", "10", DECLINED);
    wait_for(&address, &wanted([("heating", RELEASED)]));
    assert!(!ledger.answer(&["process", "show", "payments", "heating"]).contains("dead letter"));
}

/// The gateway is gone for good. An operator ends its payments, once over HTTP and once by the program.
#[test]
fn an_operator_ends_payments_that_no_gateway_will_ever_answer() {
    let ledger = Ledger::new();
    let gateway = TestGateway::new();
    let (serving, address) = serve(&ledger, &gateway, "1h");
    open_purse(&address);
    for id in ["rent", "heating"] {
        pay(&address, id, "10", HANGS);
        gateway.requests.recv_timeout(END_WITHIN).unwrap();
    }
    drop(serving);
    drop(gateway);

    let (_serving, address) = ledger.serve();
    for id in ["rent", "heating"] {
        post(&address, &format!("payment/{id}/note-declined"), &json!({ "reason": "the gateway is gone" }));
    }
    let gone = json!({ "reason": "the gateway is gone" });
    post(&address, "payment/rent/end-unanswered", &gone);
    let by_hand = ["command", "submit", "payment", "heating", "end-unanswered", &gone.to_string()];
    ledger.answer(&[&by_hand[..], &["--role", "operator"]].concat());
    wait_for(&address, &wanted([("rent", RELEASED), ("heating", RELEASED)]));
    post(&address, "payment/rent/end-unanswered", &gone);
    assert_eq!(ends(&address), wanted([("rent", RELEASED), ("heating", RELEASED)]));
    assert_eq!(balance(&ledger), "1000");
}

#[test]
fn without_a_gateway_payments_are_declined_with_a_sentence() {
    let ledger = Ledger::new();
    let (_serving, address) = ledger.serve();
    open_purse(&address);
    pay(&address, "rent", "10", "landlord");
    wait_for(&address, &wanted([("rent", RELEASED)]));
    assert!(events(&address).iter().any(|event| {
        let reason = event["payload"]["reason"].as_str().unwrap_or_default();
        reason.contains("gateway.address")
    }));
    assert_eq!(balance(&ledger), "1000");

    let told = ledger.run(&["--gateway-address", "https://user@bank/pay", "serve"]);
    assert_eq!(told.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&told.stderr).contains("is not like http://"), "{told:?}");
}
