use std::fmt::Display;
use std::str::FromStr;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use crate::problem::Problem;

/// Parameters in one query string.
pub(crate) const PARAMETERS_MAX: usize = 64;

/// The query string of a request, or a form of the console, decoded strictly. Handlers take what they know; what is left over
/// is refused by [`Parameters::finish`].
#[derive(Debug)]
pub(crate) struct Parameters(Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for Parameters {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        Self::parse(parts.uri.query().unwrap_or_default(), "PARAMETERS_MAX", PARAMETERS_MAX)
    }
}

impl Parameters {
    /// Reads what is written as the query of an address is; `limit` is the name of `max`.
    pub(crate) fn parse(query: &str, limit: &str, max: usize) -> Result<Self, Problem> {
        let mut parameters = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            if parameters.len() == max {
                return Err(Problem::invalid(format!("there are more than {limit} = {max} parameters")));
            }
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            parameters.push((decode(name)?, decode(value)?));
        }
        Ok(Self(parameters))
    }

    /// Parameters that were read elsewhere.
    pub(crate) fn of(pairs: Vec<(String, String)>) -> Self {
        Self(pairs)
    }

    /// The value of a parameter that may be there once.
    pub(crate) fn take(&mut self, name: &str) -> Result<Option<String>, Problem> {
        let mut values = self.take_all(name);
        if values.len() > 1 {
            return Err(Problem::invalid(format!("the parameter {name} is there twice")));
        }
        Ok(values.pop())
    }

    /// The same, parsed.
    pub(crate) fn take_parsed<T: FromStr<Err: Display>>(&mut self, name: &str) -> Result<Option<T>, Problem> {
        let parse = |text: String| {
            text.parse().map_err(|error| Problem::invalid(format!("{name}={text} does not fit: {error}")))
        };
        self.take(name)?.map(parse).transpose()
    }

    /// The number of things asked for in one page.
    pub(crate) fn take_limit(&mut self, default: usize, max: usize) -> Result<usize, Problem> {
        let limit = self.take_parsed("limit")?.unwrap_or(default.min(max));
        if limit == 0 || limit > max {
            return Err(Problem::invalid(format!("limit is 1 to {max}, {limit} was asked for")));
        }
        Ok(limit)
    }

    /// The values of a parameter that may be there several times, in order.
    pub(crate) fn take_all(&mut self, name: &str) -> Vec<String> {
        let (taken, left) = std::mem::take(&mut self.0).into_iter().partition(|(found, _)| found == name);
        self.0 = left;
        taken.into_iter().map(|(_, value): (String, String)| value).collect()
    }

    /// Leaves out what has no value, as a form sends a field that was left empty.
    pub(crate) fn without_empty(mut self) -> Self {
        self.0.retain(|(_, value)| !value.is_empty());
        self
    }

    /// Everything that was not taken, in order.
    pub(crate) fn into_rest(self) -> Vec<(String, String)> {
        self.0
    }

    /// Refuses what was not taken.
    pub(crate) fn finish(self, known: &[&str]) -> Result<(), Problem> {
        match self.0.first() {
            None => Ok(()),
            Some((name, _)) => Err(unknown(name, &known.join(", "))),
        }
    }
}

/// There is no parameter of that name.
pub(crate) fn unknown(name: &str, known: &str) -> Problem {
    let known = if known.is_empty() { "none" } else { known };
    Problem::invalid(format!("there is no parameter {name:?}; there are: {known}"))
}

fn decode(text: &str) -> Result<String, Problem> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => match (rest.next().and_then(hex_digit), rest.next().and_then(hex_digit)) {
                (Some(high), Some(low)) => high << 4 | low,
                _ => return Err(Problem::invalid(format!("{text:?}: % is followed by two hex digits"))),
            },
            byte => byte,
        });
    }
    match String::from_utf8(bytes) {
        Ok(decoded) if decoded.contains('\0') => {
            Err(Problem::invalid(format!("{text:?} holds a NUL, which no value has")))
        }
        Ok(decoded) => Ok(decoded),
        Err(_) => Err(Problem::invalid(format!("{text:?} is not UTF-8 once it is decoded"))),
    }
}

/// The value of a hexadecimal digit.
pub(crate) fn hex_digit(byte: u8) -> Option<u8> {
    // A digit of base 16 is below 16, so the cast is exact.
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(query: &str) -> Result<Parameters, Problem> {
        Parameters::parse(query, "PARAMETERS_MAX", PARAMETERS_MAX)
    }

    #[test]
    fn a_query_is_decoded_strictly() {
        let mut parameters = parse("a=x+y%2Bz&b=%C3%A4&&c&a%5Beq%5D=1").unwrap();
        assert_eq!(parameters.take("a").unwrap().as_deref(), Some("x y+z"));
        assert_eq!(parameters.take("b").unwrap().as_deref(), Some("ä"));
        assert_eq!(parameters.take("c").unwrap().as_deref(), Some(""));
        assert_eq!(parameters.into_rest(), [("a[eq]".to_owned(), "1".to_owned())]);
        for query in ["a=%", "a=%2", "a=%zz", "a=%+1", "%ff=1", "a=%00"] {
            parse(query).unwrap_err();
        }
    }

    #[test]
    fn a_query_has_a_bounded_number_of_parameters() {
        let query = |count| "a=1&".repeat(count);
        parse(&query(PARAMETERS_MAX)).unwrap();
        parse(&query(PARAMETERS_MAX + 1)).unwrap_err();
    }

    #[test]
    fn a_parameter_given_twice_is_refused_where_one_is_meant() {
        let mut parameters = parse("limit=1&limit=2").unwrap();
        parameters.take_limit(10, 10).unwrap_err();
    }
}
