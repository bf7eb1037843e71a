//! Operating on jobs.

use serde_json::json;

use crate::program::Home;

#[test]
fn bulk_changes_are_confirmed_and_can_be_looked_at_first() {
    let home = Home::new();
    for kind in ["a", "a", "b"] {
        home.enqueue(&[kind]);
    }
    let dry = home.ok(&["jobs", "cancel", "--kind", "a", "--dry-run"]);
    assert!(dry.stderr.contains("would cancel 2 jobs"), "{}", dry.stderr);
    assert_eq!(dry.stdout.lines().count(), 2);
    assert_eq!(home.run(&["jobs", "cancel", "--kind", "a"]).code, 4);
    assert_eq!(home.count("available"), 3);
    let done = home.ok(&["jobs", "cancel", "--kind", "a", "--yes", "--json"]);
    assert!(done.ndjson().iter().all(|line| line["result"] == "done"), "{}", done.stdout);
    assert_eq!((home.count("available"), home.count("cancelled")), (1, 2));
    home.ok(&["jobs", "delete", "--all", "--yes"]);
    assert_eq!(home.ok(&["jobs", "list", "--json"]).stdout, "");
}

#[test]
fn a_job_is_retried_cancelled_and_deleted_by_its_id() {
    let home = Home::new();
    let id = home.enqueue(&["k"]);
    let act = |verb: &str| home.ok(&["jobs", verb, &id, "--json"]).json();
    assert_eq!(act("cancel"), json!({"id": id, "result": "done"}));
    assert_eq!(home.job(&id)["state"], "cancelled");
    assert_eq!(act("cancel"), json!({"id": id, "result": "already_terminal"}));
    assert_eq!(act("retry"), json!({"id": id, "result": "done"}));
    assert_eq!(home.job(&id)["state"], "available");
    assert_eq!(act("delete"), json!({"id": id, "result": "done"}));
    assert_eq!(home.run(&["jobs", "show", &id]).code, 3);
}

#[test]
fn a_list_that_is_cut_goes_on_where_it_ended() {
    let home = Home::new();
    let ids: Vec<String> = (0..3).map(|_| home.enqueue(&["k"])).collect();
    let first = home.ok(&["jobs", "list", "--json", "--limit", "2"]);
    let listed: Vec<_> =
        first.ndjson().iter().map(|job| job["id"].as_str().expect("an id").to_owned()).collect();
    assert_eq!(listed, [ids[2].clone(), ids[1].clone()]);
    assert!(first.stderr.contains(&format!("--after {}", ids[1])), "{}", first.stderr);
    let rest = home.ok(&["jobs", "list", "--json", "--limit", "2", "--after", &ids[1]]);
    assert_eq!(rest.json()["id"], ids[0].as_str());
}
