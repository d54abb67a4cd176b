//! Where something stands in a trace, as W3C Trace Context writes it down.

use std::fmt;

use uuid::Uuid;

/// Bytes of the four fields that every version of a `traceparent` has.
const FIELDS: usize = 55;
/// The flag that says that whoever sent the context records the trace.
const SAMPLED: u8 = 1;

/// The identity of a trace: never zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId(pub [u8; 16]);

/// The identity of a span within its trace: never zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpanId(pub [u8; 8]);

impl TraceId {
    /// Draws a new id. All of its bits are random, which samplers rely on.
    #[must_use]
    pub fn draw() -> Self {
        let (first, last) = (SpanId::draw().0, SpanId::draw().0);
        let mut drawn = [0; 16];
        drawn[..8].copy_from_slice(&first);
        drawn[8..].copy_from_slice(&last);
        Self(drawn)
    }

    /// Whether a trace of this id is among those that are sampled at a ratio from 0 to 1. Every service that is
    /// asked gives the same answer.
    #[must_use]
    pub fn is_within(self, ratio: f64) -> bool {
        let [.., a, b, c, d, e, f, g] = self.0;
        // As many bits as a f64 holds, so that none is rounded up to the end.
        let random = u64::from_be_bytes([0, a, b, c, d, e, f, g]) >> 3;
        (random as f64) < ratio * (1_u64 << 53) as f64
    }
}

impl SpanId {
    /// Draws a new id.
    #[must_use]
    pub fn draw() -> Self {
        loop {
            // Some bits of a UUID are fixed, and none stands at the same place of both halves.
            let (high, low) = Uuid::new_v4().as_u64_pair();
            if high != low {
                return Self((high ^ low).to_be_bytes());
            }
        }
    }
}

/// A span as others refer to it: its trace, its id, and whether it is recorded.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceContext {
    /// The trace.
    pub trace_id: TraceId,
    /// The span.
    pub span_id: SpanId,
    /// The flags, as they are passed on.
    flags: u8,
}

impl TraceContext {
    /// The context of a span.
    #[must_use]
    pub fn new(trace_id: TraceId, span_id: SpanId, is_sampled: bool) -> Self {
        Self { trace_id, span_id, flags: u8::from(is_sampled) }
    }

    /// Reads a `traceparent`: a version, a trace id, a parent id and flags, in lower-case hex. A later version may have
    /// more fields: its first four are taken as the version that is known here, with the one flag that is. What is
    /// not well formed is none, as the specification asks.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let (fields, rest) = (bytes.get(..FIELDS)?, bytes.get(FIELDS..)?);
        if [2, 35, 52].iter().any(|dash| fields[*dash] != b'-') {
            return None;
        }
        let ([version], [flags]) = (hex(&fields[..2])?, hex(&fields[53..])?);
        let (trace_id, span_id) = (hex(&fields[3..35])?, hex(&fields[36..52])?);
        let flags = match version {
            0 => rest.is_empty().then_some(flags)?,
            0xff => return None,
            _ => (rest.is_empty() || rest[0] == b'-').then_some(flags & SAMPLED)?,
        };
        let is_set = trace_id != [0; 16] && span_id != [0; 8];
        is_set.then_some(Self { trace_id: TraceId(trace_id), span_id: SpanId(span_id), flags })
    }

    /// Whether the trace is recorded.
    #[must_use]
    pub fn is_sampled(self) -> bool {
        self.flags & SAMPLED == SAMPLED
    }

    /// The context of another span of the same trace.
    #[must_use]
    pub fn with_span(self, span_id: SpanId) -> Self {
        Self { span_id, ..self }
    }
}

/// Reads lower-case hex of twice as many digits.
fn hex<const BYTES: usize>(digits: &[u8]) -> Option<[u8; BYTES]> {
    let value = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let mut read = [0; BYTES];
    for (byte, pair) in read.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = value(pair[0])? << 4 | value(pair[1])?;
    }
    Some(read)
}

fn write_hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TraceId({self})")
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

impl fmt::Debug for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SpanId({self})")
    }
}

/// As a `traceparent` has it.
impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-{:02x}", self.trace_id, self.span_id, self.flags)
    }
}

impl fmt::Debug for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TraceContext({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const PARENT: &str = "b7ad6b7169203331";

    fn passed_on(text: &str) -> Option<String> {
        TraceContext::parse(text).map(|context| {
            assert_eq!(context.trace_id.to_string(), TRACE);
            assert_eq!(context.span_id.to_string(), PARENT);
            context.to_string()
        })
    }

    #[test]
    fn a_context_goes_on_as_it_came_and_a_later_version_as_the_one_known_here() {
        for flags in ["00", "01", "03", "ff"] {
            let known = format!("00-{TRACE}-{PARENT}-{flags}");
            assert_eq!(passed_on(&known), Some(known.clone()));
            assert_eq!(TraceContext::parse(&known).unwrap().is_sampled(), flags != "00");
        }
        for (later, flags) in [("01", "01"), ("cc", "ff"), ("01", "02")] {
            let sampled = if flags == "02" { "00" } else { "01" };
            let as_known = Some(format!("00-{TRACE}-{PARENT}-{sampled}"));
            assert_eq!(passed_on(&format!("{later}-{TRACE}-{PARENT}-{flags}")), as_known);
            assert_eq!(passed_on(&format!("{later}-{TRACE}-{PARENT}-{flags}-more.of-it")), as_known);
        }
    }

    #[test]
    fn what_is_not_well_formed_is_no_context() {
        let good = format!("00-{TRACE}-{PARENT}-01");
        let zero = "0".repeat(32);
        for text in [
            String::new(),
            format!("00-{TRACE}-{PARENT}"),
            format!("ff-{TRACE}-{PARENT}-01"),
            format!("00-{zero}-{PARENT}-01"),
            format!("00-{TRACE}-{}-01", &zero[..16]),
            format!("00-{}-{PARENT}-01", TRACE.to_uppercase()),
            format!("{good}-"),
            format!("{good}-more"),
            format!("{good}0"),
            format!("01-{TRACE}-{PARENT}-010"),
            format!("01-{TRACE}-{PARENT}-01.more"),
            format!("00-{TRACE}-{PARENT}-0g"),
            format!("00-{TRACE}{PARENT}--01"),
            format!("00-{TRACE}-ä{}-01", &PARENT[2..]),
            format!(" {good}"),
        ] {
            assert_eq!(passed_on(&text), None, "{text}");
        }
    }

    #[test]
    fn a_ratio_takes_as_many_of_the_drawn_traces_and_all_or_none_at_its_ends() {
        let drawn: Vec<TraceId> = (0..4_000).map(|_| TraceId::draw()).collect();
        let taken = |ratio: f64| drawn.iter().filter(|trace| trace.is_within(ratio)).count();
        assert_eq!((taken(0.0), taken(1.0)), (0, drawn.len()));
        // Six standard deviations from the mean.
        assert!((1_000 - 165..=1_000 + 165).contains(&taken(0.25)), "{}", taken(0.25));
        let highest = TraceId([0xff; 16]);
        assert!(highest.is_within(1.0) && !highest.is_within(0.999_999));
    }
}
