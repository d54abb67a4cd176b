//! The options that a service has of its own, and what it adds of itself once they are read.

use std::fmt;
use std::sync::Arc;

use underlay_core::Error;
use underlay_core::options::{Configurable, Options};

use crate::Service;

/// Options of a service, with the section they stand in.
pub(crate) struct OwnOptions {
    pub(super) section: &'static str,
    values: Box<dyn Values>,
}

/// A configuration of the service, whichever it is.
trait Values: Send + Sync {
    fn copy(&self) -> Box<dyn Values>;
    fn options(&mut self) -> &mut dyn Options;
    fn add_to(&self, service: Service) -> Result<Service, Error>;
}

type Add<C> = dyn Fn(Service, C) -> Result<Service, Error> + Send + Sync;

/// A configuration, and what is added with it.
struct Added<C> {
    config: C,
    add: Arc<Add<C>>,
}

impl<C: Configurable + Send + Sync> Values for Added<C> {
    fn copy(&self) -> Box<dyn Values> {
        Box::new(Self { config: self.config.clone(), add: self.add.clone() })
    }

    fn options(&mut self) -> &mut dyn Options {
        &mut self.config
    }

    fn add_to(&self, service: Service) -> Result<Service, Error> {
        self.config.check_bounds()?;
        (self.add)(service, self.config.clone())
    }
}

impl OwnOptions {
    pub(crate) fn new<C: Configurable + Send + Sync>(
        section: &'static str,
        defaults: C,
        add: impl Fn(Service, C) -> Result<Service, Error> + Send + Sync + 'static,
    ) -> Self {
        Self { section, values: Box::new(Added { config: defaults, add: Arc::new(add) }) }
    }

    pub(super) fn options(&mut self) -> &mut dyn Options {
        self.values.options()
    }

    /// Adds to the service what these options make of it.
    pub(crate) fn add_to(&self, service: Service) -> Result<Service, Error> {
        self.values.add_to(service)
    }
}

impl Clone for OwnOptions {
    fn clone(&self) -> Self {
        Self { section: self.section, values: self.values.copy() }
    }
}

impl fmt::Debug for OwnOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnOptions").field("section", &self.section).finish_non_exhaustive()
    }
}
