use std::collections::VecDeque;
use std::sync::Arc;

use underlay_core::Position;

/// The last of something that happened, in the order of the log: all there is above the floor.
pub(crate) struct Ring<T> {
    items: VecDeque<Item<T>>,
    floor: Position,
    bytes: usize,
}

struct Item<T> {
    position: Position,
    bytes: usize,
    value: Arc<T>,
}

/// What is above a place.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Look<T> {
    /// The first of it, up to a position: nothing else is between the two.
    Found(Vec<Arc<T>>, Position),
    /// Nothing is.
    Nothing,
    /// It is not known here whether anything was.
    Behind,
}

impl<T> Ring<T> {
    pub(crate) fn new(floor: Position) -> Self {
        Self { items: VecDeque::new(), floor, bytes: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds what comes next. Several may have one position.
    pub(crate) fn push(&mut self, position: Position, bytes: usize, value: Arc<T>) {
        self.bytes += bytes;
        self.items.push_back(Item { position, bytes, value });
    }

    /// Forgets the oldest until no more is left than this.
    pub(crate) fn keep(&mut self, count_max: usize, bytes_max: usize) {
        while self.items.len() > count_max || self.bytes > bytes_max {
            let Some(first) = self.items.pop_front() else { return };
            self.floor = first.position;
            self.bytes -= first.bytes;
        }
        // What has one position goes together: who is there has taken all of it or none.
        while self.items.front().is_some_and(|item| item.position <= self.floor) {
            if let Some(item) = self.items.pop_front() {
                self.bytes -= item.bytes;
            }
        }
    }

    /// About so many of what is above a place; what has one position comes together.
    pub(crate) fn above(&self, place: Position, about: usize) -> Look<T> {
        if place < self.floor {
            return Look::Behind;
        }
        let first = self.items.partition_point(|item| item.position <= place);
        let mut found = Vec::new();
        let mut end = place;
        for item in self.items.range(first..) {
            if found.len() >= about && item.position > end {
                break;
            }
            end = item.position;
            found.push(item.value.clone());
        }
        if found.is_empty() { Look::Nothing } else { Look::Found(found, end) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(number: u64) -> Position {
        Position::from_number(number)
    }

    fn found(values: &[u64], end: u64) -> Look<u64> {
        Look::Found(values.iter().copied().map(Arc::new).collect(), at(end))
    }

    #[test]
    fn whoever_is_at_or_above_the_floor_is_given_all_there_is() {
        let mut ring = Ring::new(at(10));
        assert_eq!(ring.above(at(10), 5), Look::Nothing);
        assert_eq!(ring.above(at(9), 5), Look::Behind);
        for number in [12, 15, 16] {
            ring.push(at(number), 100, Arc::new(number));
        }
        assert_eq!(ring.above(at(10), 2), found(&[12, 15], 15));
        assert_eq!(ring.above(at(12), 5), found(&[15, 16], 16));
        assert_eq!(ring.above(at(13), 5), found(&[15, 16], 16));
        assert_eq!(ring.above(at(16), 5), Look::Nothing);
        assert_eq!(ring.above(at(40), 5), Look::Nothing);
    }

    #[test]
    fn what_is_forgotten_leaves_those_behind_who_had_not_taken_it() {
        let mut ring = Ring::new(at(0));
        for number in 1..=5 {
            ring.push(at(number), 10, Arc::new(number));
        }
        ring.keep(3, 1_000);
        assert_eq!((ring.len(), ring.bytes()), (3, 30));
        assert_eq!(ring.above(at(1), 9), Look::Behind);
        assert_eq!(ring.above(at(2), 9), found(&[3, 4, 5], 5));
        ring.keep(9, 15);
        assert_eq!(ring.above(at(3), 9), Look::Behind);
        assert_eq!(ring.above(at(4), 9), found(&[5], 5));
        ring.keep(0, 0);
        assert_eq!((ring.above(at(4), 9), ring.above(at(5), 9)), (Look::Behind, Look::Nothing));
    }

    #[test]
    fn what_has_one_position_comes_and_goes_together() {
        let mut ring = Ring::new(at(0));
        for (number, value) in [(1, 1), (2, 2), (2, 3), (2, 4), (3, 5)] {
            ring.push(at(number), 1, Arc::new(value));
        }
        assert_eq!(ring.above(at(1), 1), found(&[2, 3, 4], 2));
        ring.keep(3, 100);
        assert_eq!(ring.len(), 1);
        assert_eq!(ring.above(at(1), 9), Look::Behind);
        assert_eq!(ring.above(at(2), 9), found(&[5], 3));
    }
}
