//! Reads what the test programs print, line by line, while it passes by.
//!
//! A conformance program prints `conformance backend: NAME` before its tests; from there to the next
//! `test result:` every test line is a case of that backend, named `area::case [reason it is ignored]`.

use std::collections::BTreeMap;

/// How one test ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Ending {
    Passed,
    Failed,
    /// Not run, with the reason if the test gave one.
    Ignored(String),
}

/// What the lines read so far tell.
#[derive(Default, Debug)]
pub(crate) struct Results {
    /// Backends in the order in which they ran.
    pub(crate) backends: Vec<String>,
    /// Case name (`area::case`) and backend, to how the case ended there.
    pub(crate) cases: BTreeMap<(String, String), Ending>,
    /// Ignored tests outside the conformance suite, as printed.
    pub(crate) ignored: Vec<String>,
    /// The lines in which the model tests say how many histories they compared.
    pub(crate) histories: Vec<String>,
    /// Conformance programs whose own count differs from the lines read: something was hidden.
    pub(crate) unaccounted: Vec<String>,
    section: Option<Section>,
}

#[derive(Debug)]
struct Section {
    backend: String,
    lines: usize,
}

impl Results {
    /// Takes in one line of the tests' stdout, without its line end.
    pub(crate) fn read_line(&mut self, line: &str) {
        if let Some(backend) = line.strip_prefix("conformance backend: ") {
            self.close_section(None);
            let backend = backend.trim().to_owned();
            if !self.backends.contains(&backend) {
                self.backends.push(backend.clone());
            }
            self.section = Some(Section { backend, lines: 0 });
        } else if line.starts_with("model histories:") {
            self.histories.push(line.to_owned());
        } else if line.starts_with("test result: ") {
            self.close_section(total_of_summary(line));
        } else if let Some((name, ending)) = test_line(line) {
            self.read_test(name, ending);
        }
    }

    /// Says that the output has ended.
    pub(crate) fn finish(&mut self) {
        self.close_section(None);
    }

    fn read_test(&mut self, name: &str, ending: Ending) {
        match &mut self.section {
            Some(section) => {
                section.lines += 1;
                let (case, reason) = case_and_reason(name);
                let ending = match ending {
                    Ending::Ignored(own) => Ending::Ignored(reason.map_or(own, str::to_owned)),
                    other => other,
                };
                self.cases.insert((case.to_owned(), section.backend.clone()), ending);
            }
            None => {
                if let Ending::Ignored(reason) = ending {
                    let reason = if reason.is_empty() { String::new() } else { format!(" ({reason})") };
                    self.ignored.push(format!("{name}{reason}"));
                }
            }
        }
    }

    fn close_section(&mut self, total: Option<usize>) {
        if let Some(section) = self.section.take()
            && total != Some(section.lines)
        {
            let total = total.map_or_else(|| "no summary".to_owned(), |total| format!("{total} tests"));
            self.unaccounted.push(format!("{}: {} lines, {total}", section.backend, section.lines));
        }
    }
}

/// `test NAME ... ENDING`, as libtest and libtest-mimic print it.
fn test_line(line: &str) -> Option<(&str, Ending)> {
    let (name, ending) = line.strip_prefix("test ")?.rsplit_once(" ... ")?;
    let ending = match ending.trim() {
        "FAILED" => Ending::Failed,
        // A slow doc test's line ends with the time it took.
        text if text == "ok" || text.starts_with("ok ") => Ending::Passed,
        text => Ending::Ignored(text.strip_prefix("ignored")?.trim_start_matches(", ").to_owned()),
    };
    Some((name.trim(), ending))
}

/// Splits `area::case [reason]`.
fn case_and_reason(name: &str) -> (&str, Option<&str>) {
    match name.strip_suffix(']').and_then(|name| name.split_once(" [")) {
        Some((case, reason)) => (case.trim(), Some(reason)),
        None => (name, None),
    }
}

/// How many tests a summary line accounts for, those filtered out not counted.
fn total_of_summary(line: &str) -> Option<usize> {
    let (_, counts) = line.split_once(". ")?;
    let mut total = 0;
    for part in counts.split("; ") {
        if let Some((number, "passed" | "failed" | "ignored")) = part.split_once(' ') {
            total += number.parse::<usize>().ok()?;
        }
    }
    Some(total)
}
