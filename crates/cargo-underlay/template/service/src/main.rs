//! The service: what it is made of, and the program around it.

mod task;
mod tasks;

use underlay::{Exit, Service};

use crate::task::Task;
use crate::tasks::Tasks;

/// Names the program, its database file and its variables.
const NAME: &str = "{{name}}";

fn service() -> Service {
    Service::new(NAME).aggregate::<Task>().view(Tasks)
}

fn main() -> Exit {
    service().main()
}

#[cfg(test)]
mod tests {
    use underlay::events_lock::{LockCheck, check_events_lock};

    #[test]
    fn events_are_as_they_were_released() {
        let locked = include_str!("../events.lock");
        let check = check_events_lock(super::service().registry(), locked);
        assert_eq!(check, Ok(LockCheck::Fits));
    }
}
