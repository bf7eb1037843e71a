//! What the compiler says to the nine mistakes that users make: it must name the guilty part and the remedy.
//!
//! Only the naming line and the hint are compared: the rest of the text is the compiler's own and changes
//! with it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A file of `tests/ui` and what the compiler must say to it.
struct Mistake {
    file: &'static str,
    names: &'static str,
    hint: &'static str,
}

const MISTAKES: [Mistake; 9] = [
    Mistake {
        file: "not_an_extractor",
        names: "`u32` cannot be extracted in a job handler whose worker's state is `()`",
        hint: "behind the job a handler may take: `State<T>`",
    },
    Mistake {
        file: "state_missing",
        names: "the worker's state `App` does not provide a `Database`",
        hint: "add `impl FromRef<App> for Database`",
    },
    Mistake {
        file: "not_a_job",
        names: "`Plain` is not a job",
        hint: "add `#[derive(Serialize, Deserialize, Job)]` and `#[job(kind = \"...\")]` to it",
    },
    Mistake {
        file: "wrong_output",
        names: "a job handler cannot return `Result<u32, JobError>` for a job whose output is `String`",
        hint: "return `Result<String, E>` where `E` is any error",
    },
    Mistake {
        file: "not_send",
        names: "future cannot be sent between threads safely",
        hint: "future is not `Send` as this value is used across an await",
    },
    Mistake {
        file: "not_async",
        names: "`fn(Report) -> Result<(), JobError> {report}` is not usable as a job handler",
        hint: "for a function that is not async use `.handle_blocking(..)`",
    },
    Mistake {
        file: "wrong_order",
        names: "`JobContext` is not a job",
        hint: "a handler's first argument is the job itself",
    },
    Mistake {
        file: "bad_option",
        names: "`30 seconds` is not a duration: ` seconds` is no unit",
        hint: "unknown job option `priorty`, did you mean `priority`?",
    },
    Mistake {
        file: "no_kind",
        names: "missing `#[job(kind = \"...\")]`",
        hint: "must stay stable when the type is renamed or moved",
    },
];

#[test]
fn every_mistake_is_named_with_its_remedy() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ui");
    let said = check_all(&folder);
    let mut faults = String::new();
    for Mistake { file, names, hint } in &MISTAKES {
        let said = said.get(*file).map_or("nothing: it compiles", String::as_str);
        for expected in [names, hint] {
            if !said.contains(expected) {
                writeln!(faults, "{file}: expected `{expected}`, the compiler says:\n{said}").unwrap();
            }
        }
    }
    assert!(faults.is_empty(), "{faults}");
}

#[test]
fn every_file_is_a_mistake_of_the_table() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ui");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    let mut table: Vec<_> = MISTAKES.iter().map(|mistake| mistake.file.to_owned()).collect();
    files.sort();
    table.sort();
    assert_eq!(files, table);
}

/// Checks every file as a program of one project, and answers what the compiler says to each.
fn check_all(folder: &Path) -> BTreeMap<String, String> {
    let project = write_project(folder);
    // The same folder as everything else: the dependencies are built already.
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("it lies in the target folder");
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["check", "--offline", "--keep-going", "--message-format=json", "--bins", "--manifest-path"])
        .arg(project.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(target)
        .output()
        .expect("cargo runs");
    let mut said: BTreeMap<String, String> = BTreeMap::new();
    for line in output.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let message: serde_json::Value = serde_json::from_slice(line).expect("cargo writes JSON");
        let (target, text) = (&message["target"]["name"], &message["message"]["rendered"]);
        if let (Some(target), Some(text)) = (target.as_str(), text.as_str())
            && message["message"]["level"] == "error"
        {
            said.entry(target.to_owned()).or_default().push_str(text);
        }
    }
    assert!(!said.is_empty(), "cargo said nothing but:\n{}", String::from_utf8_lossy(&output.stderr));
    said
}

/// A project of its own, outside the workspace, with the workspace's versions.
fn write_project(folder: &Path) -> PathBuf {
    let project = Path::new(env!("CARGO_TARGET_TMPDIR")).join("ui");
    std::fs::create_dir_all(&project).expect("the folder is writable");
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut manifest = format!(
        "[workspace]\n[package]\nname = \"mistakes\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\
         [dependencies]\ngristmill = {{ path = '{}' }}\nserde = {{ version = \"1\", features = [\"derive\"] }}\n\
         [profile.dev]\ndebug = \"line-tables-only\"\n",
        crate_folder.display()
    );
    for Mistake { file, .. } in &MISTAKES {
        let path = folder.join(file).with_extension("rs");
        let _ = writeln!(manifest, "[[bin]]\nname = '{file}'\npath = '{}'", path.display());
    }
    std::fs::write(project.join("Cargo.toml"), manifest).expect("the manifest is written");
    let lock = crate_folder.join("../../Cargo.lock");
    if lock.exists() {
        std::fs::copy(lock, project.join("Cargo.lock")).expect("the lock file is copied");
    }
    project
}
