use super::{
    measure::{Measurement, command_line, read_line},
    plan::{Bound, Comparison, Figure, Program, Side},
    report::{Row, median, table},
};

fn measured(figures: &[f64]) -> Vec<Measurement> {
    figures.iter().map(|figure| Measurement { figure: *figure, lost: 0, duplicated: 0 }).collect()
}

fn side(program: Program, arguments: &'static str) -> Side {
    Side { program, arguments, figure: Figure::DrainPerSecond }
}

fn comparison(bound: Bound) -> Comparison {
    Comparison {
        name: "x",
        jobs: 10,
        subject: side(Program::Product, "--mode drain"),
        reference: Some(side(Program::Floor, "memory drain")),
        bound,
    }
}

#[test]
fn command_line_fills_in_jobs_and_database() {
    let product = command_line(side(Program::Product, "--db sqlite:{db} --jobs {jobs}"), 7, "/a b");
    assert_eq!(product, ["bench", "--db", "sqlite:/a b/bench.db", "--jobs", "7", "--json"]);
    let floor = command_line(side(Program::Floor, "sqlite drain --dir {dir}"), 7, "/a b");
    assert_eq!(floor, ["sqlite", "drain", "--dir", "/a b", "--json"]);
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
    let at_least = comparison(Bound::RatioAtLeast(0.55));
    let mut row = Row { comparison: &at_least, subject: measured(&[55.0]), reference: measured(&[100.0]) };
    assert!(row.passed());
    row.subject[0].duplicated = 1;
    assert!(!row.passed());
    row.subject = measured(&[54.0]);
    assert!(!row.passed());

    let at_most = comparison(Bound::AtMost(0.5));
    let row = Row { comparison: &at_most, subject: measured(&[0.4]), reference: Vec::new() };
    assert!(row.passed());
    let slow = Row { comparison: &at_most, subject: measured(&[0.6]), reference: Vec::new() };
    assert!(!slow.passed());
}

#[test]
fn row_without_a_figure_does_not_pass() {
    let at_least = comparison(Bound::RatioAtLeast(0.0));
    assert!(!Row { comparison: &at_least, subject: Vec::new(), reference: Vec::new() }.passed());
}

#[test]
fn table_lines_up() {
    let at_least = comparison(Bound::RatioAtLeast(0.55));
    let rows = [Row { comparison: &at_least, subject: measured(&[60.0]), reference: measured(&[100.0]) }];
    let expected = "comparison  subject  reference  ratio   bound  lost/doubled\n\
                    x            60.000        100   0.60  ≥ 0.55           0/0  ok\n";
    assert_eq!(table(&rows), expected);
}
