use std::collections::BTreeMap;

use axum::http::StatusCode;
use underlay_core::{Error, TenantId};
use underlay_runtime::{Counter, Exposition, Family, Kind};

use super::requests::{STATUSES, status_class};

/// Tenants whose requests are told apart: each has values of its own in every scrape.
pub(crate) const METRICS_TENANTS_MAX: usize = 100;

static REQUESTS: Family = Family::new(
    "underlay_tenant_http_requests_total",
    Kind::Counter,
    &["tenant", "status"],
    "Requests that were answered of the tenants that metrics_tenants names, by the class of their status.",
);

/// What is counted of the tenants that the configuration names.
pub(crate) struct Tenants(BTreeMap<TenantId, [Counter; STATUSES.len()]>);

impl Tenants {
    pub(super) fn new(names: &[String]) -> Result<Self, Error> {
        check_count(names.len()).map_err(Error::invalid)?;
        let tenant = |name: &String| Ok((TenantId::new(name.as_str())?, Default::default()));
        Ok(Self(names.iter().map(tenant).collect::<Result<_, Error>>()?))
    }

    /// A request of a tenant was answered.
    pub(crate) fn answered(&self, tenant: &TenantId, status: StatusCode) {
        if let Some(counts) = self.0.get(tenant) {
            counts[status_class(Some(status))].increment();
        }
    }

    pub(super) fn write(&self, out: &mut Exposition) {
        let mut requests = out.begin(&REQUESTS);
        for (tenant, counts) in &self.0 {
            for (status, count) in STATUSES.iter().zip(counts) {
                requests.add(&[tenant.as_str(), status], count.get());
            }
        }
    }
}

/// Checks a list of tenants, as an option has it.
pub(crate) fn check_tenants(text: &str) -> Result<(), String> {
    let names: Vec<&str> = text.split(',').map(str::trim).collect();
    check_count(names.len())?;
    names.into_iter().try_for_each(|name| TenantId::new(name).map(drop).map_err(|error| error.to_string()))
}

fn check_count(count: usize) -> Result<(), String> {
    match count {
        0..=METRICS_TENANTS_MAX => Ok(()),
        more => Err(format!(
            "{more} tenants cannot be told apart in the metrics; name at most METRICS_TENANTS_MAX = \
             {METRICS_TENANTS_MAX} of them"
        )),
    }
}
