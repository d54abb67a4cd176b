//! The console: what a service is and does, as pages for people, made here and read without a script.
//!
//! ```text
//!  request ─► admit ─► session ─► credentials ─► budgets ─► roles ─► page
//!               │         │            │            │         │
//!               │         │            │            └─ 429 ───┴─ 403, as pages
//!               │         │            └─ nobody: 303 to /console/sign-in
//!               │         └─ the cookie of who has signed in stands for the header Authorization, here alone
//!               └─ after all: a problem becomes a page
//! ```
//!
//! A page asks for the same roles and counts among the same requests as an address of the API, and the function that
//! computes what it shows is the one that answers there. No address of the API looks at the cookie, so no page of
//! another site reaches one through somebody's browser. What is posted carries the token of the form besides; see
//! [`form`].
//!
//! Pages are no addresses of the API: `/openapi.json` does not describe them, and they change as people need it.

mod assets;
mod changes;
mod door;
mod form;
mod layout;
mod pages;
mod problem;
mod session;
mod show;
mod visitor;

use axum::middleware;
use axum::routing::{MethodRouter, get, post};
use axum::{Router, handler::Handler};

use crate::Route;
use crate::app::App;
use crate::door::roles::Use;

pub(crate) use problem::{of_a_page, shown};

/// Where the console begins.
pub(crate) const ROOT: &str = "/";
/// What all its other addresses begin with.
pub(crate) const BELOW: &str = "/console/";

/// A page, or what a form of one does, and what it is used for.
struct Entry {
    method: &'static str,
    path: &'static str,
    to: Use,
    handler: MethodRouter<App>,
}

/// A page to read.
fn reads<T: 'static, H: Handler<T, App>>(path: &'static str, to: Use, handler: H) -> Entry {
    Entry { method: "GET", path, to, handler: get(handler) }
}

/// What a form does.
fn writes<T: 'static, H: Handler<T, App>>(path: &'static str, to: Use, handler: H) -> Entry {
    Entry { method: "POST", path, to, handler: post(handler) }
}

/// All that asks who is there. There is no other way into the router for a page that shows a tenant's data.
fn entries() -> Vec<Entry> {
    let places = [
        pages::overview::entries(),
        pages::events::entries(),
        pages::streams::entries(),
        pages::audit::entries(),
        pages::views::entries(),
        pages::view::entries(),
        pages::entities::entries(),
        pages::entity::entries(),
        pages::send::entries(),
        pages::commands::entries(),
        pages::outbox::entries(),
        pages::dead_letters::entries(),
        pages::processes::entries(),
        pages::schedules::entries(),
        pages::start::entries(),
    ];
    places.into_iter().flatten().collect()
}

/// The pages of the console.
#[must_use]
pub fn console_pages() -> Vec<Route> {
    // A feed is for the script of its page.
    let pages = entries().into_iter().filter(|entry| entry.path != pages::events::LIVE);
    let of_a_tenant = pages.map(|Entry { method, path, .. }| Route { method, path, of_a_tenant: true });
    let open = [("GET", session::SIGN_IN), ("POST", session::SIGN_IN), ("POST", session::SIGN_OUT)];
    let open = open.map(|(method, path)| Route { method, path, of_a_tenant: false });
    of_a_tenant.chain(open).collect()
}

/// What answers at those addresses.
pub(crate) fn router(app: &App) -> Router<App> {
    let mut router = Router::new()
        .route(session::SIGN_IN, get(pages::sign_in::show).post(pages::sign_in::sign_in))
        .route(session::SIGN_OUT, post(pages::sign_in::sign_out))
        .route(assets::STYLE_PATH, get(assets::style))
        .route(assets::SCRIPT_PATH, get(assets::script));
    for entry in entries() {
        let admit = middleware::from_fn_with_state((app.clone(), entry.to), door::admit);
        router = router.route(entry.path, entry.handler.route_layer(admit));
    }
    router
}
