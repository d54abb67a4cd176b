//! What a feed says, as Server-Sent Events have it.

use std::time::Duration;

use axum::body::Bytes;

/// The name of the last event of a feed. No type of an event has a colon.
pub(super) const END: &str = "underlay:end";

/// One event: its id where it moves the client's place, its name, and its data as JSON.
pub(super) fn event(id: Option<&str>, name: &str, data: &[u8]) -> Bytes {
    let mut frame = Vec::with_capacity(data.len() + name.len() + id.map_or(0, str::len) + 32);
    if let Some(id) = id {
        line(&mut frame, "id", id.as_bytes());
    }
    line(&mut frame, "event", name.as_bytes());
    line(&mut frame, "data", data);
    frame.push(b'\n');
    frame.into()
}

/// The first words of a feed: where it begins, and when to come back where it breaks off.
pub(super) fn opening(id: &str, retry: Duration) -> Bytes {
    format!("retry: {}\nid: {id}\n\n", retry.as_millis()).into()
}

/// The first word of a feed that gives rows first: when to come back where it breaks off.
pub(super) fn retry(retry: Duration) -> Bytes {
    format!("retry: {}\n\n", retry.as_millis()).into()
}

/// That the feed is there, and how far it has come. It carries no data, so a client is told of no event.
pub(super) fn heartbeat(id: Option<&str>) -> Bytes {
    match id {
        Some(id) => format!(": here\nid: {id}\n\n").into(),
        None => Bytes::from_static(b": here\n\n"),
    }
}

/// JSON has line breaks between its parts alone, where a blank means the same.
fn line(frame: &mut Vec<u8>, field: &str, value: &[u8]) {
    frame.extend_from_slice(field.as_bytes());
    frame.extend_from_slice(b": ");
    frame.extend(value.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }));
    frame.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_break_of_a_value_begins_a_field() {
        let frame = event(Some("7-ab"), "noted", b"{\"text\":\r\n\"x\"}\nid: 9\n\n");
        assert_eq!(&*frame, b"id: 7-ab\nevent: noted\ndata: {\"text\":  \"x\"} id: 9  \n\n");
        assert_eq!(&*event(None, "row", b"{}"), b"event: row\ndata: {}\n\n");
        assert_eq!(&*opening("0-x", Duration::from_secs(2)), b"retry: 2000\nid: 0-x\n\n");
        assert_eq!(&*heartbeat(Some("8-x")), b": here\nid: 8-x\n\n");
    }
}
