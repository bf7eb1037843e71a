//! Every SQL statement begins with its contract.

use super::{
    files::File,
    finding::{Finding, Rule},
};

/// The fields of a header, each on a line of its own: `-- Purpose: …`.
const FIELDS: &[&str] = &["Purpose", "Parameters", "Rows"];

/// Checks one file of `crates/*/sql/`.
pub(crate) fn check(file: &File) -> Vec<Finding> {
    let header: Vec<&str> =
        file.text.lines().map(str::trim).take_while(|line| line.starts_with("--")).collect();
    let missing = FIELDS.iter().filter(|field| !header.iter().any(|line| names_field(line, field)));
    missing
        .map(|field| Finding {
            rule: Rule::Statements,
            path: file.path.clone(),
            line: 1,
            subject: (*field).to_owned(),
            what: format!("the header does not say `{field}`"),
            hint: "begin the file with `-- Purpose: …`, `-- Parameters: …` (with units, or `none`) and \
                   `-- Rows: …` (the columns returned, or `none`)"
                .to_owned(),
        })
        .collect()
}

/// True for one of the statements this rule is about: `crates/NAME/sql/*.sql`.
pub(crate) fn applies(file: &File) -> bool {
    let parts: Vec<&str> = file.path.split('/').collect();
    matches!(parts[..], ["crates", _, "sql", ..]) && file.is_sql()
}

fn names_field(line: &str, field: &str) -> bool {
    let text = line.trim_start_matches('-').trim_start();
    text.get(..field.len()).is_some_and(|start| start.eq_ignore_ascii_case(field))
        && text[field.len()..].contains(':')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subjects(text: &str) -> Vec<String> {
        let file = File { path: "crates/sqlite/sql/fetch.sql".to_owned(), text: text.to_owned() };
        assert!(applies(&file));
        check(&file).into_iter().map(|finding| finding.subject).collect()
    }

    #[test]
    fn complete_header_passes() {
        let header =
            "-- Purpose: takes jobs.\n-- Parameters: ?1 now, in ms.\n--   ?2 limit.\n-- Rows: id.\nSELECT 1";
        assert!(subjects(header).is_empty());
        assert!(subjects("-- purpose: a\n-- parameters: none\n-- Rows returned: none\n").is_empty());
    }

    #[test]
    fn each_missing_field_is_named() {
        assert_eq!(subjects("SELECT 1"), ["Purpose", "Parameters", "Rows"]);
        assert_eq!(
            subjects("-- Purpose: a\nSELECT 1;\n-- Parameters: none\n-- Rows: none"),
            ["Parameters", "Rows"]
        );
    }

    #[test]
    fn migrations_are_no_statements() {
        let file = File { path: "crates/sqlite/migrations/0001_init.sql".to_owned(), text: String::new() };
        assert!(!applies(&file));
    }
}
