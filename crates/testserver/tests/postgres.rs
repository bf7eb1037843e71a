//! A private PostgreSQL server does what tests ask of it.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use gristmill_testserver::Postgres;

#[test]
fn server_answers_on_both_its_addresses() {
    let server = Postgres::start();
    assert_eq!(server.psql("SELECT current_user, current_database()"), "gristmill|gristmill");
    assert_eq!(server.try_psql(&server.socket_url(), "SELECT 1").unwrap(), "1");
    assert_eq!(server.psql("SHOW fsync; SHOW synchronous_commit; SHOW max_connections"), "off\non\n200");
    assert!(server.log().contains("ready to accept connections"));
}

#[test]
fn settings_reach_the_server() {
    let server = Postgres::builder().durable().setting("work_mem", "7MB").start();
    assert_eq!(server.psql("SHOW fsync; SHOW work_mem"), "on\n7MB");
}

#[test]
fn wrong_setting_is_an_error_with_the_servers_words() {
    let error = Postgres::builder().setting("no_such_setting", "1").try_start().unwrap_err();
    assert!(error.to_string().contains("no_such_setting"), "{error}");
}

#[test]
fn failing_statement_is_an_error_with_the_servers_words() {
    let server = Postgres::shared();
    let private = Postgres::start();
    let error = private.try_psql(server.url(), "SELECT 1; SELECT nothing").unwrap_err();
    assert!(error.to_string().contains("column \"nothing\" does not exist"), "{error}");
}

#[test]
fn killed_server_leaves_no_process_and_keeps_what_was_committed() {
    let server = Postgres::builder().durable().start();
    server.psql("CREATE TABLE kept (n int); INSERT INTO kept VALUES (1), (2)");
    let (pid, url) = (server.pid().unwrap(), server.url().to_owned());
    assert!(!children(pid).is_empty());
    let family = children(pid);
    let memory = shared_memory(pid);
    assert!(!memory.is_empty());
    server.kill();
    for file in memory {
        assert!(!Path::new(&file).exists(), "{file} stays in memory");
    }
    for pid in family.iter().chain([&pid]) {
        assert!(!runs(*pid), "process {pid} is still there");
    }
    assert_eq!(server.pid(), None);
    assert!(server.try_psql(&url, "SELECT 1").is_err());
    server.start_again();
    assert_eq!(server.url(), url);
    assert_eq!(server.psql("SELECT count(*) FROM kept"), "2");
    assert!(server.log().contains("database system was not properly shut down"));
}

#[test]
fn stopped_server_ends_in_order() {
    let server = Postgres::start();
    server.psql("CREATE TABLE kept (n int)");
    server.restart();
    assert_eq!(server.psql("SELECT count(*) FROM kept"), "0");
    assert!(server.log().contains("database system is shut down"));
    assert!(!server.log().contains("not properly shut down"));
    server.stop();
    server.stop();
    assert_eq!(server.pid(), None);
}

#[test]
fn paused_server_answers_nobody_until_it_is_resumed() {
    let server = Postgres::start();
    server.pause();
    let impatient = format!("{}?connect_timeout=2", server.url());
    let error = server.try_psql(&impatient, "SELECT 1").unwrap_err();
    assert!(error.to_string().contains("timeout"), "{error}");
    server.resume();
    assert_eq!(server.psql("SELECT 1"), "1");
    server.pause();
    server.stop();
    server.start_again();
    server.pause();
    server.kill();
}

#[test]
fn data_may_lie_elsewhere_and_goes_with_the_server() {
    // Not the system's temporary folder by its own name, so that nothing is found by chance.
    let elsewhere = std::env::temp_dir().join(format!("gristmill-elsewhere-{}", std::process::id()));
    std::fs::create_dir(&elsewhere).unwrap();
    let server = Postgres::builder().data_dir_in(&elsewhere).start();
    let shown = server.psql("SHOW data_directory");
    assert!(Path::new(&shown).starts_with(elsewhere.canonicalize().unwrap()), "{shown}");
    assert_eq!(Path::new(&shown), server.data_dir());
    drop(server);
    // Fails if anything is left in it.
    std::fs::remove_dir(&elsewhere).unwrap();
}

#[test]
fn dropped_server_leaves_nothing() {
    let server = Postgres::start();
    let (pid, folder) = (server.pid().unwrap(), server.socket_dir().parent().unwrap().to_owned());
    drop(server);
    assert!(!runs(pid));
    assert!(!folder.exists() && !folder.with_extension("lock").exists());
}

#[test]
fn shared_server_gives_each_test_a_database_of_its_own() {
    let shared = Postgres::shared();
    let (first, second) = (shared.fresh_database(), shared.fresh_database());
    shared.psql_at(&first, "CREATE TABLE here (n int)");
    assert_eq!(shared.psql_at(&second, "SELECT to_regclass('here') IS NULL"), "t");
    assert_ne!(shared.fresh_schema_name(), shared.fresh_schema_name());
    shared.psql(&format!("CREATE SCHEMA {}", shared.fresh_schema_name()));
    assert_eq!(
        std::net::TcpStream::connect(shared.address()).unwrap().peer_addr().unwrap(),
        shared.address()
    );
}

/// This test's own program, started again, is the other process.
#[test]
fn processes_that_start_together_share_one_template() {
    let others: Vec<_> =
        (0..3).map(|_| owner("owner_of_a_server").stdin(Stdio::null()).spawn().unwrap()).collect();
    let server = Postgres::start();
    assert_eq!(server.psql("SELECT 1"), "1");
    for mut other in others {
        assert!(other.wait().unwrap().success());
    }
}

#[test]
fn server_ends_with_an_owner_that_is_killed() {
    for pause in ["", "pause"] {
        let (mut owner, pid, folder) = owner_with_server(pause);
        assert!(runs(pid));
        owner.kill().unwrap();
        owner.wait().unwrap();
        wait_until("the server to end", || !runs(pid));
        wait_until("its folder to go", || !folder.exists());
    }
}

/// A watchdog can be killed as well: when a machine runs out of memory, or when a whole container is stopped.
#[test]
fn next_start_ends_what_nobody_watches_any_more() {
    let (mut owner, pid, folder) = owner_with_server("");
    for child in children(owner.id()).into_iter().filter(|child| *child != pid) {
        let child = rustix::process::Pid::from_raw(child.try_into().unwrap()).unwrap();
        rustix::process::kill_process(child, rustix::process::Signal::KILL).unwrap();
    }
    owner.kill().unwrap();
    owner.wait().unwrap();
    assert!(runs(pid) || !folder.exists(), "another test's process may have swept already");
    // The first start of a process sweeps.
    assert!(self::owner("owner_of_a_server").stdin(Stdio::null()).status().unwrap().success());
    wait_until("the server to end", || !runs(pid));
    wait_until("its folder to go", || !folder.exists());
}

#[test]
fn existing_server_can_stand_in_for_the_shared_one() {
    let server = Postgres::start();
    let mut user = owner("user_of_the_shared_server");
    user.env("GRISTMILL_TEST_POSTGRES_URL", server.url()).stdin(Stdio::null());
    assert!(user.status().unwrap().success());
    let databases = "SELECT count(*) FROM pg_database WHERE datname LIKE 'gristmill\\_test\\_%'";
    assert_eq!(server.psql(databases), "1");
}

/// Not a rule of its own: the process that has another server named to it.
#[test]
fn user_of_the_shared_server() {
    if std::env::var_os("OWNER").is_some() {
        let shared = Postgres::shared();
        assert_eq!(shared.url(), std::env::var("GRISTMILL_TEST_POSTGRES_URL").unwrap());
        shared.psql_at(&shared.fresh_database(), "SELECT 1");
    }
}

/// Not a rule of its own: the process that others start to be the owner of a server.
#[test]
fn owner_of_a_server() {
    if std::env::var_os("OWNER").is_none() {
        return;
    }
    let server = Postgres::start();
    if std::env::var("OWNER_PAUSES").is_ok_and(|value| !value.is_empty()) {
        server.pause();
    }
    let folder = server.socket_dir().parent().unwrap().to_owned();
    let line = format!("\nOWNS {} {}\n", server.pid().unwrap(), folder.display());
    std::io::Write::write_all(&mut std::io::stdout(), line.as_bytes()).unwrap();
    // Its input ends at once, or never, and then it is killed.
    std::io::stdin().read_line(&mut String::new()).unwrap();
}

/// Starts another process and waits until it has a server, of which it gives the number and the folder.
fn owner_with_server(pause: &str) -> (Child, u32, PathBuf) {
    let mut owner = owner("owner_of_a_server");
    let mut owner = owner.env("OWNER_PAUSES", pause).stdin(Stdio::piped()).spawn().expect("it starts");
    let mut stdout = BufReader::new(owner.stdout.take().expect("a pipe"));
    let mut line = String::new();
    while !line.starts_with("OWNS ") {
        line.clear();
        assert_ne!(stdout.read_line(&mut line).expect("it prints text"), 0, "it ended without a server");
    }
    let words: Vec<&str> = line.split_whitespace().collect();
    (owner, words[1].parse().expect("a number"), words[2].into())
}

fn owner(test: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program has a path"));
    command.args(["--exact", test, "--nocapture"]).env("OWNER", "1");
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    command
}

fn stat(pid: u32) -> Option<(char, u32)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut words = text.rsplit_once(')')?.1.split_whitespace();
    Some((words.next()?.chars().next()?, words.next()?.parse().ok()?))
}

fn shared_memory(pid: u32) -> Vec<String> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).expect("it runs");
    let words = maps.split_whitespace().filter(|word| word.starts_with("/dev/shm/"));
    words.map(str::to_owned).collect()
}

fn runs(pid: u32) -> bool {
    stat(pid).is_some_and(|(state, _)| state != 'Z')
}

fn children(parent: u32) -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").expect("Linux");
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| stat(*pid).is_some_and(|(_, of)| of == parent)).collect()
}

#[expect(clippy::disallowed_methods, reason = "another process can only be looked at again")]
fn wait_until(fact: &str, mut holds: impl FnMut() -> bool) {
    let started = std::time::Instant::now();
    while !holds() {
        assert!(started.elapsed().as_secs() < 60, "waited in vain for {fact}");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}
