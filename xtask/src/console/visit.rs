//! One page after the other, as a browser shows it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::browser::Browser;
use super::keyboard;
use crate::Result;

/// Where a visit begins. The rest is found by links.
const FIRST: [&str; 2] = ["/", "/docs"];
/// Pages that look otherwise where nothing has happened.
const EMPTY: [&str; 10] = [
    "/",
    "/console/events",
    "/console/streams",
    "/console/audit?correlation_id=00000000-0000-4000-8000-000000000001",
    "/console/views/balances",
    "/console/entities/rate",
    "/console/commands",
    "/console/outbox",
    "/console/dead-letters",
    "/console/schedules",
];
/// Pages that say that something is wrong, with their status.
const PROBLEMS: [(&str, u64); 5] = [
    ("/console/views/nothing", 404),
    ("/console/entities/rate/ids/nothing", 404),
    ("/console/streams/nothing-here", 404),
    ("/console/events?until=tomorrow", 400),
    ("/console/nowhere", 404),
];
/// Pages of one kind that are visited; the others differ in what they show alone.
const OF_A_KIND_MAX: usize = 2;
/// Pixels of a telephone and of a wide screen.
const WIDTHS: [u32; 2] = [390, 1440];
const HEIGHT: u32 = 900;
const SCHEMES: [&str; 2] = ["light", "dark"];

/// What a page leads to on this service.
const LINKS: &str = "[...document.querySelectorAll('a[href]')].map(a => a.href)
    .filter(href => href.startsWith(location.origin)).map(href => href.slice(location.origin.length))";
/// How many pixels a page is wider than the screen, and what begins that.
const WIDER: &str = "(() => {
    const room = document.documentElement.clientWidth;
    const over = document.documentElement.scrollWidth - room;
    const wide = [...document.querySelectorAll('body *')].find(one => one.getBoundingClientRect().right > room + 1
        && !one.closest('.scroll, pre, [role=region]'));
    return over > 0 ? `${over} pixels, by ${wide?.tagName} ${wide?.className}` : null;
})()";
/// What axe-core finds.
const JUDGE: &str =
    "axe.run(document, { resultTypes: ['violations'] }).then(found => found.violations.map(one =>
    `${one.id} (${one.impact}): ${one.nodes.length} times, first ${one.nodes[0].target.join(' ')}: ${
        one.nodes[0].failureSummary.replace(/\\s+/g, ' ')}`))";

/// A visit of a service.
pub(super) struct Visit<'a> {
    browser: &'a mut Browser,
    address: &'a str,
    axe: &'a str,
    pictures: &'a Path,
    /// The status that a page is answered with.
    status: u64,
    /// How many of a kind were visited.
    kinds: BTreeMap<String, usize>,
    pub(super) wrong: Vec<String>,
}

impl<'a> Visit<'a> {
    pub(super) fn new(browser: &'a mut Browser, address: &'a str, axe: &'a str, pictures: &'a Path) -> Self {
        Self { browser, address, axe, pictures, status: 200, kinds: BTreeMap::new(), wrong: Vec::new() }
    }

    /// How many pages were visited.
    pub(super) fn visited(&self) -> usize {
        self.kinds.values().sum()
    }

    /// Visits all pages there are.
    pub(super) fn all(&mut self) -> Result<()> {
        let mut known: BTreeSet<String> = FIRST.into_iter().map(str::to_owned).collect();
        let mut to_visit: VecDeque<String> = known.iter().cloned().collect();
        while let Some(page) = to_visit.pop_front() {
            let count = self.kinds.entry(kind(&page)).or_default();
            if *count >= OF_A_KIND_MAX {
                continue;
            }
            *count += 1;
            for link in self.one(&page)? {
                if is_page(&link) && known.insert(link.clone()) {
                    to_visit.push_back(link);
                }
            }
        }
        Ok(())
    }

    /// Visits one page in all its forms, and says what it leads to.
    pub(super) fn one(&mut self, page: &str) -> Result<Vec<String>> {
        let mut links = Vec::new();
        for (width, scheme) in WIDTHS.into_iter().flat_map(|width| SCHEMES.map(|scheme| (width, scheme))) {
            self.show(page, width, scheme)?;
            if links.is_empty() {
                links = serde_json::from_value(self.browser.evaluate(LINKS)?)?;
            }
        }
        let missed = keyboard::out_of_reach(self.browser)?;
        self.wrong
            .extend(missed.iter().map(|control| format!("{page}: the tab key never comes to {control}")));
        Ok(links)
    }

    /// Visits pages that say that there is nothing yet.
    pub(super) fn empty(&mut self) -> Result<()> {
        EMPTY.iter().try_for_each(|page| self.one(page).map(drop))
    }

    /// Visits pages that say that something is wrong.
    pub(super) fn problems(&mut self) -> Result<()> {
        for (page, status) in PROBLEMS {
            self.status = status;
            self.one(page)?;
        }
        self.status = 200;
        Ok(())
    }

    fn show(&mut self, page: &str, width: u32, scheme: &str) -> Result<()> {
        let screen = json!({
            "width": width, "height": HEIGHT, "deviceScaleFactor": 1, "mobile": width == WIDTHS[0],
        });
        self.browser.call("Emulation.setDeviceMetricsOverride", screen)?;
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.browser.call("Emulation.setEmulatedMedia", features)?;
        let mut happened = self.browser.go_to(&format!("{}{page}", self.address))?;
        happened.extend(self.browser.take_happened());
        let mut wrong: Vec<String> = happened.iter().filter_map(|happened| self.trouble(happened)).collect();
        wrong.extend(self.browser.evaluate(WIDER)?.as_str().map(|by| format!("wider than the screen: {by}")));
        self.keep_picture(&format!("{}-{width}-{scheme}.png", name(page)))?;
        self.browser.evaluate(self.axe)?;
        let found: Vec<String> = serde_json::from_value(self.browser.evaluate(JUDGE)?)?;
        wrong.extend(found);
        self.wrong.extend(wrong.iter().map(|wrong| format!("{page}, {width} {scheme}: {wrong}")));
        Ok(())
    }

    fn keep_picture(&mut self, name: &str) -> Result<()> {
        let order = json!({ "format": "png", "captureBeyondViewport": true });
        let picture = self.browser.call("Page.captureScreenshot", order)?;
        let text = self.pictures.join(format!("{name}.base64"));
        fs::write(&text, picture["data"].as_str().unwrap_or_default())?;
        let decoded = Command::new("base64").arg("--decode").arg(&text).output()?;
        fs::write(self.pictures.join(name), decoded.stdout)?;
        Ok(fs::remove_file(text)?)
    }

    /// What went wrong, where that is what happened.
    fn trouble(&self, happened: &Value) -> Option<String> {
        let parameters = &happened["params"];
        match happened["method"].as_str()? {
            "Runtime.exceptionThrown" => Some(format!("a script failed: {}", parameters["exceptionDetails"])),
            "Runtime.consoleAPICalled" if parameters["type"] == "error" => {
                Some(format!("a script complains: {}", parameters["args"]))
            }
            "Log.entryAdded" if parameters["entry"]["level"] == "error" => {
                let text = parameters["entry"]["text"].as_str().unwrap_or_default();
                let is_told = self.status != 200 && text.contains(&format!("a status of {}", self.status));
                (!is_told).then(|| format!("the browser complains: {text}"))
            }
            "Network.responseReceived" if parameters["type"] == "Document" => {
                let status = parameters["response"]["status"].as_u64().unwrap_or_default();
                (status != self.status).then(|| format!("it is answered with {status}"))
            }
            _ => None,
        }
    }
}

/// Whether an address is that of a page for people.
fn is_page(address: &str) -> bool {
    let path = address.split(['?', '#']).next().unwrap_or_default();
    !address.contains('#') && (matches!(path, "/" | "/docs") || path.starts_with("/console/"))
}

/// What pages have in common that differ in what they show: the first parts of the path, and whether something is asked.
fn kind(address: &str) -> String {
    let (path, query) = address.split_once('?').map_or((address, false), |(path, _)| (path, true));
    let parts: Vec<&str> = path.split('/').collect();
    let head = parts.iter().take(3).copied().collect::<Vec<_>>().join("/");
    format!("{head} {} {query}", parts.len())
}

/// The name of a picture.
fn name(address: &str) -> String {
    let plain = |sign: char| if sign.is_ascii_alphanumeric() { sign } else { '-' };
    let name: String = address.trim_start_matches("/console").chars().map(plain).take(80).collect();
    let name = name.trim_matches('-');
    if name.is_empty() { "overview".to_owned() } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_that_show_something_else_alone_are_of_a_kind() {
        for (one, other) in [
            ("/console/views/a", "/console/views/b"),
            ("/console/events?after=1", "/console/events?type=x"),
            ("/console/send/a/b", "/console/send/c/d"),
        ] {
            assert_eq!(kind(one), kind(other));
        }
        for (one, other) in
            [("/", "/docs"), ("/console/views", "/console/views/a"), ("/console/a", "/console/b")]
        {
            assert_ne!(kind(one), kind(other));
        }
    }

    #[test]
    fn a_page_is_for_people() {
        assert!(["/", "/docs", "/console/views/a?b=c"].into_iter().all(is_page));
        assert!(!["/v1/views", "/openapi.json", "/#content", "/console/views#x"].into_iter().any(is_page));
    }
}
