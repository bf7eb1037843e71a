//! From the measurements of all rounds to the rows of the table.

use serde_json::{Value, json};

use super::{
    measure::{Measurement, NoMeasurement},
    plan::{Bound, Comparison, Side},
};

/// All runs of one side of a comparison.
#[derive(Debug)]
pub(crate) struct Runs {
    pub(crate) side: Side,
    pub(crate) measured: Vec<Measurement>,
    pub(crate) not_measured: Option<NoMeasurement>,
}

impl Runs {
    fn new(side: Side) -> Self {
        Self { side, measured: Vec::new(), not_measured: None }
    }

    /// The median figure; none if a run failed.
    pub(crate) fn figure(&self) -> Option<f64> {
        median(&self.measured).filter(|_| self.not_measured.is_none())
    }

    /// Whether a run of ours failed; a peer, or an earlier commit that lacks an option, does not count.
    fn failed(&self) -> bool {
        let is_ours = !self.side.program.is_peer() && !self.side.program.is_before();
        is_ours && matches!(self.not_measured, Some(NoMeasurement::Failed(_)))
    }

    fn lost(&self) -> u64 {
        self.measured.iter().map(|run| run.lost).sum()
    }

    fn duplicated(&self) -> u64 {
        self.measured.iter().map(|run| run.duplicated).sum()
    }

    fn cell(&self) -> String {
        self.figure().map_or_else(|| "-".to_owned(), number)
    }
}

/// One comparison, measured.
#[derive(Debug)]
pub(crate) struct Row<'a> {
    pub(crate) comparison: &'a Comparison,
    bound: Bound,
    pub(crate) subject: Runs,
    pub(crate) references: Vec<Runs>,
}

impl<'a> Row<'a> {
    /// A row of which nothing is measured yet.
    pub(crate) fn new(comparison: &'a Comparison) -> Self {
        let references = comparison.references.iter().copied().map(Runs::new).collect();
        Self { comparison, bound: comparison.bound, subject: Runs::new(comparison.subject), references }
    }

    /// The subject of a row, held against the same program of an earlier commit.
    pub(crate) fn against_before(comparison: &'a Comparison) -> Self {
        let subject = comparison.subject;
        Self {
            comparison,
            bound: subject.figure.bound_to_before(),
            subject: Runs::new(subject),
            references: vec![Runs::new(subject.before())],
        }
    }

    /// The figure of the reference that is hardest to reach.
    fn reference(&self) -> Option<f64> {
        let bound = self.bound;
        self.references.iter().filter_map(Runs::figure).reduce(|one, other| bound.harder(one, other))
    }

    /// The subject's median by the best reference's, or the subject's alone where there is no reference. None
    /// if one of them was not measured.
    pub(crate) fn value(&self) -> Option<f64> {
        let subject = self.subject.figure()?;
        if self.references.is_empty() { Some(subject) } else { Some(subject / self.reference()?) }
    }

    /// True if the bound does not hold, a run failed, or a job is not accounted for. A row that cannot be
    /// measured on this machine is not missed; it says so.
    pub(crate) fn missed(&self) -> bool {
        let failed = self.sides().any(Runs::failed);
        let broken = self.value().is_some_and(|value| !self.bound.holds(value));
        failed || broken || self.lost() + self.duplicated() > 0
    }

    /// True if the bound holds and every job of every run is accounted for.
    pub(crate) fn passed(&self) -> bool {
        self.value().is_some() && !self.missed()
    }

    pub(crate) fn lost(&self) -> u64 {
        self.ours().map(Runs::lost).sum()
    }

    pub(crate) fn duplicated(&self) -> u64 {
        self.ours().map(Runs::duplicated).sum()
    }

    fn sides(&self) -> impl Iterator<Item = &Runs> {
        self.references.iter().chain([&self.subject])
    }

    /// Peers answer for their own jobs, in their own lines.
    fn ours(&self) -> impl Iterator<Item = &Runs> {
        self.sides().filter(|runs| !runs.side.program.is_peer())
    }

    /// The lines of the printed table, in the order of `HEADINGS`: the row, and below it each reference where
    /// there are several.
    pub(crate) fn lines(&self) -> Vec<[String; 7]> {
        let unit = self.comparison.subject.figure.unit();
        let bound = match self.bound {
            Bound::RatioAtLeast(least) => format!("≥ {least}"),
            Bound::RatioAtMost(most) => format!("≤ {most}"),
            Bound::AtLeast(least) => format!("≥ {least} {unit}"),
            Bound::AtMost(most) => format!("≤ {most} {unit}"),
        };
        let mut lines = vec![[
            self.comparison.name.to_owned(),
            self.subject.cell(),
            self.reference().map_or_else(|| "-".to_owned(), number),
            self.value().map_or_else(|| "-".to_owned(), |value| format!("{value:.2}")),
            bound.trim_end().to_owned(),
            format!("{}/{}", self.lost(), self.duplicated()),
            self.verdict(),
        ]];
        if self.references.len() > 1 {
            lines.extend(self.references.iter().map(|reference| self.line_of(reference)));
        }
        lines
    }

    fn line_of(&self, reference: &Runs) -> [String; 7] {
        let ratio = self.subject.figure().zip(reference.figure()).map(|(subject, other)| subject / other);
        [
            format!("  {}", reference.side.label),
            String::new(),
            reference.cell(),
            ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}")),
            String::new(),
            format!("{}/{}", reference.lost(), reference.duplicated()),
            reference.not_measured.as_ref().map_or_else(String::new, reason),
        ]
    }

    fn verdict(&self) -> String {
        let not_measured = self.sides().filter_map(|runs| runs.not_measured.as_ref()).map(reason).next();
        match (self.missed(), self.value(), not_measured) {
            (true, None, Some(reason)) => format!("MISSED, {reason}"),
            (true, ..) => "MISSED".to_owned(),
            (false, Some(_), _) => "ok".to_owned(),
            (false, None, reason) => reason.unwrap_or_else(|| "not measured".to_owned()),
        }
    }

    /// The row as one JSON line.
    pub(crate) fn json(&self) -> Value {
        let (bound, limit) = match self.bound {
            Bound::RatioAtLeast(least) => ("ratio_at_least", least),
            Bound::RatioAtMost(most) => ("ratio_at_most", most),
            Bound::AtLeast(least) => ("at_least", least),
            Bound::AtMost(most) => ("at_most", most),
        };
        let side = |runs: &Runs| {
            json!({
                "label": runs.side.label,
                "figures": runs.measured.iter().map(|run| run.figure).collect::<Vec<f64>>(),
                "not_measured": runs.not_measured.as_ref().map(reason),
            })
        };
        json!({
            "name": self.comparison.name,
            "figure": self.comparison.subject.figure.path().join("."),
            "subject": side(&self.subject),
            "references": self.references.iter().map(side).collect::<Vec<Value>>(),
            "value": self.value(),
            "bound": bound,
            "limit": limit,
            "lost": self.lost(),
            "duplicated": self.duplicated(),
            "passed": self.passed(),
        })
    }
}

fn reason(not_measured: &NoMeasurement) -> String {
    match not_measured {
        NoMeasurement::Missing(reason) => format!("not measured: {reason}"),
        NoMeasurement::Failed(_) => "failed, see above".to_owned(),
    }
}

const HEADINGS: [&str; 7] = ["comparison", "subject", "reference", "ratio", "bound", "lost/doubled", ""];

/// Draws the table.
pub(crate) fn table(rows: &[Row<'_>]) -> String {
    let mut lines = vec![HEADINGS.map(str::to_owned)];
    lines.extend(rows.iter().flat_map(Row::lines));
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
