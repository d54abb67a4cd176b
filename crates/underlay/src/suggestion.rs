/// The name that was probably meant by one that is not there; none where nothing is near.
pub(crate) fn nearest<'a>(wrong: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // A letter in four, and one in a short name.
    let most = (wrong.chars().count() / 4).max(1);
    let distances = names.into_iter().map(|name| (strsim::damerau_levenshtein(wrong, name), name));
    distances.filter(|(distance, _)| *distance <= most).min().map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_is_near_and_another_word_is_not() {
        let names = ["database", "tenant", "listen", "server.requests_max"];
        for (wrong, meant) in [
            ("databse", Some("database")),
            ("tennat", Some("tenant")),
            ("server.request_max", Some("server.requests_max")),
            ("serve.requests-max", Some("server.requests_max")),
            ("port", None),
            ("", None),
            ("service_host", None),
        ] {
            assert_eq!(nearest(wrong, names), meant, "{wrong}");
        }
    }
}
