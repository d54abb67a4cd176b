//! Where the rows of views are kept: in the store of the service, or where the section `[views]` says.

use underlay_core::Error;
use underlay_core::adapter::Backend;
use underlay_core::options::{OptionSpec, Options};

use crate::Adapters;
use crate::config::Config;
use crate::entities::{address_spec, read_address};

/// The section of the options.
pub(crate) const SECTION: &str = "views";
/// The option that names the store.
const STORE: &str = "store";

/// The store of the rows of views that name none in their code.
#[derive(Clone, Debug, Default)]
pub(crate) struct ViewAddress {
    /// Whether the service has views; otherwise there is nothing to set.
    pub(crate) has_views: bool,
    /// None takes that of the service.
    address: Option<String>,
}

impl ViewAddress {
    /// The address, where one is set, with the key that sets it.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = (String, &str)> {
        self.address.iter().map(|address| (format!("{SECTION}.{STORE}"), address.as_str()))
    }

    /// Opens the store of the rows, and puts it in the place of those of the log. It may be a new one: rows are made of the
    /// log, which is there.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it keeps no rows; otherwise what it says.
    pub(crate) async fn open(
        &self,
        log: Backend,
        config: &Config,
        adapters: &Adapters,
    ) -> Result<Backend, Error> {
        let own = self.address.as_deref().filter(|address| *address != config.settings.database);
        let Some(address) = own else { return Ok(log) };
        let options = config.options_of(adapters, address);
        let rows = adapters.open(address, &options).await?;
        if rows.read_models.is_none() {
            return Err(Error::invalid(format!(
                "{SECTION}.{STORE}: the store {} keeps no rows for views",
                adapters.shown(address)
            )));
        }
        Ok(log.with_rows_of(rows))
    }
}

impl Options for ViewAddress {
    fn describe(&self) -> Vec<OptionSpec> {
        let meaning = "The store of the rows of views; that of the service where it is not said";
        let spec = address_spec(STORE, meaning, self.address.as_ref());
        self.has_views.then_some(spec).into_iter().collect()
    }

    fn set(&mut self, name: &str, text: &str) -> Result<(), String> {
        if name != STORE || !self.has_views {
            return Err(format!("there is no option {name}"));
        }
        self.address = Some(read_address(text)?);
        Ok(())
    }

    fn check_bounds(&self) -> Result<(), Error> {
        Ok(())
    }
}
