//! Links that open a page without credentials: who has one, who has none, and what a page may say.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use axum::body::Body;
use axum::http::Request;
use tokio::sync::Semaphore;
use underlay_core::Error;
use underlay_runtime::Engine;
use underlay_server::{LinkAnswer, LinkKey, LinkKeys, LinkPage, LinkTarget, OpenedLink};
use uuid::Uuid;

use crate::place::{Answer, ByHeader, Place, get_with, tenant};

/// A page that counts, and waits where it is told to.
#[derive(Clone)]
struct Counting {
    shown: Arc<AtomicUsize>,
    done: Arc<AtomicUsize>,
    /// Each that is opened takes one.
    gate: Arc<Semaphore>,
}

impl Default for Counting {
    fn default() -> Self {
        let gate = Arc::new(Semaphore::new(Semaphore::MAX_PERMITS));
        Self { shown: Arc::default(), done: Arc::default(), gate }
    }
}

#[async_trait]
impl LinkPage for Counting {
    fn name(&self) -> &'static str {
        "count"
    }

    async fn show(&self, _: &Engine, link: &OpenedLink) -> Result<LinkAnswer, Error> {
        self.shown.fetch_add(1, Ordering::SeqCst);
        self.gate.acquire().await.unwrap().forget();
        let target = &link.target;
        let text = format!("{} of {}: <b>&</b>", target.subject, target.tenant);
        Ok(LinkAnswer::new("<i>Title</i>", text).with_button("<u>Go</u>"))
    }

    async fn confirm(&self, _: &Engine, link: &OpenedLink) -> Result<LinkAnswer, Error> {
        match link.target.subject.as_str() {
            "over" => return Ok(LinkAnswer::new("Over", "It is over.").over()),
            "soon" => return Ok(LinkAnswer::new("Soon", "Not yet.").not_yet()),
            "broken" => return Err(Error::backend("reading /secret/place", "hunter2")),
            _ => {}
        }
        self.done.fetch_add(1, Ordering::SeqCst);
        Ok(LinkAnswer::new("Done", "It is done."))
    }
}

struct Keys(Result<LinkKey, String>);

impl LinkKeys for Keys {
    fn key(&self) -> Result<LinkKey, Error> {
        self.0.clone().map_err(Error::Invalid)
    }
}

fn site(page: &Counting, key: Result<LinkKey, String>) -> Place {
    let page: Arc<dyn LinkPage> = Arc::new(page.clone());
    Place::with(|config| config.with_credentials(ByHeader).with_links(Arc::new(Keys(key)), vec![page]))
}

fn target(subject: &str) -> LinkTarget {
    LinkTarget {
        page: "count".to_owned(),
        tenant: tenant("acme"),
        subject: subject.to_owned(),
        id: Uuid::from_u128(7),
    }
}

async fn press(place: &Place, path: &str, headers: &[(&str, &str)]) -> Answer {
    let with =
        |request: axum::http::request::Builder, (name, value): &(&str, &str)| request.header(*name, *value);
    let request = headers.iter().fold(Request::post(path), with);
    place.send(request.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn whoever_has_a_link_opens_its_page() {
    let (page, key) = (Counting::default(), LinkKey::draw().unwrap());
    let place = site(&page, Ok(key.clone()));
    let path = key.path(&target("an n&<ä>"));
    let shown = place.get(&path).await;
    assert_eq!(shown.status, 200);
    assert_eq!(shown.header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(shown.header("cache-control"), Some("no-store"));
    assert_eq!(shown.header("referrer-policy"), Some("same-origin"));
    let policy = shown.header("content-security-policy").unwrap();
    assert!(policy.contains("default-src 'none'") && policy.contains("form-action 'self'"), "{policy}");
    for told in ["&lt;i&gt;Title", "an n&amp;&lt;ä&gt; of acme: &lt;b&gt;&amp;&lt;/b&gt;", "&lt;u&gt;Go"] {
        assert!(shown.text().contains(told), "{told} is not in {}", shown.text());
    }
    assert!(shown.text().contains("<form method=\"post\">"), "it leads to itself: {}", shown.text());
    assert_eq!(page.done.load(Ordering::SeqCst), 0, "opening does nothing");
    let pressed = press(&place, &path, &[("sec-fetch-site", "same-origin")]).await;
    assert_eq!((pressed.status.as_u16(), page.done.load(Ordering::SeqCst)), (200, 1));
    // What somebody adds to count visits, and credentials of another tenant, change nothing.
    assert_eq!(place.get(&format!("{path}&utm_source=mail")).await.status, 200);
    assert_eq!(place.send(get_with(&path, &[("authorization", "Bearer globex")])).await.text(), shown.text());
    // A page of another site does not press the button.
    let foreign = press(&place, &path, &[("origin", "https://evil.example"), ("host", "localhost")]).await;
    foreign.problem(403, "problem:cross-site");
    let bound = press(&place, &path, &[("host", "evil.example")]).await;
    bound.problem(421, "problem:host-not-allowed");
    assert_eq!(page.done.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn who_has_none_learns_nothing_and_reaches_nothing() {
    let (page, key) = (Counting::default(), LinkKey::draw().unwrap());
    let place = site(&page, Ok(key.clone()));
    let (good, other) = (key.path(&target("ann")), key.path(&target("bob")));
    let secret = |path: &str| path.split('?').next().unwrap().rsplit('/').next().unwrap().to_owned();
    let stranger = LinkKey::draw().unwrap().path(&target("ann"));
    let long = "a".repeat(20_000);
    let tries = [
        stranger,
        good.replace(&secret(&good), &secret(&other)),
        good.replace("subject=ann", "subject=bob"),
        good.replace("tenant=acme", "tenant=globex"),
        good.replace("tenant=acme", "tenant=..%2F"),
        good.replace("tenant=acme&", ""),
        good.replace("tenant=acme", "tenant=globex&tenant=acme"),
        good.replace("/links/count/", "/links/none/"),
        good.replace("subject=ann", "subject=%00"),
        good.replace("subject=ann", "subject=%ff"),
        good.replace("subject=ann", &format!("subject={long}")),
        good.replace(&secret(&good), &long),
        good.replace(&secret(&good), "%2e%2e%2f%2e%2e"),
        good.replace("id=", "id=x"),
        good.split('?').next().unwrap().to_owned(),
    ];
    let expected = place.get(&tries[0]).await;
    assert!(expected.text().contains("leads nowhere"), "{}", expected.text());
    for path in &tries {
        for answer in [place.get(path).await, press(&place, path, &[]).await] {
            assert_eq!((answer.status.as_u16(), answer.text()), (404, expected.text()), "{path}");
            let nameless = |answer: &crate::place::Answer| {
                let mut headers = answer.headers.clone();
                headers.remove("x-request-id");
                headers
            };
            assert_eq!(nameless(&answer), nameless(&expected));
        }
    }
    assert_eq!((page.shown.load(Ordering::SeqCst), page.done.load(Ordering::SeqCst)), (0, 0));
    // A service without links says the same, and no page is at another method.
    assert_eq!(Place::new().get(&good).await.text(), expected.text());
    let deleted = place.send(Request::delete(&good).body(Body::empty()).unwrap()).await;
    deleted.problem(405, "problem:method-not-allowed");
}

#[tokio::test]
async fn a_page_says_how_a_link_stands() {
    let (page, key) = (Counting::default(), LinkKey::draw().unwrap());
    let place = site(&page, Ok(key.clone()));
    let pressed = async |subject: &str| press(&place, &key.path(&target(subject)), &[]).await;
    let over = pressed("over").await;
    assert_eq!((over.status.as_u16(), over.header("retry-after")), (410, None));
    let soon = pressed("soon").await;
    assert_eq!((soon.status.as_u16(), soon.header("retry-after")), (503, Some("1")));
    let broken = pressed("broken").await;
    assert_eq!(broken.status, 503);
    assert!(!broken.text().contains("secret") && !broken.text().contains("hunter2"), "{}", broken.text());

    let keyless = site(&page, Err("there is no /secret/key".to_owned()));
    let told = keyless.get(&key.path(&target("ann"))).await;
    assert_eq!(told.status, 503);
    assert!(told.text().contains("still good") && !told.text().contains("/secret"), "{}", told.text());
}

#[tokio::test]
async fn only_so_many_links_are_opened_at_one_time() {
    const AT_ONCE: usize = 32;
    let (page, key) = (Counting::default(), LinkKey::draw().unwrap());
    let page = Counting { gate: Arc::new(Semaphore::new(0)), ..page };
    let place = Arc::new(site(&page, Ok(key.clone())));
    let path = key.path(&target("ann"));
    let opened: Vec<_> = (0..AT_ONCE)
        .map(|_| {
            let (place, path) = (place.clone(), path.clone());
            tokio::spawn(async move { place.get(&path).await.status })
        })
        .collect();
    while page.shown.load(Ordering::SeqCst) < AT_ONCE {
        tokio::task::yield_now().await;
    }
    let turned_away = place.get(&path).await;
    assert_eq!((turned_away.status.as_u16(), turned_away.header("retry-after")), (503, Some("1")));
    // Who has no good link takes no place, and the rest of the service goes on.
    assert_eq!(place.get(&path.replace("subject=ann", "subject=bob")).await.status, 404);
    place.get("/livez").await.ok();
    page.gate.add_permits(AT_ONCE + 1);
    for status in opened {
        assert_eq!(status.await.unwrap(), 200);
    }
    assert_eq!(place.get(&path).await.status, 200);
}
