//! Finds out who asks, in bounded time and with a bounded number waiting.
//!
//! ```text
//!            ┌─ at once ───────────────────────────────────────────────► answer
//!  identify ─┤
//!            └─ not at once ─► a place ─► answer, or 503 after identify_wait_max
//!                                │
//!                                ├─ credentials that were good before: identify_tenant_waiting_max
//!                                │  places for each tenant, identify_waiting_max for all of them
//!                                └─ any others: identify_waiting_max places of their own
//! ```
//!
//! The tenant of a request is known only once the answer is there, so a flood of invented tokens could
//! take every place. Therefore what was good before is remembered by its hash, with its tenant, and
//! waits in places that strangers never get. One tenant's many good tokens have a bound of their own, also
//! in what is remembered.

use std::collections::HashMap;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, COOKIE};
use sha2::{Digest, Sha256};
use underlay_core::{Clock, TenantId};
use underlay_runtime::Counter;

use super::acquaintances::{Acquaintances, Known};
use super::{Denied, Principal};
use crate::ServerConfig;
use crate::problem::Problem;

/// The bound of all together, by its name.
const WAITING_MAX: &str = "identify_waiting_max";
/// The bound of one tenant, by its name.
const TENANT_WAITING_MAX: &str = "identify_tenant_waiting_max";

/// Who waits, and who was let in before.
pub(crate) struct Admission {
    waiting_max: usize,
    tenant_waiting_max: usize,
    refused: Counter,
    tenant_refused: Counter,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    strangers: usize,
    acquaintances: usize,
    by_tenant: HashMap<TenantId, usize>,
    known: Acquaintances,
}

impl Admission {
    pub(crate) fn new(config: &ServerConfig) -> Self {
        Self {
            waiting_max: config.identify_waiting_max,
            tenant_waiting_max: config.identify_tenant_waiting_max,
            refused: Counter::default(),
            tenant_refused: Counter::default(),
            inner: Mutex::default(),
        }
    }

    /// How many found no place, by the bound that was reached.
    pub(crate) fn refused(&self) -> [(&'static str, u64); 2] {
        [(WAITING_MAX, self.refused.get()), (TENANT_WAITING_MAX, self.tenant_refused.get())]
    }

    /// Who asks, and is not past their time.
    pub(crate) async fn identify(
        &self,
        config: &ServerConfig,
        clock: &dyn Clock,
        headers: &HeaderMap,
    ) -> Result<Principal, Problem> {
        let mut asking = config.credentials.identify(headers);
        let at_once = poll_fn(|context| match asking.as_mut().poll(context) {
            Poll::Ready(answer) => Poll::Ready(Some(answer)),
            Poll::Pending => Poll::Ready(None),
        });
        let answer = match at_once.await {
            Some(answer) => answer,
            None => {
                let _place = self.take_place(fingerprint(headers).as_ref())?;
                let mut late = pin!(clock.sleep(config.identify_wait_max));
                let answer = tokio::select! {
                    biased;
                    answer = &mut asking => answer,
                    () = &mut late => {
                        tracing::warn!("nobody said in time who asks: identify_wait_max is reached");
                        return Err(Denied::Away { retry_after: None }.into());
                    }
                };
                answer
            }
        };
        let now = clock.now();
        let answer = answer.and_then(|principal| match principal.expires_at {
            Some(expires_at) if expires_at <= now => Err(Denied::invalid("the credentials have expired")),
            _ => Ok(principal),
        });
        if let Some(known) = fingerprint(headers) {
            match &answer {
                Ok(principal) => self.remember(known, &principal.tenant),
                // Whoever is away says nothing about who asked.
                Err(Denied::Away { .. }) => {}
                Err(_) => self.forget(&known),
            }
        }
        Ok(answer?)
    }

    fn take_place(&self, known: Option<&Known>) -> Result<Place<'_>, Problem> {
        let mut inner = self.lock();
        let tenant = known.and_then(|known| inner.known.tenant(known)).cloned();
        let (used, max, name) = match &tenant {
            None => (inner.strangers, self.waiting_max, WAITING_MAX),
            Some(tenant) => {
                let own = inner.by_tenant.get(tenant).copied().unwrap_or_default();
                if own >= self.tenant_waiting_max {
                    (own, self.tenant_waiting_max, TENANT_WAITING_MAX)
                } else {
                    (inner.acquaintances, self.waiting_max, WAITING_MAX)
                }
            }
        };
        if used >= max {
            let told = format!("too many wait to be identified: {name} = {max} is reached");
            let is_tenants = name == TENANT_WAITING_MAX;
            let refused = if is_tenants { &self.tenant_refused } else { &self.refused };
            refused.increment();
            return Err(if is_tenants { Problem::too_many(told) } else { Problem::overloaded(told, None) });
        }
        match &tenant {
            None => inner.strangers += 1,
            Some(tenant) => {
                inner.acquaintances += 1;
                *inner.by_tenant.entry(tenant.clone()).or_default() += 1;
            }
        }
        Ok(Place { admission: self, tenant })
    }

    fn remember(&self, known: Known, tenant: &TenantId) {
        self.lock().known.remember(known, tenant);
    }

    fn forget(&self, known: &Known) {
        self.lock().known.forget(known);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing below the lock can panic half way.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place of somebody who waits; given back when they stop.
struct Place<'a> {
    admission: &'a Admission,
    tenant: Option<TenantId>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut inner = self.admission.lock();
        match &self.tenant {
            None => inner.strangers -= 1,
            Some(tenant) => {
                inner.acquaintances -= 1;
                if let Some(own) = inner.by_tenant.get_mut(tenant) {
                    *own -= 1;
                    if *own == 0 {
                        inner.by_tenant.remove(tenant);
                    }
                }
            }
        }
    }
}

/// What a request says of who asks, without keeping it; none where it says nothing.
fn fingerprint(headers: &HeaderMap) -> Option<Known> {
    let mut hash = Sha256::new();
    let mut says_something = false;
    for name in [AUTHORIZATION, COOKIE] {
        for value in headers.get_all(&name) {
            says_something = true;
            hash.update((value.len() as u64).to_le_bytes());
            hash.update(value.as_bytes());
        }
        hash.update(name.as_str().as_bytes());
    }
    says_something.then(|| hash.finalize().into())
}
