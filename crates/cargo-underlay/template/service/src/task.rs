//! Tasks: they are added, and then they are done.

use underlay::{Aggregate, Context, Decision};

/// What can happen to a task. Names and versions are stored, so they stay as they are.
#[underlay::event]
pub enum TaskEvent {
    #[event(name = "task-added", version = 1)]
    Added { title: String },
    #[event(name = "task-done", version = 1)]
    Done,
}

/// What can be asked of a task.
#[underlay::command]
pub enum TaskCommand {
    #[command(name = "add")]
    Add { title: String },
    #[command(name = "finish")]
    Finish,
}

/// Why a task says no.
#[underlay::refusal]
pub enum TaskRefusal {
    #[refusal(code = "already-added", message = "there is a task with this id")]
    AlreadyAdded,
    #[refusal(code = "no-title", message = "a task needs a title")]
    NoTitle,
    #[refusal(code = "not-open", message = "there is no such task, or it is done")]
    NotOpen,
}

/// One task: as much of it as decisions need.
#[derive(Clone, Default)]
pub enum Task {
    #[default]
    Unknown,
    Open,
    Done,
}

impl Aggregate for Task {
    const CATEGORY: &'static str = "task";
    type Id = String;
    type Command = TaskCommand;
    type Event = TaskEvent;
    type Refusal = TaskRefusal;

    fn decide(
        &self,
        command: TaskCommand,
        _: &Context,
    ) -> Result<Decision<TaskEvent>, TaskRefusal> {
        match (command, self) {
            (TaskCommand::Add { title }, Self::Unknown) => match title.trim() {
                "" => Err(TaskRefusal::NoTitle),
                _ => Ok(TaskEvent::Added { title }.into()),
            },
            (TaskCommand::Add { .. }, _) => Err(TaskRefusal::AlreadyAdded),
            (TaskCommand::Finish, Self::Open) => Ok(TaskEvent::Done.into()),
            (TaskCommand::Finish, _) => Err(TaskRefusal::NotOpen),
        }
    }

    fn evolve(&mut self, event: &TaskEvent) {
        *self = match event {
            TaskEvent::Added { .. } => Self::Open,
            TaskEvent::Done => Self::Done,
        }
    }
}

#[cfg(test)]
mod tests {
    use underlay_testkit::given;

    use super::*;

    fn added() -> TaskEvent {
        TaskEvent::Added {
            title: "Write tests".to_owned(),
        }
    }

    #[test]
    fn a_task_is_done_once() {
        given::<Task>([added()])
            .when(TaskCommand::Finish)
            .then([TaskEvent::Done]);
        given::<Task>([added(), TaskEvent::Done])
            .when(TaskCommand::Finish)
            .then_refused("not-open");
    }

    #[test]
    fn a_task_needs_a_title() {
        given::<Task>([])
            .when(TaskCommand::Add {
                title: " ".to_owned(),
            })
            .then_refused("no-title");
    }
}
