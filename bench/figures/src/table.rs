/// A number short enough to read: `1.25 M`, `63.4 k`, `812`, `2.41`.
#[must_use]
pub fn amount(value: f64) -> String {
    match value.abs() {
        size if size >= 1e6 => format!("{:.2} M", value / 1e6),
        size if size >= 1e4 => format!("{:.1} k", value / 1e3),
        size if size >= 100.0 || size.fract() == 0.0 => format!("{value:.0}"),
        _ => format!("{value:.2}"),
    }
}

/// Lines of cells, told below each other.
#[derive(Clone, Debug)]
pub struct Columns<const N: usize> {
    lines: Vec<[String; N]>,
    right: &'static [usize],
}

impl<const N: usize> Columns<N> {
    /// Below these heads; the columns of numbers go to the right.
    #[must_use]
    pub fn new(heads: [&str; N], right: &'static [usize]) -> Self {
        Self { lines: vec![heads.map(str::to_owned)], right }
    }

    /// Adds a line.
    pub fn push(&mut self, cells: [String; N]) {
        self.lines.push(cells);
    }

    /// As text, each line with its end.
    #[must_use]
    pub fn text(&self) -> String {
        let width = |column: usize| self.lines.iter().map(|line| line[column].chars().count()).max();
        let widths: [usize; N] = std::array::from_fn(|column| width(column).unwrap_or(0));
        let mut text = String::new();
        for line in &self.lines {
            let cells = line.iter().zip(widths).enumerate().map(|(at, (cell, width))| {
                if self.right.contains(&at) { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
            });
            text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_stand_to_the_right() {
        let values = [1_250_000.0, 63_400.0, 812.3, 2.41, 3.0];
        assert_eq!(values.map(amount), ["1.25 M", "63.4 k", "812", "2.41", "3"]);
        let mut columns = Columns::new(["who", "much"], &[1]);
        columns.push(["a".to_owned(), amount(2.0)]);
        assert_eq!(columns.text(), "who  much\na       2\n");
    }
}
