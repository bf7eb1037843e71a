//! Who may import whom: the arrows of ARCHITECTURE.md, read from the manifests.

use toml::{Table, Value};

use super::finding::{Finding, Rule};

/// The arrows that start at one crate.
struct Edges {
    from: &'static str,
    uses: Reach,
    /// More that its tests may use.
    tests_use: Reach,
}

enum Reach {
    Only(&'static [&'static str]),
    Anything,
}

use Reach::{Anything, Only};

const EDGES: &[Edges] = &[
    Edges { from: "gristmill-core", uses: Only(&[]), tests_use: Only(&[]) },
    Edges {
        from: "gristmill-macros",
        uses: Only(&["gristmill-core"]),
        tests_use: Only(&["gristmill", "gristmill-engine"]),
    },
    Edges { from: "gristmill-sql", uses: Only(&["gristmill-core"]), tests_use: Only(&[]) },
    Edges {
        from: "gristmill-outbox",
        uses: Only(&["gristmill-core", "gristmill-sql"]),
        tests_use: Only(&["gristmill-testkit"]),
    },
    Edges { from: "gristmill-outbox-bench", uses: Anything, tests_use: Anything },
    Edges { from: "gristmill-outbox-kill", uses: Anything, tests_use: Anything },
    Edges { from: "gristmill-outbox-testkit", uses: Anything, tests_use: Anything },
    backend("gristmill-memory", &["gristmill-core"]),
    backend("gristmill-redis", &["gristmill-core"]),
    backend("gristmill-sqlite", &["gristmill-core", "gristmill-sql"]),
    backend("gristmill-postgres", &["gristmill-core", "gristmill-sql"]),
    backend("gristmill-mysql", &["gristmill-core", "gristmill-sql"]),
    Edges {
        from: "gristmill-testkit",
        uses: Only(&["gristmill-core"]),
        tests_use: Only(&["gristmill-memory"]),
    },
    Edges {
        from: "gristmill-engine",
        uses: Only(&["gristmill-core"]),
        tests_use: Only(&["gristmill-macros", "gristmill-memory", "gristmill-testkit"]),
    },
    Edges {
        from: "gristmill-dashboard",
        uses: Only(&["gristmill-core"]),
        tests_use: Only(&["gristmill-memory", "gristmill-testkit"]),
    },
    Edges {
        from: "gristmill",
        uses: Only(&[
            "gristmill-core",
            "gristmill-dashboard",
            "gristmill-engine",
            "gristmill-macros",
            "gristmill-memory",
            "gristmill-mysql",
            "gristmill-postgres",
            "gristmill-redis",
            "gristmill-sqlite",
        ]),
        tests_use: Anything,
    },
    Edges { from: "gristmill-cli", uses: Only(&["gristmill"]), tests_use: Anything },
    Edges { from: "gristmill-testserver", uses: Only(&[]), tests_use: Only(&[]) },
    Edges { from: "xtask", uses: Only(&["gristmill-testserver"]), tests_use: Only(&[]) },
    Edges { from: "gristmill-system-tests", uses: Anything, tests_use: Anything },
    Edges { from: "gristmill-examples", uses: Anything, tests_use: Anything },
];

const fn backend(from: &'static str, uses: &'static [&'static str]) -> Edges {
    Edges { from, uses: Only(uses), tests_use: Only(&["gristmill-testkit", "gristmill-testserver"]) }
}

/// The adapters of the outbox: each names its driver, which may be a backend's, too.
const ADAPTER: Edges =
    Edges { from: "gristmill-outbox-*", uses: Only(&["gristmill-outbox"]), tests_use: Anything };

/// What core may never depend on: runtimes, drivers, HTTP, command lines.
const NOT_IN_CORE: &[&str] = &[
    "actix-web",
    "async-std",
    "axum",
    "clap",
    "deadpool-postgres",
    "diesel",
    "http",
    "hyper",
    "indicatif",
    "libsqlite3-sys",
    "mysql_async",
    "postgres",
    "ratatui",
    "redis",
    "reqwest",
    "rusqlite",
    "sea-orm",
    "smol",
    "sqlx",
    "tokio",
    "tokio-postgres",
    "tokio-util",
    "tonic",
    "tower",
    "tower-http",
    "warp",
];

/// Drivers, and the only crates that may name their types.
const DRIVERS: &[(&str, &str)] = &[
    ("libsqlite3-sys", "gristmill-sqlite"),
    ("mysql_async", "gristmill-mysql"),
    ("redis", "gristmill-redis"),
    ("rusqlite", "gristmill-sqlite"),
    ("tokio-postgres", "gristmill-postgres"),
];

/// Checks one manifest, `text` being the file's text at `path`.
pub(crate) fn check(path: &str, text: &str) -> Vec<Finding> {
    let finding = |line: usize, subject: &str, what: String, hint: &str| Finding {
        rule: Rule::Edges,
        path: path.to_owned(),
        line,
        subject: subject.to_owned(),
        what,
        hint: hint.to_owned(),
    };
    let Ok(manifest) = text.parse::<Table>() else {
        return vec![finding(1, "manifest", "not valid TOML".to_owned(), "cargo says where the fault is")];
    };
    let Some(name) = manifest.get("package").and_then(|package| package.get("name")).and_then(Value::as_str)
    else {
        return Vec::new();
    };
    let adapter = name.starts_with("gristmill-outbox-").then_some(&ADAPTER);
    let Some(edges) = EDGES.iter().find(|edges| edges.from == name).or(adapter) else {
        let hint = "add it to the table in xtask/src/tidy/edges.rs and to ARCHITECTURE.md";
        return vec![finding(1, name, format!("no rule says what `{name}` may import"), hint)];
    };
    let mut findings = Vec::new();
    for dependency in dependencies(&manifest) {
        if let Some((what, hint)) = fault(edges, &dependency) {
            findings.push(finding(line_of(text, &dependency.key), &dependency.package, what, hint));
        }
    }
    findings
}

struct Dependency {
    /// The name in the manifest.
    key: String,
    /// The name of the package, which differs where it is renamed.
    package: String,
    for_tests: bool,
}

fn fault(edges: &Edges, dependency: &Dependency) -> Option<(String, &'static str)> {
    let (from, package) = (edges.from, dependency.package.as_str());
    if package == "gristmill" || package.starts_with("gristmill-") || package == "xtask" {
        // The tests of a crate import it with more features.
        let is_itself = dependency.for_tests && package == from;
        let allowed = is_itself
            || reaches(&edges.uses, package)
            || dependency.for_tests && reaches(&edges.tests_use, package);
        let kind = if dependency.for_tests { "the tests of " } else { "" };
        return (!allowed).then(|| {
            (
                format!("{kind}`{from}` may not import `{package}`"),
                "ARCHITECTURE.md lists the arrows; move the shared part down into core, or the code up",
            )
        });
    }
    if dependency.for_tests {
        return None;
    }
    if from == "gristmill-core" && NOT_IN_CORE.contains(&package) {
        let hint = "core decides, backends and the engine act; move what needs it out of core";
        return Some((format!("core may not depend on `{package}`"), hint));
    }
    let (_, owner) = DRIVERS.iter().find(|(driver, _)| *driver == package)?;
    let foreign = from != *owner && from != ADAPTER.from && !matches!(edges.uses, Anything);
    foreign.then(|| (format!("only `{owner}` may name the driver `{package}`"), "go through the seam"))
}

fn reaches(reach: &Reach, package: &str) -> bool {
    match reach {
        Anything => true,
        Only(packages) => packages.contains(&package),
    }
}

fn dependencies(manifest: &Table) -> Vec<Dependency> {
    let mut found = Vec::new();
    let mut sections = vec![manifest];
    let targets = manifest.get("target").and_then(Value::as_table);
    sections.extend(targets.into_iter().flat_map(Table::values).filter_map(Value::as_table));
    for section in sections {
        for (table, for_tests) in
            [("dependencies", false), ("build-dependencies", false), ("dev-dependencies", true)]
        {
            for (key, value) in section.get(table).and_then(Value::as_table).into_iter().flatten() {
                let package = value.get("package").and_then(Value::as_str).unwrap_or(key);
                found.push(Dependency { key: key.clone(), package: package.to_owned(), for_tests });
            }
        }
    }
    found
}

/// The line that names `key` first at its start, after the package's own name.
fn line_of(text: &str, key: &str) -> usize {
    let names = |line: &str| {
        line.strip_prefix(key).is_some_and(|rest| rest.starts_with([' ', '=', '.']))
            || line.starts_with('[') && line.trim_end_matches(']').ends_with(&format!(".{key}"))
    };
    text.lines().position(|line| names(line.trim())).map_or(1, |index| index + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whats(name: &str, rest: &str) -> Vec<String> {
        let text = format!("[package]\nname = \"{name}\"\n{rest}");
        check("crates/x/Cargo.toml", &text).into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn allowed_arrows_pass() {
        let rest = "[dependencies]\ngristmill-core = { workspace = true }\nrusqlite = \"1\"\n\
                    [dev-dependencies]\ngristmill-testkit = { workspace = true }\n";
        assert!(whats("gristmill-sqlite", rest).is_empty());
    }

    #[test]
    fn backend_may_not_import_the_engine_or_another_backend() {
        let rest = "[dependencies]\ngristmill-engine.workspace = true\n[target.'cfg(unix)'.dependencies]\n\
                    memory = { package = \"gristmill-memory\", version = \"1\" }\n";
        assert_eq!(
            whats("gristmill-sqlite", rest),
            [
                "`gristmill-sqlite` may not import `gristmill-engine`",
                "`gristmill-sqlite` may not import `gristmill-memory`"
            ]
        );
    }

    #[test]
    fn tests_of_the_engine_may_use_memory_but_the_engine_may_not() {
        assert!(whats("gristmill-engine", "[dev-dependencies]\ngristmill-memory = \"1\"\n").is_empty());
        assert_eq!(whats("gristmill-engine", "[dependencies]\ngristmill-memory = \"1\"\n").len(), 1);
        assert_eq!(whats("gristmill-engine", "[dev-dependencies]\ngristmill-sqlite = \"1\"\n").len(), 1);
    }

    #[test]
    fn core_has_no_runtime_outside_its_tests() {
        assert_eq!(
            whats("gristmill-core", "[dependencies]\ntokio = \"1\"\n"),
            ["core may not depend on `tokio`"]
        );
        assert!(whats("gristmill-core", "[dev-dependencies]\ntokio = \"1\"\n").is_empty());
    }

    #[test]
    fn driver_stays_in_its_backend() {
        assert_eq!(
            whats("gristmill-cli", "[dependencies]\nrusqlite = \"1\"\n"),
            ["only `gristmill-sqlite` may name the driver `rusqlite`"]
        );
        assert!(whats("gristmill-system-tests", "[dependencies]\nrusqlite = \"1\"\n").is_empty());
    }

    #[test]
    fn unknown_crate_has_to_be_placed_first() {
        assert_eq!(whats("gristmill-kafka", "").len(), 1);
    }

    #[test]
    fn finding_points_at_the_line() {
        let text = "[package]\nname = \"gristmill-core\"\n[dependencies]\nserde = \"1\"\ntokio = \"1\"\n";
        assert_eq!(check("crates/core/Cargo.toml", text)[0].line, 5);
    }
}
