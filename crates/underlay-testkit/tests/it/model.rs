//! The model, against the adapters in memory.

use underlay_testkit::model::{InMemory, compare};

#[test]
fn memory_answers_as_the_model_does() {
    compare::<InMemory>(200);
}
