//! `shop serve` is the service; `shop work` runs the workflows of its orders. `SHOP_TEMPORAL` says where Temporal is.

use std::io::Write as _;
use std::sync::Arc;

use shop::Work;
use underlay::{Error, Exit};
use underlay_temporal::{Temporal, TemporalOptions};

fn temporal() -> Result<Temporal, Error> {
    let address =
        std::env::var("SHOP_TEMPORAL").unwrap_or_else(|_| "temporal://127.0.0.1:7233/default".to_owned());
    Temporal::open(&address.parse()?, TemporalOptions::default())
}

fn main() -> Exit {
    let made = temporal().and_then(|temporal| Ok((shop::service(&temporal)?, temporal)));
    match made {
        Ok((service, temporal)) => service.command(Work(Arc::new(temporal))).main(),
        Err(error) => {
            writeln!(std::io::stderr(), "error: {error}").ok();
            Exit::Invalid
        }
    }
}
