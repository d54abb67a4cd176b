//! Prints the public items of a crate, one a line, sorted: `api CRATE.json`.
//!
//! The JSON is rustdoc's. Items that blanket and automatic implementations add to every type are left out.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args_os().nth(1).ok_or("api CRATE.json")?;
    let api = public_api::Builder::from_rustdoc_json(path)
        .omit_blanket_impls(true)
        .omit_auto_trait_impls(true)
        .omit_auto_derived_impls(true)
        .sorted(true)
        .build()?;
    for item in api.items() {
        println!("{item}");
    }
    Ok(())
}
