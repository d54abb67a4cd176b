/// Checks a plain name, as columns, categories and schemas have one: 1 to `bytes_max` characters of `a-z 0-9 _`, starting
/// with a letter.
///
/// # Errors
/// What is wrong with it, as a sentence that begins with the name.
pub fn check_plain_name(name: &str, bytes_max: usize) -> Result<(), String> {
    let is_plain = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.len() <= bytes_max
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    if is_plain {
        return Ok(());
    }
    Err(format!("{name:?} is not 1 to {bytes_max} characters of a-z, 0-9 and '_', starting with a letter"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_name_begins_with_a_letter_and_has_an_end() {
        for good in ["a", "rate", "rate_2", "abcd"] {
            assert_eq!(check_plain_name(good, 6), Ok(()));
        }
        for wrong in ["", "_a", "2a", "Rate", "ra-te", "ra te", "räte", "toolong", "a\0"] {
            let told = check_plain_name(wrong, 6).unwrap_err();
            assert!(told.starts_with(&format!("{wrong:?} is not 1 to 6 characters")), "{told}");
        }
    }
}
