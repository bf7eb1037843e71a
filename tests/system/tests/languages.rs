//! The outbox in other languages: their examples run as a role that may only produce, and a worker runs what
//! they stored.
//!
//! Their packages are in `languages` in the target folder, where `cargo xtask servers` puts them.

use std::fs::{self, File};
use std::io::{Write as _, stderr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use gristmill_system_tests::{Product, wait_until};
use gristmill_testserver::Postgres;
use serde_json::{Value, json};

/// What users may type: it has to arrive as it is.
const QUOTED: &str = r#"o'hara"\$1@example.org"#;

/// A server with the schema, the examples' table and the role `shop`, which may only produce.
struct Shop {
    server: Postgres,
    product: Product,
}

impl Shop {
    fn open() -> Self {
        // Its own: roles belong to the whole server.
        let server = Postgres::start();
        let product = Product::on_server(server.url());
        product.run_with(["migrate"], b"");
        server.psql(&read("producer.sql"));
        server.psql("ALTER ROLE shop SET statement_timeout = '60s'");
        Self { server, product }
    }

    /// The database, as a role.
    fn url_of(&self, role: &str) -> String {
        self.server.url().replacen("//gristmill@", &format!("//{role}@"), 1)
    }

    fn emails(&self) -> String {
        self.server.psql("SELECT string_agg(email, ' ' ORDER BY id) FROM public.users")
    }

    /// All jobs, the oldest first.
    fn jobs(&self) -> Vec<Value> {
        let listed = self.product.run_with(["jobs", "list", "--oldest-first", "--json"], b"");
        let listed = String::from_utf8(listed.stdout).expect("the program speaks UTF-8");
        listed.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect()
    }

    /// Each user has one job and each job a user; a worker runs them all, and each once.
    fn every_user_has_one_job(&self) {
        let users =
            "SELECT json_agg(json_build_object('user_id', id, 'email', email) ORDER BY id) FROM public.users";
        let users = self.server.psql(users);
        let users: Vec<Value> = serde_json::from_str(&users).expect("the server writes JSON");
        let args = |jobs: &[Value]| jobs.iter().map(|job| job["args"].clone()).collect::<Vec<_>>();
        assert_eq!(args(&self.jobs()), users);
        let stored = self.server.psql("SELECT count(*), count(DISTINCT id) FROM gristmill.jobs");
        assert_eq!(stored, format!("{0}|{0}", users.len()));

        assert_eq!(self.work(), users, "what the worker's program read");
        let jobs = self.jobs();
        assert_eq!(args(&jobs), users);
        assert!(jobs.iter().all(|job| job["state"] == "completed" && job["attempt"] == 1), "{jobs:?}");
    }

    /// Runs all jobs, and gives the args that their program read.
    fn work(&self) -> Vec<Value> {
        let program = "#!/bin/sh\ncat >> letters && echo >> letters\n";
        fs::write(self.product.folder().join("letter.sh"), program).expect("the program is written");
        let words = ["work", "--exec", "email.welcome=sh letter.sh", "--queue", "default=1", "--drain"];
        self.product.run_with(words, b"");
        let letters = fs::read_to_string(self.product.folder().join("letters")).expect("letters were sent");
        let mut letters: Vec<Value> =
            letters.lines().map(|line| serde_json::from_str(line).expect("args are JSON")).collect();
        letters.sort_by_key(|args| args["user_id"].as_i64());
        letters
    }
}

fn read(file: &str) -> String {
    let path = sources().join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../outbox/languages")
}

/// Where the packages of a language are; none where its toolchain is not on this machine.
fn packages(language: &str, toolchain: &[&str]) -> Option<PathBuf> {
    let runs = |program: &&&str| {
        let argument = if **program == "go" { "version" } else { "--version" };
        let call = Command::new(program).arg(argument).stdout(Stdio::null()).stderr(Stdio::null()).status();
        call.is_ok_and(|status| status.success())
    };
    if toolchain.iter().filter(runs).count() < toolchain.len() {
        let missing: Vec<&&str> = toolchain.iter().filter(|program| !runs(program)).collect();
        // Not by `eprintln!`: the test runner hides its output if the test passes.
        let _ = writeln!(
            stderr(),
            "languages test: {missing:?} not on this machine: the example in {language} was not run"
        );
        return None;
    }
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("it is in the target folder");
    let folder = target.join("languages").join(language);
    assert!(
        folder.join("installed").is_file(),
        "the packages for {language} are not in {}\nhint: cargo xtask servers",
        folder.display()
    );
    Some(folder)
}

/// Killed when dropped.
struct Reaped(Child);

impl Drop for Reaped {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a program to its end, which has to be a good one, and gives the lines it said.
fn lines_of(mut program: Command, folder: &Path) -> Vec<String> {
    let [out, err] = ["out", "err"].map(|name| folder.join(format!("example.{name}")));
    program.stdin(Stdio::null());
    program.stdout(File::create(&out).expect("a file")).stderr(File::create(&err).expect("a file"));
    let mut child = Reaped(program.spawn().expect("the program starts"));
    let mut status = None;
    wait_until("the program to end", || {
        status = child.0.try_wait().expect("it is ours");
        status.is_some()
    });
    let [out, err] = [out, err].map(|path| fs::read_to_string(path).expect("it speaks UTF-8"));
    assert!(status.is_some_and(|status| status.success()), "{program:?}\n{out}\n{err}");
    out.lines().map(str::to_owned).collect()
}

/// Runs an example, and holds what it said against what is stored.
fn the_example_holds(shop: &Shop, program: Command) {
    let said = lines_of(program, shop.product.folder());
    let said: Vec<(&str, &str)> = said.iter().filter_map(|line| line.split_once(": ")).collect();
    let [("rolled back", gone), ("committed", committed), ("once", once), refused, hint, ("stored", stored)] =
        said[..]
    else {
        panic!("{said:?}");
    };
    assert_eq!(refused, ("refused", "`options` has no member `retries`"));
    assert!(hint.0 == "hint" && hint.1.contains("max_attempts"), "{hint:?}");
    let (first, second) = once.split_once(' ').expect("two ids");
    assert_eq!(first, second, "the same unique key twice is one job");

    assert_eq!(shop.emails(), format!("{QUOTED} twice@example.org refused@example.org"));
    let jobs = shop.jobs();
    let seen = |job: &Value| ["id", "state", "max_attempts", "tags"].map(|name| job[name].clone());
    let due = |id: &str, max_attempts: u32, tags: &[&str]| {
        [json!(id), json!("available"), json!(max_attempts), json!(tags)]
    };
    let expected = [due(committed, 20, &[]), due(first, 20, &[]), due(stored, 3, &["eu"])];
    assert_eq!(jobs.iter().map(seen).collect::<Vec<_>>(), expected, "and {gone} is not there");
    shop.every_user_has_one_job();
}

#[test]
fn python_commits_jobs_with_its_data() {
    let Some(folder) = packages("python", &["python3"]) else { return };
    let shop = Shop::open();
    let mut program = Command::new(folder.join("venv/bin/python"));
    program.arg(sources().join("python/outbox.py")).arg(shop.url_of("shop"));
    the_example_holds(&shop, program);
}

#[test]
fn go_commits_jobs_with_its_data() {
    let Some(folder) = packages("go", &["go"]) else { return };
    let shop = Shop::open();
    let built = shop.product.folder().join("outbox");
    let mut build = Command::new("go");
    build
        .current_dir(sources().join("go"))
        .args(["build", "-buildvcs=false", "-modcacherw", "-o"])
        .arg(&built)
        .arg(".");
    // What is not installed is not to be had.
    build.env("GOMODCACHE", folder.join("modules")).env("GOPROXY", "off").env("GOTOOLCHAIN", "local");
    lines_of(build, shop.product.folder());
    let mut program = Command::new(built);
    program.arg(shop.url_of("shop"));
    the_example_holds(&shop, program);
}

#[test]
fn node_commits_jobs_with_its_data() {
    let Some(folder) = packages("node", &["node", "npm"]) else { return };
    let shop = Shop::open();
    // Node.js looks for packages beside a program.
    let program = folder.join("outbox.js");
    fs::copy(sources().join("node/outbox.js"), &program).expect("the program is copied");
    let mut node = Command::new("node");
    node.arg(program).env("DATABASE_URL", shop.url_of("shop"));
    the_example_holds(&shop, node);
}

#[test]
fn a_producer_may_enqueue_and_nothing_else() {
    let shop = Shop::open();
    let ask = |role: &str, sql: &str| shop.server.try_psql(&shop.url_of(role), sql);
    ask("shop", "SELECT gristmill.enqueue('email.welcome')").expect("it may enqueue");
    for statement in [
        "SELECT FROM gristmill.jobs",
        "DELETE FROM gristmill.ready",
        "SELECT gristmill.outbox_enqueue('{}')",
        "SELECT gristmill.outbox_request('{}')",
        "SELECT gristmill.outbox_get('{}')",
        "CREATE TABLE gristmill.mine (x int)",
    ] {
        let refused = ask("shop", statement).expect_err(statement).to_string();
        assert!(refused.contains("permission denied"), "{statement}: {refused}");
    }
    assert_eq!(shop.jobs().len(), 1);

    shop.server.psql("CREATE ROLE stranger LOGIN");
    let refused = ask("stranger", "SELECT gristmill.enqueue('email.welcome')").expect_err("it may not");
    assert!(refused.to_string().contains("permission denied"), "{refused}");
}

#[test]
fn a_trigger_enqueues_for_whoever_inserts() {
    let shop = Shop::open();
    shop.server.psql(&read("trigger.sql"));
    shop.server.psql("CREATE ROLE web LOGIN; GRANT INSERT ON public.users TO web");
    let ask = |sql: &str| shop.server.try_psql(&shop.url_of("web"), sql);

    ask("BEGIN; INSERT INTO users (email) VALUES ('nobody@example.org'); ROLLBACK").expect("it may insert");
    assert_eq!(shop.jobs().len(), 0);
    let two =
        format!("INSERT INTO users (email) VALUES ('{}'), ('b@example.org')", QUOTED.replace('\'', "''"));
    ask(&two).expect("it may insert");
    ask("INSERT INTO users (email) VALUES ('c@example.org')").expect("it may insert");

    assert_eq!(shop.emails(), format!("{QUOTED} b@example.org c@example.org"));
    shop.every_user_has_one_job();
    let refused = ask("SELECT gristmill.enqueue('email.welcome')").expect_err("it may only insert");
    assert!(refused.to_string().contains("permission denied"), "{refused}");
    let own = "CREATE TEMP TABLE mine (id bigint, email text); \
               CREATE TRIGGER mine AFTER INSERT ON mine FOR EACH ROW EXECUTE FUNCTION welcome_user()";
    let refused = ask(own).expect_err("the function is for its own table");
    assert!(refused.to_string().contains("permission denied for function welcome_user"), "{refused}");
}
