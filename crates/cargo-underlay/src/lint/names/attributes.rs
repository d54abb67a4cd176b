use syn::punctuated::Punctuated;
use syn::{Attribute, Meta, Token};

/// Whether what has these attributes is compiled for tests alone, or is a test.
pub(crate) fn is_test_code(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| is_test(attribute) || is_for_tests(&attribute.meta))
}

/// Whether an attribute makes a function a test: `#[test]`, `#[tokio::test]`, `#[rstest]`, `#[test_case(…)]`.
pub(super) fn is_test(attribute: &Attribute) -> bool {
    let last = attribute.path().segments.last();
    last.is_some_and(|last| {
        ["test", "rstest", "test_case", "quickcheck"].contains(&last.ident.to_string().as_str())
    })
}

pub(super) fn is_ignored(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| attribute.path().is_ident("ignore"))
}

/// Whether what has these attributes may be left out of the build.
pub(super) fn is_conditional(attributes: &[Attribute]) -> bool {
    attributes
        .iter()
        .any(|attribute| attribute.path().is_ident("cfg") || attribute.path().is_ident("cfg_attr"))
}

/// `cfg(test)`, and `cfg(all(test, …))`.
fn is_for_tests(meta: &Meta) -> bool {
    let Meta::List(list) = meta else { return false };
    let inner = parts(list);
    match list.path.get_ident().map(ToString::to_string).as_deref() {
        Some("cfg" | "all") => inner.iter().any(|part| part.path().is_ident("test") || is_for_tests(part)),
        _ => false,
    }
}

fn parts(list: &syn::MetaList) -> Vec<Meta> {
    let parsed = list.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated);
    parsed.map(|parts| parts.into_iter().collect()).unwrap_or_default()
}

/// The files that `#[path]` names, also where it depends on a condition.
pub(super) fn paths(attributes: &[Attribute]) -> Vec<String> {
    attributes.iter().flat_map(|attribute| paths_of(&attribute.meta)).collect()
}

fn paths_of(meta: &Meta) -> Vec<String> {
    match meta {
        Meta::NameValue(pair) if pair.path.is_ident("path") => match &pair.value {
            syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) => vec![text.value()],
            _ => Vec::new(),
        },
        Meta::List(list) if list.path.is_ident("cfg_attr") => {
            parts(list).iter().skip(1).flat_map(paths_of).collect()
        }
        _ => Vec::new(),
    }
}

/// The paths that an attribute names: itself, and what it derives.
pub(crate) fn derives_and_names(meta: &Meta) -> Vec<syn::Path> {
    match meta {
        Meta::List(list) if list.path.is_ident("derive") => {
            let parsed = list.parse_args_with(Punctuated::<syn::Path, Token![,]>::parse_terminated);
            parsed.map(|paths| paths.into_iter().collect()).unwrap_or_default()
        }
        Meta::List(list) if list.path.is_ident("cfg_attr") => {
            parts(list).iter().skip(1).flat_map(derives_and_names).collect()
        }
        other => vec![other.path().clone()],
    }
}
