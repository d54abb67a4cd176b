//! `/console/views`: the views, and where they stand.

use axum::response::Response;
use maud::{Markup, html};
use underlay_runtime::ViewStanding;

use crate::console::layout::{Page, Place};
use crate::console::show::{Tone, empty, follower_status, live, number, pace, part, status, table};
use crate::console::visitor::{Given, Visitor};
use crate::console::{Entry, reads};
use crate::door::roles::Use;
use crate::health;
use crate::metrics::{Follows, Pace};
use crate::problem::Problem;
use crate::views::{self, ViewBody};

pub(in crate::console) fn entries() -> Vec<Entry> {
    vec![reads(Place::Views.path(), Use::Anything, show)]
}

/// `GET /console/views`.
async fn show(visitor: Visitor, Given(given): Given) -> Result<Response, Problem> {
    given.finish(&[])?;
    let views = views::all(&visitor.app, &visitor.principal.actor).await?;
    let standings = match visitor.may(Use::Views) {
        true => visitor.app.engine().view_standings().await?.views,
        false => Vec::new(),
    };
    Ok(Page::new(&visitor, Some(Place::Views), "Views").respond(html! {
        p class="lead" { "The read models of the service. Each is folded from the events, and can be folded anew." }
        @if views.is_empty() {
            (empty("There is no view that you may read.", html! {
                "A service declares views in its code, with the roles that may read them."
            }))
        } @else {
            (live("views", view_table(&views, &standings, &health::pace(&visitor.app).await)))
        }
    }))
}

/// The address of a view's page.
pub(super) fn path_of(view: &str) -> String {
    format!("{}/{}", Place::Views.path(), part(view))
}

pub(super) fn link_to_view(name: &str) -> Markup {
    html! { a href=(path_of(name)) { (name) } }
}

/// Where views stand. How far they are is told to whom it is told over HTTP.
pub(super) fn view_table(views: &[ViewBody], standings: &[ViewStanding], pace: &Pace) -> Markup {
    let tells = views.iter().any(|view| view.position.is_some());
    let headings: &[&str] = match tells {
        true => &["View", "Status", "#Position", "#Behind", "#Pace", "#Parked", "Filters"],
        false => &["View", "Status", "Filters"],
    };
    let standing = |view: &ViewBody| standings.iter().find(|standing| standing.view == view.name);
    table("Views", headings, html! { @for view in views { (view_row(view, standing(view), pace)) } })
}

fn view_row(view: &ViewBody, standing: Option<&ViewStanding>, known: &Pace) -> Markup {
    let indexed = view.columns.iter().filter(|column| column.indexed);
    let indexed: Vec<&str> = indexed.map(|column| column.name.as_str()).collect();
    html! {
        tr {
            th scope="row" { (link_to_view(&view.name)) }
            td { (follower_status(view.status)) }
            @if let Some(position) = view.position {
                td class="number" { (position) }
                @match standing.map(|standing| standing.behind) {
                    None => { td class="number" { "–" } td class="number" { "–" } },
                    Some(behind) => {
                        td class="number" { (number(behind)) }
                        td class="number" { (pace(known, Follows::View, &view.name, behind, view.status)) }
                    },
                }
                td class="number" {
                    @match standing.map_or(0, |standing| standing.parked) {
                        0 => "0",
                        parked => (status(Tone::Bad, number(parked))),
                    }
                }
            }
            td class="quiet" { @if indexed.is_empty() { "none" } @else { (indexed.join(", ")) } }
        }
    }
}
