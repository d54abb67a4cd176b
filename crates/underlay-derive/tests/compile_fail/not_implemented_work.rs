use underlay_core::{ColumnValue, Draw, Handler, Operation, Process, Sink};

struct Plain;

fn operation<T: Operation>() {}
fn process<T: Process>() {}
fn handler<T: Handler>() {}
fn draw<T: Draw>() {}
fn sink<T: Sink>() {}
fn column<T: ColumnValue>() {}

fn main() {
    operation::<Plain>();
    process::<Plain>();
    handler::<Plain>();
    draw::<Plain>();
    sink::<Plain>();
    column::<f64>();
}
