//! What gives a tenant's data away wherever it shows: marks in its texts, and ids that begin with its
//! number.

use underlay_core::TenantId;
use uuid::Uuid;

use crate::Result;

/// Texts of every tenant hold this, then its number, then [`MARK_END`].
const MARK_BEGIN: &str = "mk";
const MARK_END: &str = "qz";
/// Ids of every tenant begin with this, then its number.
const ID_BEGIN: &str = "5ec7e";
const DIGITS: usize = 3;
/// The number of what all tenants share.
pub(super) const EVERYBODY: u32 = 0;

/// A tenant whose data can be told from everybody else's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Marked {
    pub(super) id: TenantId,
    pub(super) number: u32,
}

impl Marked {
    pub(super) fn new(name: &str, number: u32) -> Result<Self> {
        Ok(Self { id: TenantId::new(name)?, number })
    }

    /// What every text of the tenant holds.
    pub(super) fn mark(&self) -> String {
        mark(self.number)
    }

    /// An id of the tenant's own.
    pub(super) fn uuid(&self, number: u32) -> Uuid {
        uuid(self.number, number)
    }
}

/// What every text of a tenant of this number holds.
pub(super) fn mark(tenant: u32) -> String {
    format!("{MARK_BEGIN}{tenant:03}{MARK_END}")
}

/// An id of a tenant of this number.
pub(super) fn uuid(tenant: u32, number: u32) -> Uuid {
    let high = u128::from(0x5_ec7e_u32) << 12 | u128::from(hexadecimal(tenant));
    // Of version 4, so that it is an id like any other.
    Uuid::from_u128(high << 96 | 0x4000_8000_0000_0000_0000 | u128::from(number))
}

/// The number whose hexadecimal digits are the decimal digits of `number`.
fn hexadecimal(number: u32) -> u32 {
    (0..DIGITS as u32).map(|place| (number / 10_u32.pow(place) % 10) << (4 * place)).sum()
}

/// The first sign in a text of a tenant that has not this number.
pub(super) fn foreign(own: Option<u32>, text: &str) -> Option<String> {
    let mut signs = Vec::new();
    for (begin, end) in [(MARK_BEGIN, MARK_END), (ID_BEGIN, "")] {
        for (at, _) in text.match_indices(begin) {
            let number = text.get(at + begin.len()..at + begin.len() + DIGITS);
            let ends = text.get(at + begin.len() + DIGITS..).is_some_and(|rest| rest.starts_with(end));
            let Some(number) = number.filter(|_| ends).and_then(|number| number.parse::<u32>().ok()) else {
                continue;
            };
            if number != EVERYBODY && Some(number) != own {
                signs.push((at, format!("{begin}{number:03}{end}")));
            }
        }
    }
    signs.into_iter().min().map(|(_, sign)| sign)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_of_others_are_found_and_ones_own_are_not() {
        let (one, two) = (Marked::new("acme", 1).unwrap(), Marked::new("acm", 102).unwrap());
        for text in [two.mark(), two.uuid(7).to_string(), format!("a {} b {}", one.mark(), two.mark())] {
            assert!(foreign(Some(1), &text).is_some(), "{text}");
            assert!(foreign(None, &text).is_some(), "{text}");
        }
        for text in [one.mark(), one.uuid(7).to_string(), "mk, 5ec7e and mk1qz".to_owned()] {
            assert_eq!(foreign(Some(1), &text), None, "{text}");
        }
        assert_ne!(one.uuid(1), one.uuid(2));
    }
}
