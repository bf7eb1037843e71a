//! Runs every check over every file and prints what they find.

use anyhow::Result;

use super::{
    circles,
    config::Config,
    edges,
    files::{self, File},
    finding::{Finding, Rule},
    language, length, machine_paths, module_roots, operations, source_rules, statements, type_names,
    vocabulary,
};
use crate::{
    arguments::{Arguments, unknown},
    commands::Verdict,
    workspace,
};

/// Checks the repository.
pub(crate) fn run(arguments: &[String]) -> Result<Verdict> {
    let lists = Lists::of(arguments)?;
    let root = workspace::root();
    let config = Config::read(&root)?;
    let files = files::all(&root)?;
    let findings = excuse(check(&files, &config), &files, &config);
    for finding in &findings {
        println!("{finding}");
    }
    lists.print(&files);
    println!("{}", summary(&files, &config, &findings));
    Ok(if findings.is_empty() { Verdict::Passed } else { Verdict::Failed })
}

/// What is counted, and listed on request, without being a finding.
#[derive(Default)]
struct Lists {
    names: bool,
    circles: bool,
}

impl Lists {
    fn of(arguments: &[String]) -> Result<Self> {
        let mut lists = Self::default();
        let mut arguments = Arguments::new(arguments);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--names" => lists.names = true,
                "--circles" => lists.circles = true,
                _ => return Err(unknown(&argument)),
            }
        }
        Ok(lists)
    }

    fn print(&self, files: &[File]) {
        let names = type_names::repeated(files);
        for (name, places) in names.iter().filter(|_| self.names) {
            println!("`{name}` {} times: {}", places.len(), places.join(", "));
        }
        let circles = circles::find(files);
        for circle in circles.iter().filter(|_| self.circles) {
            println!("{} files in a circle:", circle.len());
            for (file, needs) in circle {
                println!("    {file} needs {}", needs.join(", "));
            }
        }
        println!(
            "tidy: {} type names occur more than once (--names); {} circles of files, the largest of {} (--circles)",
            names.len(),
            circles.len(),
            circles.first().map_or(0, Vec::len),
        );
    }
}

fn check(files: &[File], config: &Config) -> Vec<Finding> {
    let mut findings = operations::check(files, &config.operations);
    for file in files {
        findings.extend(machine_paths::check(file));
        findings.extend(language::check(file, &config.language));
        if file.is_rust() {
            findings.extend(length::check(file, &config.long_file));
            findings.extend(source_rules::check(file));
            findings.extend(vocabulary::check(file, &config.vocabulary));
            if module_roots::applies(file) {
                findings.extend(module_roots::check(file));
            }
        } else if file.is_sql() {
            findings.extend(source_rules::check_sql(file));
            findings.extend(vocabulary::check(file, &config.vocabulary));
            if statements::applies(file) {
                findings.extend(statements::check(file));
            }
        } else if is_manifest(file) {
            findings.extend(edges::check(&file.path, &file.text));
        }
    }
    findings
}

/// True for a manifest of the main workspace; the benchmarks' own may import anything.
fn is_manifest(file: &File) -> bool {
    file.path.ends_with("/Cargo.toml") && !file.path.starts_with("bench/")
}

/// Takes out what `tidy.toml` excuses, and adds a finding for every excuse that nothing needs.
fn excuse(found: Vec<Finding>, files: &[File], config: &Config) -> Vec<Finding> {
    let mut used = vec![false; config.exception.len()];
    let mut findings = Vec::new();
    for finding in found {
        let excuse = config.exception.iter().position(|exception| {
            exception.rule == finding.rule.name()
                && exception.path == finding.path
                && exception.subject == finding.subject
        });
        match excuse {
            Some(index) => used[index] = true,
            None => findings.push(finding),
        }
    }
    let stale = config.exception.iter().zip(&used).filter(|(_, used)| !**used);
    findings.extend(stale.map(|(exception, _)| {
        unneeded(files, &exception.path, format!("the exception from `{}` is not needed", exception.rule))
    }));
    let gone = config.long_file.iter().filter(|long| !files.iter().any(|file| file.path == long.path));
    findings
        .extend(gone.map(|long| unneeded(files, &long.path, format!("there is no file `{}`", long.path))));
    let reasons = config.exception.iter().map(|exception| (&exception.path, &exception.reason));
    let reasons = reasons.chain(config.long_file.iter().map(|long| (&long.path, &long.reason)));
    let reasons =
        reasons.chain(config.vocabulary.foreign.iter().map(|foreign| (&foreign.name, &foreign.reason)));
    for (subject, _) in reasons.filter(|(_, reason)| reason.trim().is_empty()) {
        let mut finding = unneeded(files, subject, format!("the exception of `{subject}` has no reason"));
        "say why it is needed".clone_into(&mut finding.hint);
        findings.push(finding);
    }
    findings.sort_by(|left, right| (&left.path, left.line).cmp(&(&right.path, right.line)));
    findings
}

fn unneeded(files: &[File], subject: &str, what: String) -> Finding {
    let config = files.iter().find(|file| file.path == "tidy.toml");
    let line = config.and_then(|file| file.text.lines().position(|line| line.contains(subject)));
    Finding {
        rule: Rule::Exceptions,
        path: "tidy.toml".to_owned(),
        line: line.map_or(1, |index| index + 1),
        subject: subject.to_owned(),
        what,
        hint: "delete the entry".to_owned(),
    }
}

fn summary(files: &[File], config: &Config, findings: &[Finding]) -> String {
    let count = |belongs: fn(&File) -> bool| files.iter().filter(|file| belongs(file)).count();
    let rules: Vec<&str> = Rule::ALL.iter().map(|rule| rule.name()).collect();
    let above_aim =
        files.iter().filter(|file| file.is_rust() && length::lines_before_tests(file) > length::AIM);
    format!(
        "tidy: {} in {} files ({} Rust, {} SQL, {} manifests); rules: {}; {} exceptions; {} files above {} lines \
         (the limit is {})",
        match findings.len() {
            0 => "no finding".to_owned(),
            1 => "1 finding".to_owned(),
            many => format!("{many} findings"),
        },
        files.len(),
        count(File::is_rust),
        count(File::is_sql),
        count(is_manifest),
        rules.join(", "),
        config.exception.len() + config.long_file.len(),
        above_aim.count(),
        length::AIM,
        length::LIMIT,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = r#"
        [vocabulary]
        banned = [{ word = "requeue", say = "release" }]
        empty_words = []
        not_a_state = []
        foreign = []
        [language]
        words = []
        [operations]
        backends = []
        files = []
        [[exception]]
        rule = "vocabulary"
        path = "crates/core/src/a.rs"
        subject = "requeue"
        reason = "the name of another system's verb"
    "#;

    fn findings(source: &str) -> Vec<Rule> {
        let config = toml::from_str(CONFIG).expect("the configuration parses");
        let file = File { path: "crates/core/src/a.rs".to_owned(), text: source.to_owned() };
        let files = [file];
        excuse(check(&files, &config), &files, &config).into_iter().map(|finding| finding.rule).collect()
    }

    #[test]
    fn exception_excuses_its_finding_alone() {
        assert!(findings("fn requeue() {}\n").is_empty());
        assert_eq!(findings("fn requeue() { unsafe {} }\n"), [Rule::Source]);
    }

    #[test]
    fn exception_that_nothing_needs_is_a_finding() {
        assert_eq!(findings("fn release() {}\n"), [Rule::Exceptions]);
    }
}
