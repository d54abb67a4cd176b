//! Where the traces of a service go to.

use underlay_core::Error;
use underlay_core::options::{ConfigOption, Configurable, Options, Place, TextValue};
use underlay_outbound::traces::{self, Exporting, OtlpConfig};
use underlay_runtime::{EngineConfig, Traces};

/// The ratio where nobody says another.
const ALL: f64 = 1.0;

/// What the service tells of its work.
#[derive(Clone, Debug, Default)]
pub(crate) struct TelemetryConfig {
    /// The collector of spans.
    pub(crate) otlp: OtlpConfig,
    /// Of the traces that begin here, the share that is recorded.
    pub(crate) sample_ratio: Ratio,
}

/// A number from 0 to 1, where one is set.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Ratio(Option<f64>);

impl Ratio {
    fn parse(text: &str) -> Result<Self, String> {
        let ratio = text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
        ratio
            .map(|ratio| Self(Some(ratio)))
            .ok_or_else(|| format!("{text:?} is no number from 0 to 1, such as 0.1"))
    }
}

impl TextValue for Ratio {
    fn text(&self) -> Option<String> {
        self.0.map(|ratio| ratio.to_string())
    }

    fn set_text(&mut self, text: &str) -> Result<(), String> {
        *self = Self::parse(text)?;
        Ok(())
    }
}

impl Configurable for TelemetryConfig {
    const OPTIONS: &'static [ConfigOption<Self>] = &[ConfigOption::<Self>::new(
        "sample_ratio",
        "Of the traces that begin here, the share that is recorded, from 0 to 1; all where nothing is said",
        |config| Place::Text(&mut config.sample_ratio),
    )
    .called("RATIO")];

    fn parts(&mut self) -> Vec<&mut dyn Options> {
        vec![&mut self.otlp]
    }
}

/// What is told while a program runs.
#[derive(Debug)]
pub(crate) struct Telemetry {
    exporting: Option<Exporting>,
    sample_ratio: f64,
}

impl Telemetry {
    /// Nothing is told.
    pub(crate) fn none() -> Self {
        Self { exporting: None, sample_ratio: ALL }
    }

    /// Begins to tell what is configured, or what the variables say that OpenTelemetry names.
    ///
    /// # Errors
    /// [`Error::Invalid`] where an option does not fit, or this program was built without the feature `otlp`.
    pub(crate) fn begin(
        config: &TelemetryConfig,
        service: &str,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, Error> {
        let mut otlp = config.otlp.clone();
        // The environment may be meant for other programs, and is no reason to refuse the start of this one.
        if cfg!(feature = "otlp") {
            otlp = otlp.or_standard_variables(&variable);
        }
        otlp.service_name.get_or_insert_with(|| service.to_owned());
        let sample_ratio = config.sample_ratio.0.or_else(|| standard_ratio(&variable).0).unwrap_or(ALL);
        Ok(Self { exporting: traces::open(&otlp)?, sample_ratio })
    }

    /// The engine, with whoever records its traces.
    pub(crate) fn of_engine(&self, config: EngineConfig) -> EngineConfig {
        match &self.exporting {
            Some(exporting) => {
                let traces = Traces::recorded_by(exporting.spans()).with_sample_ratio(self.sample_ratio);
                EngineConfig { traces, ..config }
            }
            None => config,
        }
    }

    /// Sends what is left, within a bound.
    pub(crate) async fn end(self) {
        let Some(exporting) = self.exporting else { return };
        if let Err(error) = tokio::task::spawn_blocking(move || exporting.flush()).await {
            tracing::warn!(%error, "the last spans were not sent");
        }
    }
}

/// The ratio that OpenTelemetry's variables of a sampler say.
fn standard_ratio(variable: impl Fn(&str) -> Option<String>) -> Ratio {
    let sampler = variable("OTEL_TRACES_SAMPLER").unwrap_or_default();
    match sampler.strip_prefix("parentbased_").unwrap_or(&sampler) {
        "always_off" => Ratio(Some(0.0)),
        "traceidratio" => {
            let said = variable("OTEL_TRACES_SAMPLER_ARG").unwrap_or_default();
            Ratio::parse(&said).unwrap_or_default()
        }
        _ => Ratio::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_a_number_from_0_to_1() {
        let mut config = TelemetryConfig::default();
        for wrong in ["", "-0.1", "1.1", "NaN", "inf", "half"] {
            assert!(config.set("sample_ratio", wrong).is_err(), "{wrong}");
        }
        config.set("sample_ratio", "0.25").unwrap();
        assert_eq!(config.sample_ratio, Ratio(Some(0.25)));
    }

    #[test]
    fn the_sampler_of_opentelemetry_counts_where_nothing_else_is_said() {
        let ratio = |variables: &[(&str, &str)]| {
            let find = |name: &str| {
                variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
            };
            standard_ratio(find).0
        };
        let quarter = ("OTEL_TRACES_SAMPLER_ARG", "0.25");
        assert_eq!(ratio(&[("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"), quarter]), Some(0.25));
        assert_eq!(ratio(&[("OTEL_TRACES_SAMPLER", "always_off"), quarter]), Some(0.0));
        assert_eq!(ratio(&[("OTEL_TRACES_SAMPLER", "parentbased_always_on"), quarter]), None);
        assert_eq!(ratio(&[quarter]), None);
    }
}
