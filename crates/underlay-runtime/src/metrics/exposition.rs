//! The text that Prometheus reads: version 0.0.4 of its format, which every version of it takes.

use std::fmt::{Display, Write};

use super::instruments::Histogram;

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A number that only grows while the process runs.
    Counter,
    /// A number as it is now.
    Gauge,
    /// How often something took how long.
    Histogram,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A metric: its name, which ends with its unit, and the labels that tell its values apart.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    name: &'static str,
    kind: Kind,
    labels: &'static [&'static str],
    about: &'static str,
}

impl Family {
    /// A metric; `about` is one line.
    #[must_use]
    pub const fn new(
        name: &'static str,
        kind: Kind,
        labels: &'static [&'static str],
        about: &'static str,
    ) -> Self {
        Self { name, kind, labels, about }
    }
}

/// Metrics as text. Each is written once, with all of its values.
#[derive(Debug, Default)]
pub struct Exposition {
    text: String,
}

impl Exposition {
    /// Begins a metric. It stands in the text also where no value follows.
    pub fn begin(&mut self, family: &'static Family) -> Samples<'_> {
        let Family { name, kind, about, .. } = family;
        self.push(format_args!("# HELP {name} {about}\n# TYPE {name} {}\n", kind.word()));
        Samples { exposition: self, family }
    }

    /// The text.
    #[must_use]
    pub fn into_text(self) -> String {
        self.text
    }

    fn push(&mut self, text: std::fmt::Arguments<'_>) {
        // A string takes whatever is written to it.
        let _ = self.text.write_fmt(text);
    }
}

/// The values of a metric.
#[derive(Debug)]
pub struct Samples<'e> {
    exposition: &'e mut Exposition,
    family: &'static Family,
}

impl Samples<'_> {
    /// A value, with what each label of the metric says, in their order.
    pub fn add(&mut self, labels: &[&str], value: impl Display) -> &mut Self {
        self.line("", labels, None, value);
        self
    }

    /// What a histogram has counted.
    pub fn add_histogram(&mut self, labels: &[&str], histogram: &Histogram) -> &mut Self {
        let mut count = 0;
        for (bound, up_to) in histogram.cumulative() {
            self.line("_bucket", labels, Some(bound), up_to);
            count = up_to;
        }
        self.line("_sum", labels, None, histogram.sum());
        self.line("_count", labels, None, count);
        self
    }

    fn line(&mut self, suffix: &str, labels: &[&str], bound: Option<f64>, value: impl Display) {
        debug_assert_eq!(labels.len(), self.family.labels.len(), "{}", self.family.name);
        let out = &mut *self.exposition;
        out.push(format_args!("{}{suffix}", self.family.name));
        let mut separator = '{';
        for (name, value) in self.family.labels.iter().zip(labels) {
            out.push(format_args!("{separator}{name}=\"{}\"", Escaped(value)));
            separator = ',';
        }
        if let Some(bound) = bound {
            let bound: &dyn Display = if bound.is_finite() { &bound } else { &"+Inf" };
            out.push(format_args!("{separator}le=\"{bound}\""));
            separator = ',';
        }
        let close = if separator == ',' { "}" } else { "" };
        out.push(format_args!("{close} {value}\n"));
    }
}

/// The value of a label, in which nothing ends it.
struct Escaped<'t>(&'t str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.chars().try_for_each(|sign| match sign {
            '\\' => f.write_str("\\\\"),
            '"' => f.write_str("\\\""),
            '\n' => f.write_str("\\n"),
            sign => f.write_char(sign),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    static PLAIN: Family = Family::new("underlay_plain", Kind::Gauge, &[], "Something plain.");
    static LABELLED: Family =
        Family::new("underlay_labelled_total", Kind::Counter, &["one", "other"], "Something with labels.");
    static TIMED: Family = Family::new("underlay_timed_seconds", Kind::Histogram, &["of"], "Some time.");

    #[test]
    fn no_value_of_a_label_ends_it_or_begins_another_line() {
        let mut out = Exposition::default();
        out.begin(&PLAIN).add(&[], 1.5);
        out.begin(&LABELLED).add(&["a\"} 7\nup 1", "\\"], 3);
        assert_eq!(
            out.into_text(),
            "# HELP underlay_plain Something plain.\n# TYPE underlay_plain gauge\nunderlay_plain 1.5\n# HELP \
             underlay_labelled_total Something with labels.\n# TYPE underlay_labelled_total counter\n\
             underlay_labelled_total{one=\"a\\\"} 7\\nup 1\",other=\"\\\\\"} 3\n"
        );
    }

    #[test]
    fn a_histogram_ends_with_all_that_was_counted() {
        let (mut out, histogram) = (Exposition::default(), Histogram::default());
        histogram.observe(Duration::from_millis(2));
        out.begin(&TIMED).add_histogram(&["x"], &histogram);
        let text = out.into_text();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[2], "underlay_timed_seconds_bucket{of=\"x\",le=\"0.0005\"} 0");
        assert_eq!(lines[4], "underlay_timed_seconds_bucket{of=\"x\",le=\"0.0025\"} 1");
        assert_eq!(
            lines[lines.len() - 3..],
            [
                "underlay_timed_seconds_bucket{of=\"x\",le=\"+Inf\"} 1",
                "underlay_timed_seconds_sum{of=\"x\"} 0.002",
                "underlay_timed_seconds_count{of=\"x\"} 1",
            ]
        );
    }
}
