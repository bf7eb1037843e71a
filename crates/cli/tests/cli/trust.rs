//! Files that are found, and not named, are used only where no other user could have put them there.

use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::Path;

use crate::program::Home;

const CONFIG: &str = "[work.handlers.k]\nexec = \"sh -c 'touch ran'\"\n";

fn mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("ours");
}

#[test]
fn a_config_file_that_others_may_write_is_refused_unless_it_is_named() {
    let home = Home::new();
    let path = home.write("gristmill.toml", CONFIG);
    let url = format!("sqlite:{}", home.path("jobs.db").display());
    let below = home.path("below");
    std::fs::create_dir(&below).expect("ours");
    let work = |config: &[&str]| {
        let words = [&["work", "--drain", "--db", &url], config].concat();
        let output = home.command(&words).current_dir(&below).output().expect("it runs");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let refused = |why: &str| {
        home.enqueue(&["k", "--db", &url, "--config", "/dev/null"]);
        let (code, said) = work(&[]);
        assert_eq!(code, Some(4), "{said}");
        assert!(said.contains(why) && said.contains(&format!("--config {path}")), "{said}");
        assert!(!below.join("ran").exists());
    };
    let (file, folder) = (home.path("gristmill.toml"), home.path(""));

    mode(&file, 0o666);
    refused("it may be written by every user");
    mode(&file, 0o644);
    mode(&folder, 0o777);
    refused("its folder may be written by every user");
    mode(&folder, 0o1777);
    let (code, said) = work(&[]);
    assert_eq!(code, Some(0), "in a sticky folder it can be neither removed nor replaced: {said}");
    assert!(said.contains(&format!(", with programs of {path}")), "{said}");
    assert!(below.join("ran").exists());
    std::fs::remove_file(below.join("ran")).expect("ours");
    mode(&folder, 0o700);

    // Only root can give files away.
    if chown(&file, Some(65_534), Some(65_534)).is_ok() {
        refused("it belongs to another user (uid 65534)");
        let (code, said) = work(&["--config", &path]);
        assert_eq!(code, Some(0), "{said}");
        std::fs::remove_file(below.join("ran")).expect("ours");
        chown(&file, Some(0), Some(65_534)).expect("given before");
        mode(&file, 0o664);
        refused("it may be written by a group (gid 65534)");
        std::fs::rename(&file, home.path("other.toml")).expect("ours");
        mode(&home.path("other.toml"), 0o644);
        std::os::unix::fs::symlink(home.path("other.toml"), &file).expect("ours");
        std::os::unix::fs::lchown(&file, Some(65_534), None).expect("given before");
        refused("the link to it belongs to another user");
    }
}

#[test]
fn a_store_that_lies_about_is_refused_unless_it_is_named() {
    let home = Home::new();
    home.enqueue(&["k"]);
    mode(&home.path("jobs.db"), 0o666);
    let ran = home.run(&["enqueue", "k"]);
    assert_eq!(ran.code, 4, "{}", ran.stderr);
    assert!(ran.stderr.contains("jobs.db was found, but is not used"), "{}", ran.stderr);
    assert!(ran.stderr.contains("--db sqlite:jobs.db"), "{}", ran.stderr);
    home.ok(&["enqueue", "k", "--db", "sqlite:jobs.db"]);
}

#[test]
fn a_program_of_the_file_is_the_same_wherever_the_worker_is_started() {
    let home = Home::new();
    home.write("gristmill.toml", "db = \"sqlite:jobs.db\"\n[work.handlers.k]\nexec = \"./program.sh\"\n");
    let below = home.path("below");
    std::fs::create_dir(&below).expect("ours");
    for (path, output) in [(home.path("program.sh"), 1), (below.join("program.sh"), 2)] {
        std::fs::write(&path, format!("#!/bin/sh\necho {output}\n")).expect("ours");
        mode(&path, 0o700);
    }
    let id = home.enqueue(&["k"]);
    let status = home.command(&["work", "--drain"]).current_dir(&below).status().expect("it runs");
    assert!(status.success());
    assert_eq!(home.job(&id)["output"], 1, "not the one of the working directory");
}
