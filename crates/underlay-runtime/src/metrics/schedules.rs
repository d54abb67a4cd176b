use super::{Counter, Exposition, Family, Kind};

static FIRED: Family = Family::new(
    "underlay_schedule_commands_total",
    Kind::Counter,
    &["on_time"],
    "Commands that this process submitted for schedules; on_time is false a minute after their moment.",
);
static FAILED: Family = Family::new(
    "underlay_schedule_failures_total",
    Kind::Counter,
    &[],
    "Times that a schedule was due and could not be submitted, in this process.",
);

/// What is counted of schedules.
#[derive(Default)]
pub(crate) struct ScheduleMetrics {
    pub(crate) on_time: Counter,
    pub(crate) late: Counter,
    pub(crate) failed: Counter,
}

impl ScheduleMetrics {
    pub(crate) fn write(&self, out: &mut Exposition) {
        out.begin(&FIRED).add(&["true"], self.on_time.get()).add(&["false"], self.late.get());
        out.begin(&FAILED).add(&[], self.failed.get());
    }
}
