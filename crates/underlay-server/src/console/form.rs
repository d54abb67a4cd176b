//! What a form posts, and how it is known for a form of this console.
//!
//! Each form carries a token that follows from a cookie: that of the session, or a random one where nobody has signed
//! in. Another site knows neither the cookie nor the token, and this service never takes one without the other. The
//! cookie is sent by no request of another site, and the edge turns away what a browser says comes from one: so
//! this is the third of three locks.

use axum::extract::{FromRequest, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use maud::{Markup, html};
use underlay_core::Error;

use super::session;
use super::visitor::Visitor;
use crate::app::App;
use crate::door::tokens::{TokenHash, hex, random};
use crate::edge::base_path::cookie_path;
use crate::parameters::Parameters;
use crate::problem::Problem;
use crate::request_body::read;

/// Fields in one form.
pub(super) const FORM_FIELDS_MAX: usize = 1_024;

const COOKIE: &str = "underlay-form";
/// The field with the token.
const FIELD: &str = "form_token";
/// What else may be made of the same secret is another thing.
const PURPOSE: &str = "a form of the Underlay console: ";
const KEY_BYTES: usize = 16;

/// What the tokens of the forms of a browser follow from.
#[derive(Clone)]
pub(super) struct FormKey {
    secret: String,
    /// The cookie to be set where the browser had none.
    pub(super) cookie: Option<HeaderValue>,
}

impl FormKey {
    /// That of a browser, or a new one.
    pub(super) fn of(headers: &HeaderMap, base: &str) -> Result<Self, Error> {
        if let Some(known) = session::token(headers, base).or_else(|| session::cookie(headers, COOKIE)) {
            return Ok(Self { secret: known.to_owned(), cookie: None });
        }
        let secret = hex(&random::<KEY_BYTES>()?);
        let secure = if session::is_over_tls(headers) { "; Secure" } else { "" };
        let cookie =
            format!("{COOKIE}={secret}; Path={}; HttpOnly; SameSite=Strict{secure}", cookie_path(base));
        Ok(Self { cookie: HeaderValue::from_str(&cookie).ok(), secret })
    }

    fn hash(&self) -> TokenHash {
        TokenHash::of(&format!("{PURPOSE}{}", self.secret))
    }

    /// Whether a form was made for this browser. How far a wrong token is right does not show in the time it takes.
    fn has_made(&self, token: &str) -> bool {
        TokenHash::parse(token).is_some_and(|given| given.is(self.hash()))
    }
}

/// The field that a form of this console has.
pub(super) fn token_field(key: &FormKey) -> Markup {
    html! { input type="hidden" name=(FIELD) value=(key.hash().to_text()); }
}

/// A form that is posted to `action`.
pub(super) fn form(visitor: &Visitor, action: &str, fields: Markup) -> Markup {
    html! { form method="post" action=(action) { (token_field(&visitor.form_key)) (fields) } }
}

/// A form that is one button.
pub(super) fn button(visitor: &Visitor, action: &str, class: &str, text: &str) -> Markup {
    form(visitor, action, html! { button type="submit" class=(class) { (text) } })
}

/// The fields of a form that this console has made for this browser.
pub(super) struct Posted(pub(super) Parameters);

impl FromRequest<App> for Posted {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let key = FormKey::of(request.headers(), &app.config().base_path)?;
        let media_type = request.headers().get(CONTENT_TYPE).and_then(|named| named.to_str().ok());
        let essence = media_type.unwrap_or_default().split(';').next().unwrap_or_default().trim();
        if !essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            let detail = "a form is application/x-www-form-urlencoded";
            return Err(Problem::new(status, "unsupported-media-type", "Unsupported media type", detail));
        }
        let body = read(request, app).await?;
        let text = std::str::from_utf8(&body).map_err(|_| Problem::invalid("the form is not UTF-8"))?;
        let mut fields = Parameters::parse(text, "FORM_FIELDS_MAX", FORM_FIELDS_MAX)?;
        let token = fields.take(FIELD)?;
        if key.cookie.is_some() || !token.is_some_and(|token| key.has_made(&token)) {
            let detail = "the form is not one that was made for you here, or you have signed in since; go back, load \
                          the page again and send it once more. Your browser has to keep cookies for that";
            return Err(Problem::new(StatusCode::FORBIDDEN, "form-token", "The form is out of date", detail));
        }
        Ok(Self(fields))
    }
}

#[cfg(test)]
mod tests {
    use axum::http::header;

    use super::*;

    #[test]
    fn a_token_is_good_for_its_browser_alone() {
        let key = |cookie: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::COOKIE, HeaderValue::from_static(cookie));
            FormKey::of(&headers, "").unwrap()
        };
        let (one, other) = (key("underlay-form=a"), key("underlay-form=b"));
        let token = one.hash().to_text();
        assert!(one.has_made(&token) && !other.has_made(&token));
        assert!(key("underlay-session=a; underlay-form=b").has_made(&token), "a session comes first");
        for wrong in ["", "0", "zz", &token[..62], &format!("{token}00"), &format!("{token}0")] {
            assert!(!one.has_made(wrong), "{wrong}");
        }
    }

    #[test]
    fn a_browser_without_a_cookie_is_given_one() {
        let (one, other) =
            (FormKey::of(&HeaderMap::new(), "").unwrap(), FormKey::of(&HeaderMap::new(), "").unwrap());
        assert_ne!(one.hash().to_text(), other.hash().to_text());
        let cookie = one.cookie.unwrap();
        assert!(cookie.to_str().unwrap().contains("HttpOnly; SameSite=Strict"));
    }
}
