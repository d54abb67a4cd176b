//! Somebody with a browser, who looks at pages of the console and fills in their forms.

use axum::body::Body;
use axum::http::Request;

use crate::place::{Answer, Place, get_with};

pub const HTML: (&str, &str) = ("accept", "text/html");

pub fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    let begun = text.split_once(before).unwrap_or_else(|| panic!("no {before} in {text}")).1;
    begun.split_once(after).unwrap().0
}

fn escaped(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// Somebody with a browser.
pub struct Browser<'a> {
    pub place: &'a Place,
    pub who: &'a str,
    pub cookie: String,
    pub token: String,
}

impl<'a> Browser<'a> {
    /// One of an operator, which has been given a page with a form.
    pub async fn of(place: &'a Place, who: &'a str) -> Self {
        Self::at(place, who, "/console/schedules").await
    }

    /// One that has been given this page, which has a form.
    pub async fn at(place: &'a Place, who: &'a str, path: &str) -> Self {
        let page = place.send(get_with(path, &[("authorization", who), HTML])).await;
        assert_eq!(page.status, 200, "{}", page.text());
        let cookie = page.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
        let token = between(page.text(), "name=\"form_token\" value=\"", "\"").to_owned();
        Self { place, who, cookie, token }
    }

    pub async fn page(&self, path: &str) -> Answer {
        let headers = [("authorization", self.who), HTML, ("cookie", &self.cookie)];
        self.place.send(get_with(path, &headers)).await
    }

    pub async fn shown(&self, path: &str) -> String {
        let page = self.page(path).await;
        assert_eq!(page.status, 200, "{path}: {}", page.text());
        page.text().to_owned()
    }

    pub async fn press(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let with_token = [("form_token", self.token.as_str())];
        let pairs = with_token.iter().chain(fields).map(|(name, value)| format!("{name}={}", escaped(value)));
        let request = Request::post(path)
            .header("authorization", self.who)
            .header("content-type", "application/x-www-form-urlencoded")
            .header(HTML.0, HTML.1)
            .header("cookie", &self.cookie)
            .body(Body::from(pairs.collect::<Vec<_>>().join("&")));
        self.place.send(request.unwrap()).await
    }

    /// Presses what leads to another page, and gives that page.
    pub async fn does(&self, path: &str, fields: &[(&str, &str)]) -> String {
        let answer = self.press(path, fields).await;
        assert_eq!(answer.status, 303, "{path}: {}", answer.text());
        let to = answer.header("location").unwrap().to_owned();
        self.shown(&to).await
    }
}
