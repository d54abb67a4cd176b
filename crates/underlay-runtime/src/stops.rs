use tokio::sync::watch;

/// Tells tasks that they are to end, one after the other in the order they were added: each has a signal of its own.
/// Those who wait for one signal together are woken in an order that is drawn, and a simulation could not draw it again.
///
/// Dropping it ends them too, at their next step.
#[derive(Debug, Default)]
pub(crate) struct Stops(Vec<watch::Sender<bool>>);

impl Stops {
    /// The signal of one more task: true once it is to end, closed where nobody is left to say so.
    pub(crate) fn add(&mut self) -> watch::Receiver<bool> {
        let (stop, stopped) = watch::channel(false);
        self.0.push(stop);
        stopped
    }

    /// Tells all of them.
    pub(crate) fn stop(&self) {
        for stop in &self.0 {
            stop.send_replace(true);
        }
    }
}
