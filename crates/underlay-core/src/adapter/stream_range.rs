use crate::words::{Category, StreamName};

/// The texts between which the names of a list of streams lie, both left out: those of one category, or all, after a
/// name. Texts are ordered by their bytes. Where nothing lies between them, the list is empty.
#[must_use]
pub fn stream_range(category: Option<&Category>, after: Option<&StreamName>) -> (String, String) {
    let (first, below) = match category {
        // Names go on with a `-`, and `.` is the next byte.
        Some(category) => (format!("{category}-"), format!("{category}.")),
        // They begin with a letter, and `{` is the byte after `z`.
        None => (String::new(), "{".to_owned()),
    };
    let above = after.map_or("", StreamName::as_str).max(&first).to_owned();
    (above, below)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_a_category_lie_in_its_range_and_no_others() {
        let range = |category: Option<&str>, after: Option<&str>| {
            let category = category.map(|text| Category::new(text).unwrap());
            let after = after.map(|text| StreamName::parse(text).unwrap());
            stream_range(category.as_ref(), after.as_ref())
        };
        let lies =
            |(above, below): &(String, String), name: &str| above.as_str() < name && name < below.as_str();
        let all = range(None, None);
        for name in ["a-1", "a-\u{10ffff}", "zz-{", "z_9-x"] {
            assert!(lies(&all, name), "{name}");
        }
        let notes = range(Some("note"), None);
        assert!(lies(&notes, "note- ") && lies(&notes, "note-\u{10ffff}"));
        for other in ["not-1", "note1-1", "note_-1", "notes-1", "notd-z"] {
            assert!(!lies(&notes, other), "{other}");
        }
        let later = range(Some("note"), Some("note-5"));
        assert!(!lies(&later, "note-5") && lies(&later, "note-50") && !lies(&later, "note-4"));
        assert!(lies(&range(Some("note"), Some("a-1")), "note-1"), "a name before the category");
        let (above, below) = range(Some("note"), Some("zebra-1"));
        assert!(above > below, "a name after the category");
    }
}
