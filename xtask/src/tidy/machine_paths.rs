//! Nothing in the repository names a folder of the machine it was written on.

use super::{
    files::File,
    finding::{Finding, Rule},
};

/// Folders that exist on one machine only. Each is written in two parts, or this file would be a finding.
const FOLDERS: &[&str] = &[concat!("/", "work/"), concat!("/", "root/"), concat!("/", "Users/")];

pub(crate) fn check(file: &File) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, line) in file.text.lines().enumerate() {
        for folder in FOLDERS {
            if names_folder(line, folder) {
                findings.push(Finding {
                    rule: Rule::MachinePaths,
                    path: file.path.clone(),
                    line: index + 1,
                    subject: (*folder).to_owned(),
                    what: format!("`{folder}` is a folder of somebody's machine"),
                    hint: "write a path relative to the repository, or take it from the caller".to_owned(),
                });
            }
        }
    }
    findings
}

/// True if `folder` stands at the start of an absolute path, not in the middle of one such as `/api/v1/…`.
fn names_folder(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|character| character.is_alphanumeric() || "_-.}".contains(character))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absolute_folders_of_a_machine_are_found() {
        let text = format!(
            "see {}x\nand \"file://{}y\"\nhttps://example.org{}z",
            FOLDERS[0], FOLDERS[1], FOLDERS[0]
        );
        let found = check(&File { path: "README.md".to_owned(), text });
        let places: Vec<usize> = found.iter().map(|finding| finding.line).collect();
        assert_eq!(places, [1, 2]);
    }
}
