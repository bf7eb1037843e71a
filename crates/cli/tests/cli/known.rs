//! A name of something that exists: where nothing has it, the nearest one is shown.

use crate::program::Home;

#[test]
fn a_misspelt_name_is_reported_with_the_nearest_one() {
    let home = Home::new();
    home.enqueue(&["report", "--queue", "mail", "--tag", "nightly"]);
    let cases: &[(&[&str], &str)] = &[
        (&["queues", "pause", "mial"], "there is no queue `mial`\nhint: did you mean `mail`?"),
        (&["queues", "resume", "nosuch"], "there is no queue `nosuch`\nhint: `gristmill queues list`"),
        (&["jobs", "list", "--queue", "mial"], "there is no queue `mial`"),
        (&["jobs", "list", "--kind", "reprot"], "there is no kind `reprot`\nhint: did you mean `report`?"),
        (&["jobs", "list", "--tag", "nihgtly"], "there is no tag `nihgtly`\nhint: did you mean `nightly`?"),
        (&["jobs", "cancel", "--kind", "reprot", "--yes"], "did you mean `report`?"),
        (&["jobs", "retry", "--queue", "mial", "--dry-run"], "did you mean `mail`?"),
        (
            &["jobs", "list", "--worker", "00000000000000000000000000000001"],
            "hint: `gristmill workers list` shows the workers",
        ),
    ];
    for (words, said) in cases {
        let ran = home.run(words);
        assert_eq!(ran.code, 3, "{words:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(said), "{words:?}: {}", ran.stderr);
    }
    assert_eq!(home.ok(&["queues", "list", "--json"]).ndjson().len(), 1, "no queue was made");
    home.ok(&["jobs", "list", "--kind", "report", "--state", "discarded"]);
    home.ok(&["queues", "pause", "new", "--create"]);
    home.ok(&["queues", "resume", "new"]);
}
