//! The programs that take turns, each built when a row first needs it.

mod node;

use std::{
    collections::HashMap,
    env, fmt, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::plan::Program;
use crate::{step, workspace};

/// What starts a program, or why there is none.
type Found = Result<Launch, String>;

/// What starts a program: the file to run, and the script where that file is an interpreter.
#[derive(Clone, Debug)]
pub(crate) struct Launch {
    program: PathBuf,
    script: Option<PathBuf>,
}

impl Launch {
    /// A command to which the program's own arguments can be added.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.script);
        command
    }
}

impl fmt::Display for Launch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [Some(&self.program), self.script.as_ref()].into_iter().flatten();
        for (i, part) in parts.enumerate() {
            write!(f, "{}{}", if i == 0 { "" } else { " " }, part.display())?;
        }
        Ok(())
    }
}

impl From<PathBuf> for Launch {
    fn from(program: PathBuf) -> Self {
        Self { program, script: None }
    }
}

/// What was built so far.
#[derive(Debug)]
pub(crate) struct Programs {
    root: PathBuf,
    /// Where the earlier commit lies, if one is measured.
    before: Option<PathBuf>,
    scratch: PathBuf,
    found: HashMap<Program, Found>,
    node: Option<node::Installed>,
}

impl Programs {
    /// Builds nothing yet. What cargo does not place goes to `scratch`.
    pub(crate) fn new(root: PathBuf, before: Option<PathBuf>, scratch: PathBuf) -> Self {
        Self { root, before, scratch, found: HashMap::new(), node: None }
    }

    /// The program, built with optimisation; or why it cannot be run.
    pub(crate) fn find(&mut self, program: Program) -> Found {
        if let Some(found) = self.found.get(&program) {
            return found.clone();
        }
        let found = self.build(program);
        self.found.insert(program, found.clone());
        found
    }

    fn build(&mut self, program: Program) -> Found {
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
                Ok(in_target(&workspace::target_folder(&self.root), program.name()))
            }
            Program::Floor => {
                succeed(&mut package(Some("bench/Cargo.toml"), "gristmill-floors"))?;
                Ok(in_target(&self.target_of("bench"), program.name()))
            }
            Program::OutboxBench => {
                succeed(&mut package(Some("outbox/Cargo.toml"), program.name()))?;
                Ok(in_target(&self.target_of("outbox"), program.name()))
            }
            Program::ProductBefore => self.build_before("Cargo.toml", "gristmill-cli", program),
            Program::OutboxBenchBefore => self.build_before("outbox/Cargo.toml", program.name(), program),
            Program::GraphileWorker => self.build_crate("graphile_worker", program),
            Program::Apalis => self.build_crate("apalis", program),
            Program::Awa => self.build_crate("awa", program),
            Program::GraphileWorkerNode => self.install_script("graphile_worker.js"),
            Program::PgBoss => self.install_script("pg_boss.js"),
            Program::River => self.build_river(),
        }
    }

    /// An earlier commit is built in its own folder, whatever CARGO_TARGET_DIR is.
    fn build_before(&self, manifest: &str, package: &str, program: Program) -> Found {
        let root = self.before.as_ref().ok_or("no commit was named by `--against`")?;
        let target = root.join("target");
        let mut build = workspace::cargo(root);
        build.args(["build", "--release", "--package", package, "--manifest-path", manifest, "--target-dir"]);
        succeed(build.arg(&target))?;
        Ok(in_target(&target, program.name()))
    }

    /// The peers that are crates have workspaces of their own.
    fn build_crate(&self, folder: &str, program: Program) -> Found {
        let folder = format!("bench/peers/{folder}");
        let manifest = format!("{folder}/Cargo.toml");
        let mut build = workspace::cargo(&self.root);
        build.args(["build", "--release", "--manifest-path", &manifest]);
        succeed(&mut build)?;
        Ok(in_target(&self.target_of(&folder), program.name()))
    }

    fn install_script(&mut self, script: &str) -> Found {
        let folder = self.root.join("bench/peers/node");
        let interpreter = self.node.get_or_insert_with(|| node::install(&folder)).clone()?;
        Ok(Launch { program: interpreter, script: Some(folder.join(script)) })
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
        Ok(program.into())
    }

    /// With CARGO_TARGET_DIR all workspaces share one folder.
    fn target_of(&self, workspace: &str) -> PathBuf {
        match env::var_os("CARGO_TARGET_DIR") {
            Some(_) => workspace::target_folder(&self.root),
            None => self.root.join(workspace).join("target"),
        }
    }
}

fn in_target(target: &Path, name: &str) -> Launch {
    target.join("release").join(format!("{name}{}", env::consts::EXE_SUFFIX)).into()
}

fn succeed(build: &mut Command) -> Result<(), String> {
    match step::succeeded(build) {
        Ok(true) => Ok(()),
        Ok(false) => Err("it does not build".to_owned()),
        Err(error) => Err(format!("{error:#}")),
    }
}
