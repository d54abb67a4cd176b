use std::collections::HashSet;

use syn::LitStr;

/// Bytes in a declared name, as `underlay-core` has it for event types.
const NAME_BYTES_MAX: usize = 128;

/// Checks the stored name of an event, command or refusal.
pub(crate) fn check(name: &LitStr) -> syn::Result<()> {
    let text = name.value();
    let well_formed = !text.is_empty()
        && text.len() <= NAME_BYTES_MAX
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
    if well_formed {
        return Ok(());
    }
    Err(syn::Error::new(
        name.span(),
        format!("a name is 1 to {NAME_BYTES_MAX} letters, digits, `.`, `_` and `-`"),
    ))
}

/// Checks that no name is there twice; the error points at the later one.
pub(crate) fn check_unique<'a>(names: impl IntoIterator<Item = &'a LitStr>) -> syn::Result<()> {
    let mut seen = HashSet::new();
    crate::problems::all(names.into_iter().map(|name| {
        if seen.insert(name.value()) {
            Ok(())
        } else {
            Err(syn::Error::new(name.span(), format!("the name {:?} is there twice", name.value())))
        }
    }))
    .map(drop)
}

/// A name for a variant, to show what could be written: `AccountOpened` gives `account-opened`.
pub(crate) fn suggest(ident: &syn::Ident) -> String {
    let mut name = String::new();
    for c in ident.to_string().trim_start_matches("r#").chars() {
        if c.is_uppercase() && !name.is_empty() {
            name.push('-');
        }
        name.extend(c.to_lowercase());
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_the_one_of_the_core() {
        assert_eq!(NAME_BYTES_MAX, underlay_core::limits::EVENT_TYPE_BYTES_MAX);
    }

    #[test]
    fn what_the_core_takes_for_a_name_is_taken() {
        for text in ["a", "Account.Opened_2-x", "", "a b", "a/b", "ä", &"a".repeat(128), &"a".repeat(129)] {
            let literal = LitStr::new(text, proc_macro2::Span::call_site());
            assert_eq!(check(&literal).is_ok(), underlay_core::EventType::new(text).is_ok(), "{text:?}");
        }
    }

    #[test]
    fn a_suggestion_is_in_kebab_case() {
        let ident = syn::Ident::new("AccountOpened", proc_macro2::Span::call_site());
        assert_eq!(suggest(&ident), "account-opened");
    }
}
