//! Tenants spread over several logs, on paper: how far the busiest log is above the mean, where tenants are placed by a hash
//! of their name, and after some of them were moved. Nothing is stored; the rates of tenants are those of Zipf's law, the
//! busiest in every seventh event.

use crate::dice::Dice;

use super::figure::{Aim, Figure, Sample};

pub(super) const PART: &str = "placement";

const TENANTS: usize = 1_000;
/// Placements that are drawn.
const DRAWN: usize = 200;
/// A log this far above the mean is left as it is.
const EVEN: f64 = 1.1;
/// Moves after which it is left too.
const MOVES_MAX: usize = 1_000;

pub(crate) fn measure() -> Vec<Figure> {
    let rates = zipf(TENANTS);
    let busiest = rates.first().copied().unwrap_or_default();
    let mut figures = Vec::new();
    for logs in [2, 4, 8, 16] {
        let mut dice = Dice::new(logs as u64);
        let (mut drawn, mut moved, mut moves) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..DRAWN {
            let mut placement = Placement::drawn(&rates, logs, &mut dice);
            drawn.push(Sample::of(placement.busiest_in_means()));
            // No log can be less busy than the busiest tenant is: a tenant is never split.
            let even = (EVEN / logs as f64).max(busiest);
            let done = (0..MOVES_MAX).take_while(|_| placement.move_one(&rates, even)).count();
            moves.push(Sample::of(done as f64));
            moved.push(Sample::of(placement.busiest_in_means()));
        }
        let name = |what: &str| format!("busiest of {logs} logs, {what}");
        figures.extend([
            Figure::new(name("by a hash"), "means", drawn),
            Figure::new(name("after moves"), "means", moved)
                .with_aim(Aim::AtMost(even_at_best(busiest, logs))),
            Figure::new(format!("tenants moved for that, {logs} logs"), "", moves),
        ]);
    }
    figures
}

/// The share of each tenant, the busiest first; all are one.
fn zipf(tenants: usize) -> Vec<f64> {
    let weights: Vec<f64> = (1..=tenants).map(|rank| 1.0 / rank as f64).collect();
    let sum: f64 = weights.iter().sum();
    weights.iter().map(|weight| weight / sum).collect()
}

/// What moves alone can reach, in means.
fn even_at_best(busiest: f64, logs: usize) -> f64 {
    EVEN.max(busiest * logs as f64)
}

/// Where tenants are.
struct Placement {
    /// The tenants of each log.
    tenants: Vec<Vec<usize>>,
    /// The share of all events that each has.
    shares: Vec<f64>,
}

impl Placement {
    fn drawn(rates: &[f64], logs: usize, dice: &mut Dice) -> Self {
        let mut drawn = Self { tenants: vec![Vec::new(); logs], shares: vec![0.0; logs] };
        for (tenant, rate) in rates.iter().enumerate() {
            let log = dice.index(logs);
            drawn.tenants[log].push(tenant);
            drawn.shares[log] += rate;
        }
        drawn
    }

    fn busiest_in_means(&self) -> f64 {
        self.shares.iter().copied().fold(0.0, f64::max) * self.shares.len() as f64
    }

    /// Moves the tenant from the busiest log to the idlest that evens them out most; false where that is not needed, or none
    /// helps.
    fn move_one(&mut self, rates: &[f64], even: f64) -> bool {
        let order = |a: &usize, b: &usize| self.shares[*a].total_cmp(&self.shares[*b]);
        let logs = 0..self.shares.len();
        let (Some(busiest), Some(idlest)) = (logs.clone().max_by(order), logs.min_by(order)) else {
            return false;
        };
        let gap = self.shares[busiest] - self.shares[idlest];
        let evened = |tenant: usize| rates[tenant].min(gap - rates[tenant]);
        let best = (0..self.tenants[busiest].len())
            .max_by(|a, b| evened(self.tenants[busiest][*a]).total_cmp(&evened(self.tenants[busiest][*b])));
        let Some(at) =
            best.filter(|at| self.shares[busiest] > even && evened(self.tenants[busiest][*at]) > 0.0)
        else {
            return false;
        };
        let tenant = self.tenants[busiest].swap_remove(at);
        self.tenants[idlest].push(tenant);
        self.shares[busiest] -= rates[tenant];
        self.shares[idlest] += rates[tenant];
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_move_evens_two_logs_out() {
        let rates = [0.4, 0.3, 0.2, 0.1];
        let mut placement = Placement { tenants: vec![vec![0, 1, 2, 3], vec![]], shares: vec![1.0, 0.0] };
        assert_eq!(placement.busiest_in_means(), 2.0);
        assert!(placement.move_one(&rates, 0.55) && !placement.move_one(&rates, 0.65));
        assert_eq!(placement.tenants, [vec![3, 1, 2], vec![0]]);
        assert!((placement.busiest_in_means() - 1.2).abs() < 1e-9);
    }

    #[test]
    fn a_tenant_is_never_split() {
        let mut placement = Placement { tenants: vec![vec![0], vec![]], shares: vec![1.0, 0.0] };
        assert!(!placement.move_one(&[1.0], 0.55));
    }
}
