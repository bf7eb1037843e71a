//! `cargo xtask outbox-matrix`: every adapter of the outbox compiles alone, with each of its features and
//! with none.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use toml::{Table, Value};

use crate::{
    arguments::Arguments,
    commands::Verdict,
    step::{Stopwatch, succeeded},
    workspace,
};

/// The folder of the adapters.
const FOLDER: &str = "outbox";

/// A package with the names of its features.
#[derive(Debug, PartialEq)]
struct Adapter {
    name: String,
    features: Vec<String>,
}

/// Checks one adapter after the other, one line each.
pub(crate) fn run(arguments: &[String]) -> Result<Verdict> {
    Arguments::new(arguments).finish()?;
    let root = workspace::root();
    let (mut checked, mut failed) = (0, 0);
    for manifest in manifests(&root.join(FOLDER))? {
        let text = fs::read_to_string(&manifest).with_context(|| manifest.display().to_string())?;
        let Some(adapter) = adapter(&text).with_context(|| manifest.display().to_string())? else { continue };
        for features in combinations(&adapter.features) {
            let stopwatch = Stopwatch::start();
            let passed = check(&root, &manifest, &features)?;
            let (name, seconds) = (&adapter.name, stopwatch.elapsed().as_secs_f64());
            let with = if features.is_empty() { "no features".to_owned() } else { features.join(" + ") };
            println!("{} {name} with {with} ({seconds:.1} s)", if passed { "ok    " } else { "FAILED" });
            checked += 1;
            failed += usize::from(!passed);
        }
    }
    println!("{checked} combinations checked, {failed} failed");
    Ok(if failed == 0 && checked > 0 { Verdict::Passed } else { Verdict::Failed })
}

fn check(root: &Path, manifest: &Path, features: &[String]) -> Result<bool> {
    let mut cargo = workspace::cargo(root);
    cargo.args(["check", "--quiet", "--no-default-features", "--manifest-path"]).arg(manifest);
    if !features.is_empty() {
        cargo.args(["--features", &features.join(",")]);
    }
    succeeded(&mut cargo)
}

/// The manifests in the folders of a folder, by name.
fn manifests(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut manifests = Vec::new();
    for entry in entries {
        let manifest = entry?.path().join("Cargo.toml");
        if manifest.is_file() {
            manifests.push(manifest);
        }
    }
    manifests.sort();
    Ok(manifests)
}

/// The adapter of a manifest; none in one of what is not published.
fn adapter(manifest: &str) -> Result<Option<Adapter>> {
    let manifest: Table = manifest.parse()?;
    let Some(package) = manifest.get("package") else { return Ok(None) };
    if package.get("publish").and_then(Value::as_bool) == Some(false) {
        return Ok(None);
    }
    let name = package.get("name").and_then(Value::as_str).context("a package without a name")?.to_owned();
    let features = manifest.get("features").and_then(Value::as_table);
    let features = features.into_iter().flat_map(Table::keys).filter(|name| *name != "default");
    Ok(Some(Adapter { name, features: features.cloned().collect() }))
}

/// Nothing, each feature alone, and all of them together.
fn combinations(features: &[String]) -> Vec<Vec<String>> {
    let mut combinations = vec![Vec::new()];
    combinations.extend(features.iter().map(|feature| vec![feature.clone()]));
    if features.len() > 1 {
        combinations.push(features.to_vec());
    }
    combinations
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_adapter_is_checked_with_no_feature_each_and_all() {
        let text = "[package]\nname = \"a\"\n[features]\ndefault = []\npostgres = []\nsqlite = []\n";
        let adapter = adapter(text).expect("it is TOML").expect("it is an adapter");
        let combinations = combinations(&adapter.features);
        let shown: Vec<String> = combinations.iter().map(|features| features.join("+")).collect();
        assert_eq!(shown, ["", "postgres", "sqlite", "postgres+sqlite"]);
    }

    #[test]
    fn what_is_not_published_is_no_adapter() {
        let text = "[package]\nname = \"testkit\"\npublish = false\n";
        assert_eq!(adapter(text).expect("it is TOML"), None);
    }
}
