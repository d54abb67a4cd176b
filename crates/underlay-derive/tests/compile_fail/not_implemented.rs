use underlay_core::{Aggregate, Command, Event, Refusal, Row, View};

struct Plain;

fn event<T: Event>() {}
fn command<T: Command>() {}
fn refusal<T: Refusal>() {}
fn row<T: Row>() {}
fn aggregate<T: Aggregate>() {}
fn view<T: View>() {}

fn main() {
    event::<Plain>();
    command::<Plain>();
    refusal::<Plain>();
    row::<Plain>();
    aggregate::<Plain>();
    view::<Plain>();
}
