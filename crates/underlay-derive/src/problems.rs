use syn::meta::ParseNestedMeta;

/// Takes an argument that can stand once.
///
/// # Errors
/// The argument was there before.
pub(crate) fn set_once<T>(place: &mut Option<T>, value: T, meta: &ParseNestedMeta<'_>) -> syn::Result<()> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(meta.error("this is there twice")),
    }
}

/// Collects, so that one build shows everything that is wrong.
///
/// # Errors
/// All errors there are, as one.
pub(crate) fn all<T>(results: impl IntoIterator<Item = syn::Result<T>>) -> syn::Result<Vec<T>> {
    let mut good = Vec::new();
    let mut problems: Option<syn::Error> = None;
    for result in results {
        match (result, &mut problems) {
            (Ok(value), _) => good.push(value),
            (Err(error), Some(problems)) => problems.combine(error),
            (Err(error), None) => problems = Some(error),
        }
    }
    problems.map_or(Ok(good), Err)
}
