//! From the measurements of all rounds to one row of the table.

use serde_json::{Value, json};

use super::{
    measure::Measurement,
    plan::{Bound, Comparison},
};

/// One comparison, measured.
pub(crate) struct Row<'a> {
    pub(crate) comparison: &'a Comparison,
    pub(crate) subject: Vec<Measurement>,
    pub(crate) reference: Vec<Measurement>,
}

impl Row<'_> {
    /// The subject's median by the reference's, or the subject's alone where there is no reference.
    pub(crate) fn value(&self) -> f64 {
        let subject = median(&self.subject).unwrap_or(f64::NAN);
        match median(&self.reference) {
            Some(reference) => subject / reference,
            None => subject,
        }
    }

    /// True if the bound holds and every job of every run is accounted for.
    pub(crate) fn passed(&self) -> bool {
        self.comparison.bound.holds(self.value()) && self.lost() == 0 && self.duplicated() == 0
    }

    pub(crate) fn lost(&self) -> u64 {
        self.runs().map(|run| run.lost).sum()
    }

    pub(crate) fn duplicated(&self) -> u64 {
        self.runs().map(|run| run.duplicated).sum()
    }

    fn runs(&self) -> impl Iterator<Item = &Measurement> {
        self.subject.iter().chain(&self.reference)
    }

    /// The cells of the printed table, in the order of `HEADINGS`.
    pub(crate) fn cells(&self) -> [String; 7] {
        let figure = |runs: &[Measurement]| median(runs).map_or_else(|| "-".to_owned(), number);
        let bound = match self.comparison.bound {
            Bound::RatioAtLeast(least) => format!("≥ {least}"),
            Bound::RatioAtMost(most) => format!("≤ {most}"),
            Bound::AtMost(most) => format!("≤ {most} ms"),
        };
        [
            self.comparison.name.to_owned(),
            figure(&self.subject),
            figure(&self.reference),
            format!("{:.2}", self.value()),
            bound,
            format!("{}/{}", self.lost(), self.duplicated()),
            if self.passed() { "ok" } else { "MISSED" }.to_owned(),
        ]
    }

    /// The row as one JSON line.
    pub(crate) fn json(&self) -> Value {
        let figures = |runs: &[Measurement]| runs.iter().map(|run| run.figure).collect::<Vec<f64>>();
        let (bound, limit) = match self.comparison.bound {
            Bound::RatioAtLeast(least) => ("ratio_at_least", least),
            Bound::RatioAtMost(most) => ("ratio_at_most", most),
            Bound::AtMost(most) => ("at_most", most),
        };
        json!({
            "name": self.comparison.name,
            "figure": self.comparison.subject.figure.path().join("."),
            "subject": figures(&self.subject),
            "reference": figures(&self.reference),
            "value": self.value(),
            "bound": bound,
            "limit": limit,
            "lost": self.lost(),
            "duplicated": self.duplicated(),
            "passed": self.passed(),
        })
    }
}

const HEADINGS: [&str; 7] = ["comparison", "subject", "reference", "ratio", "bound", "lost/doubled", ""];

/// Draws the table.
pub(crate) fn table(rows: &[Row<'_>]) -> String {
    let mut lines = vec![HEADINGS.map(str::to_owned)];
    lines.extend(rows.iter().map(Row::cells));
    let widths: Vec<usize> = (0..HEADINGS.len())
        .map(|column| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0))
        .collect();
    let mut text = String::new();
    for line in &lines {
        let cells = line.iter().zip(&widths).enumerate().map(|(column, (cell, width))| match column {
            0 | 6 => format!("{cell:width$}"),
            _ => format!("{cell:>width$}"),
        });
        text.push_str(cells.collect::<Vec<String>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// The median, the mean of the middle two for an even number of runs.
pub(crate) fn median(runs: &[Measurement]) -> Option<f64> {
    let mut figures: Vec<f64> = runs.iter().map(|run| run.figure).collect();
    figures.sort_by(f64::total_cmp);
    let middle = figures.len() / 2;
    match figures.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(figures[middle]),
        _ => Some(f64::midpoint(figures[middle - 1], figures[middle])),
    }
}

fn number(value: f64) -> String {
    if value >= 100.0 { format!("{value:.0}") } else { format!("{value:.3}") }
}
