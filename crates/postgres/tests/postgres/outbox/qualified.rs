//! What runs with the owner's rights under the caller's search path names the schema of everything in it.

use super::Caller;
use crate::fixture::Schema;

/// Words that a bracket may follow.
const KEYWORDS: [&str; 10] =
    ["IF", "AND", "OR", "NOT", "EXISTS", "VALUES", "SELECT", "OPERATOR", "IN", "CASE"];

/// The text of a function without its comments and strings.
fn bare(source: &str) -> String {
    let lines = source.lines().map(|line| line.split("--").next().unwrap_or_default());
    let text = lines.collect::<Vec<_>>().join("\n");
    text.split('\'').step_by(2).collect::<Vec<_>>().join("''")
}

/// What of a function's text the caller's search path decides on.
fn unqualified(source: &str) -> Vec<String> {
    let bare = bare(source);
    let mut found = Vec::new();
    let operators = bare.split("OPERATOR(pg_catalog.").enumerate().map(|(place, part)| {
        if place == 0 { part } else { part.split_once(')').map_or("", |(_, rest)| rest) }
    });
    let text = operators.collect::<Vec<_>>().join(" ").replace(":=", " ");
    for part in text.split("::").skip(1).chain(text.split(" CONSTANT ").skip(1)) {
        if !part.starts_with("pg_catalog.") {
            found.push(format!("type {}", part.split_whitespace().next().unwrap_or_default()));
        }
    }
    let declared = text.split("BEGIN").next().filter(|_| text.contains("DECLARE")).unwrap_or_default();
    for line in declared.lines().filter(|line| line.contains(';') && !line.contains("CONSTANT")) {
        if line.split_whitespace().nth(1).is_some_and(|word| !word.starts_with("pg_catalog.") && word != ")")
        {
            found.push(format!("type in {}", line.trim()));
        }
    }
    let text = text.replace("::", " ");
    if let Some(at) =
        text.find(['<', '>', '=', '+', '*', '/', '~', '!', '@', '#', '%', '^', '&', '|', '?', '`'])
    {
        found.push(format!("operator {}", &text[at..].lines().next().unwrap_or_default()));
    }
    for (at, _) in text.match_indices('(') {
        let before = text[..at].trim_end();
        let word =
            before.rsplit(|letter: char| !(letter.is_alphanumeric() || "_.\"".contains(letter))).next();
        let word = word.unwrap_or_default();
        if !word.is_empty() && !word.contains('.') && !KEYWORDS.contains(&word) {
            found.push(format!("function {word}"));
        }
    }
    found
}

#[test]
fn what_runs_under_the_callers_search_path_names_the_schema_of_everything() {
    let schema = Schema::new();
    let caller = Caller::of(&schema);
    for function in ["outbox_enqueue(text)", "outbox_is_odd(text)"] {
        let source = caller
            .value(&format!("SELECT prosrc FROM pg_proc WHERE oid = '{{schema}}.{function}'::regprocedure"));
        assert!(source.contains("pg_catalog."), "{source}");
        assert_eq!(unqualified(&source), Vec::<String>::new(), "{function}");
        for (right, wrong) in [
            ("pg_catalog.octet_length(", "octet_length("),
            ("pg_catalog.replace(", "replace("),
            (" OPERATOR(pg_catalog.>) ", " > "),
            (" OPERATOR(pg_catalog.~) ", " ~ "),
            ("::pg_catalog.json", "::json"),
            ("CONSTANT pg_catalog.int8", "CONSTANT int8"),
            ("new_id pg_catalog.uuid", "new_id uuid"),
            ("gristmill.outbox_is_odd(", "outbox_is_odd("),
        ] {
            let right = caller.of_schema(&right.replace("gristmill.", "{schema}."));
            if source.contains(&right) {
                assert!(!unqualified(&source.replacen(&right, wrong, 1)).is_empty(), "{wrong}");
            }
        }
    }
}
