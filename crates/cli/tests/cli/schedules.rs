//! `schedules`.

use crate::program::Home;

#[test]
fn schedules_next_prints_instants_and_what_clocks_show() {
    let home = Home::new();
    let rule = ["schedules", "next", "--cron", "30 2 * * *", "--zone", "Europe/Stockholm"];
    let from = ["--from", "2025-03-28T12:00:00Z", "-n", "3"];

    let text = home.ok(&[&rule[..], &from[..]].concat()).stdout;
    assert_eq!(
        text,
        "2025-03-29T01:30:00.000Z  2025-03-29 02:30:00 +01:00\n\
         2025-03-30T01:00:00.000Z  2025-03-30 03:00:00 +02:00\n\
         2025-03-31T00:30:00.000Z  2025-03-31 02:30:00 +02:00\n"
    );

    let json = home.ok(&[&rule[..], &from[..], &["--json"]].concat()).stdout;
    let first: serde_json::Value = serde_json::from_str(json.lines().next().expect("a line")).expect("JSON");
    assert_eq!(first["at"], "2025-03-29T01:30:00.000Z");
    assert_eq!(first["wall_time"], "2025-03-29 02:30:00 +01:00");
    assert_eq!(std::fs::read_dir(home.path("")).expect("it is read").count(), 0, "no store is made");
}

#[test]
fn schedules_next_names_what_is_wrong() {
    for (rule, zone, why) in [
        ("0 24 * * *", "UTC", "hour 24 is not 0 to 23"),
        ("0 0 31 2 *", "UTC", "never fires"),
        ("0 0 * * *", "Europe/Stokholm", "did you mean `Europe/Stockholm`"),
    ] {
        let run = Home::new().run(&["schedules", "next", "--cron", rule, "--zone", zone]);
        assert_eq!(run.code, 2, "{rule}");
        assert!(run.stderr.contains(why), "{}", run.stderr);
    }
}
