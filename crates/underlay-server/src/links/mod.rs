//! Links that a service sends to people: whoever has one opens a page without credentials.
//!
//! ```text
//!  GET  /links/{page}/{secret}?tenant=&subject=&id= ─► signed? ─► a place ─► what the link is for, and a button
//!  POST the same                                    ─► signed? ─► a place ─► done, and what came of it
//!                                                         │          └─ 503, come back soon
//!                                                         └─ 404, the same whatever is wrong
//! ```
//!
//! A link is signed by a [`LinkKey`], and the signature is looked at before anything else: who has none costs the
//! service one hash, reads nothing and stores nothing. What is secret in a link is that signature. It is made anew
//! whenever it is needed, so nobody has to keep it.
//!
//! Opening a link changes nothing. Programs open links too, such as filters of mail that look for something
//! harmful; a person presses the button.

mod key;
mod page;

use std::sync::Arc;

use async_trait::async_trait;
use underlay_core::{Error, TenantId};
use underlay_runtime::Engine;
use uuid::Uuid;

pub(crate) use key::encoded;
pub use key::{LINK_KEY_BYTES, LinkKey};
pub(crate) use page::{PATH, STYLE, open};

/// Links that are opened at one time, of all tenants.
pub(crate) const LINKS_AT_ONCE_MAX: usize = 32;

/// What a link leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkTarget {
    /// The page, by the name it has.
    pub page: String,
    /// Whose data it is about.
    pub tenant: TenantId,
    /// What it is about within the tenant: the id of a member, say.
    pub subject: String,
    /// Tells it from every other link: the id of the message that it was sent for, say.
    pub id: Uuid,
}

/// A link that somebody has opened. Its signature is right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenedLink {
    /// What it leads to.
    pub target: LinkTarget,
    /// Its signature, which nobody else has.
    pub secret: String,
}

/// A page that links lead to.
#[async_trait]
pub trait LinkPage: Send + Sync + 'static {
    /// Its name, which stands in every link to it: `a-z 0-9 -`.
    fn name(&self) -> &'static str;

    /// What somebody is shown who opens a link. It changes nothing.
    ///
    /// # Errors
    /// What the store says.
    async fn show(&self, engine: &Engine, link: &OpenedLink) -> Result<LinkAnswer, Error>;

    /// Does what the link is for, after the button was pressed.
    ///
    /// # Errors
    /// What the store says.
    async fn confirm(&self, engine: &Engine, link: &OpenedLink) -> Result<LinkAnswer, Error>;
}

/// What a page says. It is text: nothing in it becomes HTML.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkAnswer {
    title: String,
    text: String,
    button: Option<String>,
    standing: LinkStanding,
}

/// How a link stands, for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LinkStanding {
    Good,
    NotYet,
    Over,
}

impl LinkAnswer {
    /// A title, and a sentence or two.
    pub fn new(title: impl Into<String>, text: impl Into<String>) -> Self {
        Self { title: title.into(), text: text.into(), button: None, standing: LinkStanding::Good }
    }

    /// Adds the button that does what the link is for.
    #[must_use]
    pub fn with_button(mut self, button: impl Into<String>) -> Self {
        self.button = Some(button.into());
        self
    }

    /// Says that the link will be good in a moment: 503, with a time to come back.
    #[must_use]
    pub fn not_yet(mut self) -> Self {
        self.standing = LinkStanding::NotYet;
        self
    }

    /// Says that the link is no longer good: 410.
    #[must_use]
    pub fn over(mut self) -> Self {
        self.standing = LinkStanding::Over;
        self
    }
}

/// Who has the key of links. It may have to be read first.
pub trait LinkKeys: Send + Sync + 'static {
    /// The key.
    ///
    /// # Errors
    /// Where there is none, or it cannot be read. The text is for the log of the service.
    fn key(&self) -> Result<LinkKey, Error>;
}

/// The pages that links lead to, and the key they are signed with.
#[derive(Clone, Default)]
pub(crate) struct LinkPages {
    pub(crate) keys: Option<Arc<dyn LinkKeys>>,
    pub(crate) pages: Vec<Arc<dyn LinkPage>>,
}

impl LinkPages {
    /// The page of a name.
    fn find(&self, name: &str) -> Option<&Arc<dyn LinkPage>> {
        self.pages.iter().find(|page| page.name() == name)
    }
}
