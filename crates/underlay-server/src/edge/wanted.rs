//! What a header lists by preference, as `Accept` and `Accept-Encoding` do: names, each with a weight from 0 to 1.

use axum::http::{HeaderMap, HeaderName};

/// The names that a header lists, and whether each is wanted: its weight is not 0. A name without a weight is, and one
/// whose weight cannot be read is not.
pub(crate) fn wanted<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = (&'a str, bool)> {
    let texts = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    texts.flat_map(|text| text.split(',')).map(|entry| {
        let mut parts = entry.split(';').map(str::trim);
        let named = parts.next().unwrap_or_default();
        let mut weights = parts.filter_map(|part| {
            let (key, value) = part.split_once('=')?;
            key.trim().eq_ignore_ascii_case("q").then(|| value.trim().parse::<f32>())
        });
        let is_weight = |weight: f32| weight > 0.0 && weight <= 1.0;
        (named, weights.all(|weight| weight.is_ok_and(is_weight)))
    })
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use axum::http::header::ACCEPT;

    use super::*;

    #[test]
    fn a_name_is_wanted_unless_its_weight_says_otherwise() {
        let read = |texts: &[&'static str]| -> Vec<(String, bool)> {
            let mut headers = HeaderMap::new();
            for text in texts {
                headers.append(ACCEPT, HeaderValue::from_static(text));
            }
            wanted(&headers, &ACCEPT).map(|(name, is_wanted)| (name.to_owned(), is_wanted)).collect()
        };
        assert_eq!(read(&[]), []);
        let of_two = [("a/b".to_owned(), true), ("*/*".to_owned(), true), ("c".to_owned(), false)];
        assert_eq!(read(&[" a/b , */*;q=0.1", "c;q=0"]), of_two);
        for yes in ["a", "a;q=1", "a ; Q = 0.001", "a;level=1;q=0.5", "a;level=1", "a;q=1.000"] {
            assert_eq!(read(&[yes]), [("a".to_owned(), true)], "{yes}");
        }
        for no in
            ["a;q=0", "a; Q=0.000", "a;level=1;q=0", "a;q=", "a;q=x", "a;q=-1", "a;q=2", "a;q=nan", "a;q=inf"]
        {
            assert_eq!(read(&[no]), [("a".to_owned(), false)], "{no}");
        }
    }
}
