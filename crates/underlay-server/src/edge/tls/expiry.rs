//! When a certificate ends: the one thing of it that is told and that TLS itself does not say.
//!
//! A certificate is DER: values within values, each with a tag, a length and a content. The time stands in the fourth
//! or fifth place of the first part (RFC 5280, 4.1).

use underlay_core::Timestamp;

const SEQUENCE: u8 = 0x30;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// The version, which a certificate of the first version has not.
const VERSION: u8 = 0xa0;

/// The end of a certificate; none where it is not written as one.
pub(super) fn expiry(der: &[u8]) -> Option<Timestamp> {
    let (certificate, _) = content(der, SEQUENCE)?;
    let (mut fields, _) = content(certificate, SEQUENCE)?;
    if fields.first() == Some(&VERSION) {
        fields = value(fields)?.2;
    }
    // The serial number, the algorithm and the issuer.
    for _ in 0..3 {
        fields = value(fields)?.2;
    }
    let (validity, _) = content(fields, SEQUENCE)?;
    let (_, _, rest) = value(validity)?;
    let (tag, text, _) = value(rest)?;
    let text = std::str::from_utf8(text).ok()?;
    let text = match tag {
        // Two digits of a year stand for 1950 to 2049.
        UTC_TIME if text.get(..2)?.parse::<u8>().ok()? < 50 => format!("20{text}"),
        UTC_TIME => format!("19{text}"),
        GENERALIZED_TIME => text.to_owned(),
        _ => return None,
    };
    let [year, month, day, hour, minute, second] =
        [0..4, 4..6, 6..8, 8..10, 10..12, 12..14].map(|range| text.get(range));
    if text.get(14..)? != "Z" {
        return None;
    }
    let time = format!("{}-{}-{}T{}:{}:{}Z", year?, month?, day?, hour?, minute?, second?);
    time.parse().ok()
}

/// The content of a value of this kind, and what follows it.
fn content(bytes: &[u8], wanted: u8) -> Option<(&[u8], &[u8])> {
    let (tag, content, rest) = value(bytes)?;
    (tag == wanted).then_some((content, rest))
}

/// The tag and the content of the first value, and what follows it.
fn value(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
        let length = digits
            .iter()
            .try_fold(0_usize, |length, digit| length.checked_mul(256)?.checked_add(usize::from(*digit)))?;
        (length, rest)
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    fn certificate(year: i32) -> Vec<u8> {
        let mut params = CertificateParams::new(vec!["bank.example".to_owned()]).unwrap();
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(year, 3, 9);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn the_end_is_read_in_both_of_its_forms() {
        for year in [2021, 2049, 2050, 3000] {
            let end: Timestamp = format!("{year}-03-09T00:00:00Z").parse().unwrap();
            assert_eq!(expiry(&certificate(year)), Some(end));
        }
    }

    #[test]
    fn what_is_cut_short_or_changed_has_no_end_and_does_no_harm() {
        let good = certificate(2049);
        for length in 0..good.len() {
            assert_eq!(expiry(&good[..length]), None, "{length}");
        }
        for at in 0..good.len() {
            for bit in [0x01, 0x80, 0xff] {
                let mut changed = good.clone();
                changed[at] ^= bit;
                let _any = expiry(&changed);
            }
        }
    }
}
