//! The same operation lies in a file of the same name in every backend.

use super::{
    config::Operations,
    files::File,
    finding::{Finding, Rule},
};

/// Reports every operation that one backend has and another lacks, and every name that no backend has.
pub(crate) fn check(files: &[File], operations: &Operations) -> Vec<Finding> {
    let mut findings = Vec::new();
    for operation in &operations.files {
        let has = |backend: &&String| files.iter().any(|file| is_file_of(file, backend, operation));
        let Some(owner) = operations.backends.iter().find(has) else {
            findings.push(Finding {
                rule: Rule::Operations,
                path: "tidy.toml".to_owned(),
                line: 0,
                subject: operation.clone(),
                what: format!("no backend has a file for `{operation}`"),
                hint: "delete the name from [operations]; it returns with the first backend that has it"
                    .to_owned(),
            });
            continue;
        };
        for backend in operations.backends.iter().filter(|backend| !has(backend)) {
            findings.push(Finding {
                rule: Rule::Operations,
                path: format!("crates/{backend}/src/{operation}.rs"),
                line: 0,
                subject: operation.clone(),
                what: format!("`{owner}` has a file for `{operation}`, `{backend}` has none"),
                hint: "the same operation has the same file name in every backend".to_owned(),
            });
        }
    }
    findings
}

/// True for `crates/BACKEND/src/OPERATION.rs` and for the files of a folder of that name.
fn is_file_of(file: &File, backend: &str, operation: &str) -> bool {
    let rest = file.path.strip_prefix("crates/").and_then(|path| path.strip_prefix(backend));
    let rest = rest.and_then(|path| path.strip_prefix("/src/")).and_then(|path| path.strip_prefix(operation));
    rest.is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operation_of_one_backend_only_or_of_none_is_found() {
        let file = |path: &str| File { path: path.to_owned(), text: String::new() };
        let files = [
            file("crates/memory/src/fetch.rs"),
            file("crates/sqlite/src/fetch/mod.rs"),
            file("crates/memory/src/enqueue.rs"),
            file("crates/sqlite/src/enqueue_many.rs"),
        ];
        let operations = Operations {
            backends: vec!["memory".to_owned(), "sqlite".to_owned()],
            files: vec!["fetch".to_owned(), "enqueue".to_owned(), "limits".to_owned()],
        };
        let paths: Vec<String> = check(&files, &operations).into_iter().map(|finding| finding.path).collect();
        assert_eq!(paths, ["crates/sqlite/src/enqueue.rs", "tidy.toml"], "and `limits` is in no backend");
    }
}
