//! Parts of queries that SQL databases write alike. Values are bound and never stand in the text; names are
//! quoted.

use crate::domain::{Comparison, Condition, Direction, Filter};
use crate::words::Value;

/// A name as an identifier.
#[must_use]
pub fn sql_name(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The word after a column that says the direction of an order, with the space before it.
#[must_use]
pub fn sql_direction(direction: Direction) -> &'static str {
    match direction {
        Direction::Ascending => "",
        Direction::Descending => " DESC",
    }
}

/// The comparison that leads from one row to those after it, in a direction.
#[must_use]
pub fn sql_beyond(direction: Direction) -> &'static str {
    match direction {
        Direction::Ascending => ">",
        Direction::Descending => "<",
    }
}

/// What a filter compares its column with, all of which must hold: operators and values. Text is ordered by
/// its bytes.
#[must_use]
pub fn sql_comparisons(filter: &Filter) -> Vec<(&'static str, Value)> {
    let operator = match filter.comparison {
        Comparison::Eq => "=",
        Comparison::Lt => "<",
        Comparison::Le => "<=",
        Comparison::Gt => ">",
        Comparison::Ge | Comparison::Prefix => ">=",
    };
    let mut comparisons = vec![(operator, filter.value.clone())];
    if let (Comparison::Prefix, Value::Text(prefix)) = (filter.comparison, &filter.value)
        && let Some(end) = end_of_prefix(prefix)
    {
        comparisons.push(("<", Value::Text(end)));
    }
    comparisons
}

/// A condition as an expression that is true or false and never null. `column` writes a column, `bind` binds a value
/// and writes its parameter.
pub fn sql_condition(
    condition: &Condition,
    column: &impl Fn(&str) -> String,
    bind: &mut impl FnMut(Value) -> String,
) -> String {
    let mut join = |parts: &[Condition], word: &str, of_none: &str| {
        let parts: Vec<String> = parts.iter().map(|part| sql_condition(part, column, bind)).collect();
        if parts.is_empty() { of_none.to_owned() } else { format!("({})", parts.join(word)) }
    };
    match condition {
        Condition::All(parts) => join(parts, " AND ", "true"),
        Condition::Any(parts) => join(parts, " OR ", "false"),
        Condition::Not(part) => format!("(NOT {})", sql_condition(part, column, bind)),
        Condition::Compare(filter) => {
            let name = column(&filter.column);
            let compared = sql_comparisons(filter).into_iter();
            let compared: Vec<String> =
                compared.map(|(operator, value)| format!("{name} {operator} {}", bind(value))).collect();
            format!("coalesce({}, false)", compared.join(" AND "))
        }
        Condition::In { values, .. } if values.is_empty() => "false".to_owned(),
        Condition::In { column: of, values } => {
            let values: Vec<String> = values.iter().map(|value| bind(value.clone())).collect();
            format!("coalesce({} IN ({}), false)", column(of), values.join(", "))
        }
        Condition::IsNull { column: of } => format!("({} IS NULL)", column(of)),
    }
}

/// The first text after all that start with `prefix`; none where no text is.
fn end_of_prefix(prefix: &str) -> Option<String> {
    // Texts are ordered by their bytes, and UTF-8 keeps the order of the characters.
    let mut characters: Vec<char> = prefix.chars().collect();
    while let Some(last) = characters.pop() {
        // The range of characters passes over the surrogates.
        if let Some(next) = (last..=char::MAX).nth(1) {
            characters.push(next);
            return Some(characters.into_iter().collect());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quote_in_a_name_does_not_end_it() {
        assert_eq!(sql_name("a\"; --"), "\"a\"\"; --\"");
    }

    #[test]
    fn a_prefix_is_a_range() {
        let letters = ["", "\0", "a", "b", "é", "\u{d7ff}", "\u{e000}", "\u{10ffff}"];
        let words = |length: u32| {
            (0..letters.len().pow(length)).map(move |mut number| {
                let mut word = String::new();
                for _ in 0..length {
                    word.push_str(letters[number % letters.len()]);
                    number /= letters.len();
                }
                word
            })
        };
        for prefix in words(3) {
            let end = end_of_prefix(&prefix);
            for text in words(3) {
                let in_range = text >= prefix && end.as_ref().is_none_or(|end| text < *end);
                assert_eq!(in_range, text.starts_with(&prefix), "{prefix:?} {text:?}");
            }
        }
    }

    #[test]
    fn a_condition_is_true_or_false_and_its_values_are_bound() {
        let mut values = Vec::new();
        let mut bind = |value: Value| {
            values.push(value);
            format!("?{}", values.len())
        };
        let compare = |column: &str, comparison, value: &str| {
            Condition::compare(column, comparison, Value::Text(value.to_owned()))
        };
        let condition = Condition::All(vec![
            compare("a\"", Comparison::Eq, "'; --"),
            Condition::Any(vec![compare("b", Comparison::Prefix, "x"), Condition::Any(Vec::new())]).negated(),
            Condition::In { column: "c".to_owned(), values: vec![Value::Integer(1), Value::Integer(2)] },
            Condition::In { column: "c".to_owned(), values: Vec::new() },
            Condition::IsNull { column: "d".to_owned() },
            Condition::default(),
        ]);
        let sql = sql_condition(&condition, &sql_name, &mut bind);
        assert_eq!(
            sql,
            "(coalesce(\"a\"\"\" = ?1, false) AND (NOT (coalesce(\"b\" >= ?2 AND \"b\" < ?3, false) OR false)) \
             AND coalesce(\"c\" IN (?4, ?5), false) AND false AND (\"d\" IS NULL) AND true)"
        );
        let text = |text: &str| Value::Text(text.to_owned());
        assert_eq!(values, [text("'; --"), text("x"), text("y"), Value::Integer(1), Value::Integer(2)]);
    }
}
