//! What a user names is examined before use: the message names the part that is wrong and what to write
//! instead.

use crate::program::Home;

/// A command line, and what its message has to say.
type Case<'c> = (&'c [&'c str], &'c [&'c str]);

#[test]
fn a_message_names_what_is_wrong_and_the_remedy() {
    let home = Home::new();
    let cases: &[Case<'_>] = &[
        (&["stats", "--db", "postgres:///x"], &["names no host", "?host=/var/run/postgresql"]),
        (&["stats", "--db", "postgres://::1:1/x"], &["more than one `:`", "[::1]"]),
        (&["stats", "--db", "postgres://h/x?schema=pg_temp"], &["begins with `pg_`", "name another"]),
        (&["stats", "--db", "postgres://h:1/x?connect_timeout=soon"], &["`connect_timeout`", "seconds"]),
        (&["stats", "--db", "sqlite://me@h/x"], &["names a file, not a server", "postgres://"]),
        (&["stats", "--db", "sqlite:x?busy_timeout=-1s"], &["busy_timeout", "it is negative"]),
        (
            &["enqueue", "k", "--at", "9999-12-31T23:59:59Z"],
            &["the last one that is kept is 9999-12-30T22:00:00"],
        ),
        (&["enqueue", "k", "--at", "2026-11-22T10:00:00"], &["no zone", "2026-11-22T10:00:00Z"]),
        (&["enqueue", "k", "--at", "2026-11-22"], &["a date alone", "2026-11-22T10:00:00Z"]),
        (
            &["enqueue", "k", "--at", "2026-13-22T10:00:00Z"],
            &["a part of it is wrong", "2026-11-22T10:00:00Z"],
        ),
        (&["enqueue", "k", "--at", ""], &["it is empty", "2026-11-22T10:00:00Z"]),
        (&["enqueue", "k", "--delay", "-5s"], &["it is negative", "30s"]),
        (&["enqueue", "k", "--delay", "5"], &["no unit", "30s"]),
        (&["enqueue", "k", "--timeout", "1.5h"], &["numbers are whole", "1h30m"]),
        (&["enqueue", "k", "--max-attempts", "-1"], &["-1 is not in 0..=65535"]),
        (&["work", "--exec", "k=true", "--lease", "-5s"], &["it is negative"]),
        (&["enqueue", "k", "--unique-key", ""], &["the unique key is empty; use 1 to 255 bytes"]),
        (&["enqueue", "k", "--file", ""], &["a value is required for '--file"]),
    ];
    for (words, said) in cases {
        let ran = home.run(words);
        assert_eq!(ran.code, 2, "{words:?}: {}", ran.stderr);
        for part in *said {
            assert!(ran.stderr.contains(part), "{words:?} lacks {part:?}: {}", ran.stderr);
        }
        // Two words of ours in a row, as "unique key: unique key is not valid".
        assert!(!ran.stderr.contains("unique key: unique key"), "{}", ran.stderr);
    }
}

/// Whatever the command line gets wrong, no store is made for it.
#[test]
fn nothing_is_opened_or_made_for_input_that_is_wrong() {
    let home = Home::new();
    let broken = home.write("broken.ndjson", "{\"kind\":\"k\"}\n{\"kind\":\"two words\"}\n");
    let lines = home.write("lines.ndjson", "{\"kind\":\"k\"}\n");
    let programs =
        home.write("gone.toml", "[work.handlers.k]\nexec = \"true\"\n[work.queues]\n\"a b\" = 1\n");
    let cases: &[(&[&str], i32)] = &[
        (&["enqueue", "k", "--unique-key", ""], 2),
        (&["enqueue", "two words"], 2),
        (&["enqueue", "k", "{"], 2),
        (&["enqueue", "k", "--queue", "a b"], 2),
        (&["enqueue", "k", "--priority", "11"], 2),
        (&["enqueue", "k", "--tag", ""], 2),
        (&["enqueue", "k", "--file", "absent.ndjson"], 2),
        (&["enqueue", "k", "--file", "absent.ndjson", "--skip-invalid"], 2),
        (&["enqueue", "--file", &broken], 1),
        (&["enqueue", "--file", &lines, "--unique-key", ""], 2),
        (&["enqueue", "--file", &lines, "--unique-key", "", "--skip-invalid"], 2),
        (&["work"], 2),
        (&["work", "--exec", "two words=true"], 2),
        (&["work", "--exec", "k=no-such-program"], 2),
        (&["work", "--exec", "k=true", "--queue", "a b=1"], 2),
        (&["work", "--exec", "k=true", "--queue", "a=0"], 2),
        (&["work", "--exec", "k=true", "--slots", "0"], 2),
        (&["work", "--exec", "k=true", "--lease", "1ms"], 2),
        (&["work", "--exec", "k=true", "--poll-interval", "1h"], 2),
        (&["work", "--config", &programs], 2),
        (&["queues", "pause", "a b", "--create"], 2),
        (&["jobs", "cancel", "--queue", "a b"], 2),
        (&["jobs", "show", "x"], 2),
    ];
    for (words, code) in cases {
        let ran = home.run(words);
        assert_eq!(ran.code, *code, "{words:?}: {}", ran.stderr);
        assert!(!home.path("jobs.db").exists(), "{words:?} made the store: {}", ran.stderr);
    }
}

#[test]
fn a_key_that_stands_twice_is_named() {
    let home = Home::new();
    for (line, said) in [
        (r#"{"kind":"a","kind":"b"}"#, "`kind` stands twice"),
        (r#"{"kind":"a","unique_key":"a","unique_key":null}"#, "`unique_key` stands twice"),
        (r#"{"kind":"a","metadata":{"tenant":"a","tenant":"b"}}"#, "metadata: `tenant` stands twice"),
    ] {
        let file = home.write("jobs.ndjson", line);
        let ran = home.run(&["enqueue", "--file", &file]);
        assert_eq!(ran.code, 1, "{}", ran.stderr);
        assert!(ran.stderr.contains(said), "{line}: {}", ran.stderr);
    }
    let ran = home.run(&["enqueue", "k", "--meta", "tenant=a", "--meta", "tenant=b"]);
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    assert!(ran.stderr.contains("--meta gives `tenant` twice"), "{}", ran.stderr);
}

#[test]
fn a_file_that_is_no_utf_8_is_named_as_what_it_is() {
    let home = Home::new();
    let line = "{\"kind\":\"k\"}\n";
    let utf_16: Vec<u8> = line.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let big_endian: Vec<u8> = line.encode_utf16().flat_map(u16::to_be_bytes).collect();
    let cases: [(Vec<u8>, &str); 7] = [
        ([b"\xff\xfe".as_slice(), &utf_16].concat(), "iconv -f UTF-16 -t UTF-8"),
        ([b"\xfe\xff".as_slice(), &big_endian].concat(), "iconv -f UTF-16 -t UTF-8"),
        (utf_16, "iconv -f UTF-16 -t UTF-8"),
        (b"\xef\xbb\xbf{\"kind\":\"k\"}\n".to_vec(), "without one"),
        (b"\x1f\x8b\x08\x00\x01\x02".to_vec(), "zcat"),
        (b"{\"kind\":\"k\",\"tags\":[\"gr\xfcn\"]}\n".to_vec(), "its byte 24 is not UTF-8"),
        (b"[{\"kind\":\"k\"}]\n".to_vec(), "jq -c '.[]'"),
    ];
    for (bytes, said) in cases {
        let file = home.write("jobs.ndjson", &bytes);
        let ran = home.run(&["enqueue", "--file", &file]);
        assert_eq!(ran.code, 1, "{}", ran.stderr);
        assert!(ran.stderr.contains("line 1") && ran.stderr.contains(said), "{said}: {}", ran.stderr);
    }
}

/// A lease that a waiting renewal would outlast is refused at the start, before a job is taken.
#[test]
fn a_lease_below_twice_the_busy_timeout_is_refused_when_the_worker_is_built() {
    let home = Home::on("sqlite:jobs.db?busy_timeout=5s");
    home.enqueue(&["k"]);
    let ran = home.run(&["work", "--exec", "k=true", "--drain", "--lease", "6s"]);
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    assert!(ran.stderr.contains("take 10s or more, or shorten its busy timeout"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("working on"), "{}", ran.stderr);
}

/// Wherever a password stands, and whatever a parser takes a piece of it for.
#[test]
fn no_piece_of_a_password_is_printed() {
    let home = Home::new();
    let passwords =
        ["hun@ter2", "hun/ter2", "hun?ter2", "hun:ter2", "hun#ter2", "hun%ter2", "hun ter2", "hun'@'ter2"];
    for password in passwords {
        let url = format!("postgres://me:{password}@127.0.0.1:1/x");
        let option = format!("postgres://me@127.0.0.1:1/x?password={password}");
        let file = home.write("broken.toml", format!("db = \"{url}\n"));
        let unknown = home.write("unknown.toml", format!("dbb = \"{url}\"\n"));
        let mistyped = home.write("mistyped.toml", format!("db = [\"{url}\"]\n"));
        let runs: [&[&str]; 13] = [
            &["stats", "--db", &url],
            &["stats", "--db", &option],
            &["stats", &url],
            &["stats", &format!("--dbb={url}")],
            &["enqueue", "k", "--delay", &url],
            &["enqueue", "k", "--max-attempts", &url],
            &["migrate", &option],
            &["doctor", "--db", &url],
            &["stats", "--db", &format!("sqlite:{}", url.replacen("postgres:", "", 1))],
            &["stats", "--db", &url.replacen("postgres://", "", 1)],
            &["stats", "--config", &file],
            &["stats", "--config", &unknown],
            &["stats", "--config", &mistyped],
        ];
        for words in runs {
            let ran = home.run(words);
            assert!(ran.code != 0, "{words:?}");
            let all = format!("{}{}", ran.stdout, ran.stderr);
            assert!(!all.contains("hun") && !all.contains("ter2"), "{words:?}: {all}");
        }
        for words in [["stats", "--help"], ["stats", "--log=trace"]] {
            let output = home.command(&words).env("GRISTMILL_DB", &url).output().expect("it runs");
            let all = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
            assert!(!all.contains("hunter") && !all.contains("ter2"), "{words:?}: {all}");
        }
    }
    let ran = home.run(&["stats", "--db", "postgres://me:p@ss@127.0.0.1:1/x"]);
    assert!(ran.stderr.contains("%40") && !ran.stderr.contains("ss@"), "{}", ran.stderr);
}
