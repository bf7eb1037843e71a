//! The programs that take turns, each built when a row first needs it.

use std::{
    collections::HashMap,
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::plan::Program;
use crate::{step, workspace};

/// Where a program lies, or why there is none.
type Found = Result<PathBuf, String>;

/// What was built so far.
#[derive(Debug)]
pub(crate) struct Programs {
    root: PathBuf,
    scratch: PathBuf,
    found: HashMap<&'static str, Found>,
}

impl Programs {
    /// Builds nothing yet. What cargo does not place goes to `scratch`.
    pub(crate) fn new(root: PathBuf, scratch: PathBuf) -> Self {
        Self { root, scratch, found: HashMap::new() }
    }

    /// The program, built with optimisation; or why it cannot be run.
    pub(crate) fn find(&mut self, program: Program) -> Found {
        let key = match program {
            Program::Floor => "floor",
            Program::Product => "product",
            Program::GraphileWorker => "graphile_worker",
            Program::River => "river",
        };
        if let Some(found) = self.found.get(key) {
            return found.clone();
        }
        let found = self.build(program);
        self.found.insert(key, found.clone());
        found
    }

    fn build(&self, program: Program) -> Found {
        let package = |manifest: Option<&str>, package: &str| {
            let mut command = workspace::cargo(&self.root);
            command.args(["build", "--release", "--package", package]);
            if let Some(manifest) = manifest {
                command.args(["--manifest-path", manifest]);
            }
            command
        };
        match program {
            Program::Product => {
                succeed(&mut package(None, "gristmill-cli"))?;
                Ok(in_target(&workspace::target_folder(&self.root), "gristmill"))
            }
            Program::Floor => {
                succeed(&mut package(Some("bench/Cargo.toml"), "gristmill-floors"))?;
                Ok(in_target(&self.target_of("bench"), "gristmill-floors"))
            }
            Program::GraphileWorker => {
                let folder = "bench/peers/graphile_worker";
                let name = "gristmill-peer-graphile-worker";
                succeed(&mut package(Some(&format!("{folder}/Cargo.toml")), name))?;
                Ok(in_target(&self.target_of(folder), name))
            }
            Program::River => self.build_river(),
        }
    }

    fn build_river(&self) -> Found {
        let has_go = Command::new("go").arg("version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        if !has_go.is_ok_and(|status| status.success()) {
            return Err("go is not installed".to_owned());
        }
        fs::create_dir_all(&self.scratch).map_err(|error| error.to_string())?;
        let program = self.scratch.join(format!("river{}", env::consts::EXE_SUFFIX));
        let mut build = Command::new("go");
        build.current_dir(self.root.join("bench/peers/river")).arg("build").arg("-o").arg(&program).arg(".");
        succeed(&mut build)?;
        Ok(program)
    }

    /// With CARGO_TARGET_DIR all workspaces share one folder.
    fn target_of(&self, workspace: &str) -> PathBuf {
        match env::var_os("CARGO_TARGET_DIR") {
            Some(_) => workspace::target_folder(&self.root),
            None => self.root.join(workspace).join("target"),
        }
    }
}

fn in_target(target: &Path, name: &str) -> PathBuf {
    target.join("release").join(format!("{name}{}", env::consts::EXE_SUFFIX))
}

fn succeed(build: &mut Command) -> Result<(), String> {
    match step::succeeded(build) {
        Ok(true) => Ok(()),
        Ok(false) => Err("it does not build".to_owned()),
        Err(error) => Err(format!("{error:#}")),
    }
}
