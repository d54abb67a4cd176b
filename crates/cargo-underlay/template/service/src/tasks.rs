//! The list of tasks, as people look at it.

use underlay::{Keys, Recorded, View};

use crate::task::TaskEvent;

/// One row. Queries can filter and sort by the indexed columns.
#[underlay::row]
pub struct TaskRow {
    #[column(indexed)]
    pub title: String,
    #[column(indexed)]
    pub done: bool,
}

pub struct Tasks;

impl View for Tasks {
    const NAME: &'static str = "tasks";
    type Event = TaskEvent;
    type Key = String;
    type Row = TaskRow;

    fn route(&self, event: &Recorded<TaskEvent>, keys: &mut Keys<String>) {
        keys.push(event.stream().id().to_owned());
    }

    fn fold(
        &self,
        _: &String,
        row: Option<TaskRow>,
        event: &Recorded<TaskEvent>,
    ) -> Option<TaskRow> {
        match &event.event {
            TaskEvent::Added { title } => Some(TaskRow {
                title: title.clone(),
                done: false,
            }),
            TaskEvent::Done => row.map(|row| TaskRow { done: true, ..row }),
        }
    }
}
