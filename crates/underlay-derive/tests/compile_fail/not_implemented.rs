use underlay_core::{Aggregate, Command, Entity, Event, Persistent, Refusal, Row, SnapshotState, View};

struct Plain;

fn event<T: Event>() {}
fn command<T: Command>() {}
fn refusal<T: Refusal>() {}
fn row<T: Row>() {}
fn entity<T: Entity>() {}
fn persistent<T: Persistent>() {}
fn aggregate<T: Aggregate>() {}
fn view<T: View>() {}
fn snapshot_state<T: SnapshotState>() {}

fn main() {
    event::<Plain>();
    command::<Plain>();
    refusal::<Plain>();
    row::<Plain>();
    entity::<Plain>();
    persistent::<Plain>();
    aggregate::<Plain>();
    view::<Plain>();
    snapshot_state::<Plain>();
}
