use std::path::Path;

use anyhow::anyhow;

use super::{
    measure::{Measurement, NoMeasurement, Place, command_line, read_line},
    options::{Options, Sizes},
    plan::{Bound, Comparison, Figure, Program, Side, When, comparisons},
    report::{Row, median, table},
};

fn measured(figures: &[f64]) -> Vec<Measurement> {
    figures.iter().map(|figure| Measurement { figure: *figure, lost: 0, duplicated: 0 }).collect()
}

const fn side(program: Program, arguments: &'static str) -> Side {
    Side { program, label: "x", arguments, figure: Figure::DrainPerSecond }
}

const FLOOR: &[Side] = &[side(Program::Floor, "memory drain")];
const PEERS: &[Side] = &[side(Program::River, ""), side(Program::GraphileWorker, "")];

const fn comparison(references: &'static [Side], bound: Bound) -> Comparison {
    let subject = side(Program::Product, "--mode drain");
    Comparison { when: When::Always, name: "x", jobs: 10, subject, references, bound }
}

fn row<'a>(comparison: &'a Comparison, subject: &[f64], references: &[&[f64]]) -> Row<'a> {
    let mut row = Row::new(comparison);
    row.subject.measured = measured(subject);
    for (runs, figures) in row.references.iter_mut().zip(references) {
        runs.measured = measured(figures);
    }
    row
}

#[test]
fn command_line_fills_in_sizes_and_places() {
    let sizes = Sizes { history: 9, ..Sizes::default() };
    let place = Place { folder: Path::new("/a b"), url: "postgres://c d/e" };
    let line = |side| command_line(side, sizes, 7, &place);
    let product = line(side(Program::Product, "--db sqlite:{db} --jobs {jobs}"));
    assert_eq!(product, ["bench", "--db", "sqlite:/a b/bench.db", "--jobs", "7", "--json"]);
    let floor = line(side(Program::Floor, "sqlite drain --dir {dir}"));
    assert_eq!(floor, ["sqlite", "drain", "--dir", "/a b", "--json"]);
    let server = line(side(Program::River, "--db {url} --history {history}"));
    assert_eq!(server, ["--db", "postgres://c d/e", "--history", "9", "--json"]);
}

#[test]
fn figures_of_an_enqueue_and_of_a_plain_insert_are_of_the_same_runs() {
    let rows: Vec<&Comparison> = comparisons()
        .filter(|row| row.subject.program == Program::OutboxBench && row.when != When::Peers)
        .collect();
    assert_eq!(rows.len(), 3);
    for row in rows {
        assert!(row.references.iter().all(|side| side.is_same_run(row.subject) && *side != row.subject));
    }
    assert!(!side(Program::Floor, "memory drain").is_same_run(side(Program::Floor, "memory enqueue")));
}

#[test]
fn names_are_unique_and_placeholders_known() {
    let place = Place { folder: Path::new("DIR"), url: "URL" };
    let mut names = Vec::new();
    for comparison in comparisons() {
        for side in comparison.references.iter().chain([&comparison.subject]) {
            let line = command_line(*side, Sizes::default(), 1, &place).join(" ");
            assert!(!line.contains('{'), "{line}");
        }
        names.push(comparison.name);
    }
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all);
}

#[test]
fn long_rows_and_peers_are_asked_for() {
    let names = |arguments: &[&str]| -> Vec<&'static str> {
        let arguments: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let options = Options::read(&arguments).unwrap();
        options.choose(comparisons()).unwrap().iter().map(|row| row.name).collect()
    };
    let usual = names(&["--only", "postgres"]);
    assert!(!usual.contains(&"postgres, drain against peers"));
    assert!(names(&["--peers", "--only", "postgres"]).contains(&"postgres, drain against peers"));
    assert!(names(&["--full", "--only", "postgres"]).len() > usual.len());
}

#[test]
fn figure_is_read_from_the_last_json_line() {
    let stdout = "talk\n{\"drain_per_s\":1}\n{\"drain_per_s\":2.5,\"latency_ms\":{\"p50\":0.25},\"lost\":3,\"duplicated\":0}\nend\n";
    let drain = read_line(stdout, Figure::DrainPerSecond).unwrap();
    assert!((drain.figure - 2.5).abs() < 1e-9);
    assert_eq!((drain.lost, drain.duplicated), (3, 0));
    assert!((read_line(stdout, Figure::LatencyP50Ms).unwrap().figure - 0.25).abs() < 1e-9);
}

#[test]
fn run_that_does_not_count_its_jobs_is_an_error() {
    let error = read_line("{\"drain_per_s\":1,\"lost\":0}\n", Figure::DrainPerSecond).unwrap_err();
    assert_eq!(error.to_string(), "the JSON line has no count `duplicated`");
}

#[test]
fn missing_figure_is_an_error_that_names_it() {
    for stdout in
        ["", "{\"drain_per_s\":1}\n", "{\"latency_ms\":{\"p50\":null},\"lost\":0,\"duplicated\":0}\n"]
    {
        let error = read_line(stdout, Figure::LatencyP50Ms).unwrap_err().to_string();
        assert!(error.contains("JSON line") || error.contains("latency_ms.p50"), "{error}");
    }
}

#[test]
fn median_ignores_the_odd_one_out() {
    assert_eq!(median(&measured(&[3.0, 100.0, 1.0])), Some(3.0));
    assert_eq!(median(&measured(&[4.0, 2.0])), Some(3.0));
    assert_eq!(median(&[]), None);
}

#[test]
fn row_passes_only_within_its_bound_and_with_every_job_accounted_for() {
    let at_least = comparison(FLOOR, Bound::RatioAtLeast(0.55));
    let mut good = row(&at_least, &[55.0], &[&[100.0]]);
    assert!(good.passed() && !good.missed());
    good.subject.measured[0].duplicated = 1;
    assert!(good.missed() && !good.passed());
    assert!(row(&at_least, &[54.0], &[&[100.0]]).missed());

    let at_most = comparison(&[], Bound::AtMost(0.5));
    assert!(row(&at_most, &[0.4], &[]).passed());
    assert!(row(&at_most, &[0.6], &[]).missed());
}

#[test]
fn hardest_reference_counts() {
    let peers = comparison(PEERS, Bound::RatioAtLeast(2.0));
    assert!(row(&peers, &[60.0], &[&[10.0], &[30.0]]).passed());
    assert!(row(&peers, &[59.0], &[&[10.0], &[30.0]]).missed());
    let quick = comparison(PEERS, Bound::RatioAtMost(2.0));
    assert!(row(&quick, &[21.0], &[&[10.0], &[30.0]]).missed());
}

#[test]
fn before_and_after_are_one_row_whose_bound_follows_the_figure() {
    let faster = comparison(FLOOR, Bound::RatioAtLeast(0.55));
    let mut row = Row::against_before(&faster);
    assert_eq!(row.references[0].side.program, Program::ProductBefore);
    assert_eq!(row.references[0].side.arguments, row.subject.side.arguments);
    row.references[0].measured = measured(&[100.0]);
    row.subject.measured = measured(&[99.0]);
    assert!(row.passed(), "two per cent are noise");
    row.subject.measured = measured(&[97.0]);
    assert!(row.missed());

    let latency = Side { figure: Figure::LatencyP50Ms, ..side(Program::Product, "--mode latency") };
    let quicker = Comparison { subject: latency, ..faster };
    let mut row = Row::against_before(&quicker);
    row.references[0].measured = measured(&[100.0]);
    row.subject.measured = measured(&[97.0]);
    assert!(row.passed());
    row.subject.measured = measured(&[103.0]);
    assert!(row.missed());
}

#[test]
fn an_earlier_commit_that_lacks_an_option_is_not_a_failure() {
    let drain = comparison(FLOOR, Bound::RatioAtLeast(0.55));
    let mut row = Row::against_before(&drain);
    row.subject.measured = measured(&[99.0]);
    row.references[0].not_measured = Some(NoMeasurement::Failed(anyhow!("unknown option")));
    assert!(!row.passed() && !row.missed());
}

#[test]
fn row_without_a_figure_does_not_pass() {
    let at_least = comparison(FLOOR, Bound::RatioAtLeast(0.0));
    assert!(!Row::new(&at_least).passed());
}

#[test]
fn what_is_not_there_is_said_and_what_fails_is_missed() {
    let peers = comparison(PEERS, Bound::RatioAtLeast(2.0));
    let missing = || Some(NoMeasurement::Missing("go is not installed".to_owned()));
    let mut rest = row(&peers, &[60.0], &[&[], &[30.0]]);
    rest.references[0].not_measured = missing();
    assert!(rest.passed());
    assert!(table(&[rest]).contains("not measured: go is not installed"));

    let floor = comparison(FLOOR, Bound::RatioAtLeast(0.5));
    let mut none = row(&floor, &[60.0], &[&[]]);
    none.references[0].not_measured = missing();
    assert!(!none.passed() && !none.missed());
    none.references[0].not_measured = Some(NoMeasurement::Failed(anyhow!("no disk")));
    assert!(none.missed());
}

#[test]
fn table_lines_up() {
    let at_least = comparison(FLOOR, Bound::RatioAtLeast(0.55));
    let rows = [row(&at_least, &[60.0], &[&[100.0]])];
    let expected = "comparison  subject  reference  ratio   bound  lost/doubled\n\
                    x            60.000        100   0.60  ≥ 0.55           0/0  ok\n";
    assert_eq!(table(&rows), expected);
}
