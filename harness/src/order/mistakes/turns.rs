//! Tenants take turns in a ring that moves on by one a batch, however many a batch serves.

use std::collections::VecDeque;
use std::path::Path;

use crate::Result;
use crate::dice::Dice;
use crate::order::evidence::Evidence;

/// Tenants, all with a line that is never empty.
const TENANTS: usize = 60;
/// Commits in a batch.
const BATCH: usize = 50;
/// Batches.
const BATCHES: usize = 40;

pub(super) fn make(_: &Path, dice: &mut Dice) -> Result<Evidence> {
    let mut stored = vec![0; TENANTS];
    let mut ring: VecDeque<usize> = (0..TENANTS).collect();
    ring.rotate_left(dice.index(TENANTS));
    for _ in 0..BATCHES {
        for tenant in ring.iter().take(BATCH) {
            stored[*tenant] += 1;
        }
        ring.rotate_left(1);
    }
    Ok(Evidence { crowd: stored, ..Evidence::default() })
}
