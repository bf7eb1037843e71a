//! The URL of a server, with the settings of a backend among its options.

use gristmill_core::{BackendError, BackendErrorKind};
use tokio_postgres::Config;
use tokio_postgres::config::Host;

mod examine;

use self::examine::{Parts, examine};
use crate::options::PostgresBuilder;

/// Options of a URL that are ours; all others are the driver's.
const OURS: [&str; 4] = ["schema", "connections", "pooler", "sslmode"];
/// Options of the driver.
const THEIRS: [&str; 18] = [
    "application_name",
    "channel_binding",
    "connect_timeout",
    "dbname",
    "host",
    "hostaddr",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_retries",
    "load_balance_hosts",
    "options",
    "password",
    "port",
    "sslnegotiation",
    "target_session_attrs",
    "tcp_user_timeout",
    "user",
];

/// Settings for the server a URL names. A URL may hold a password, so no error repeats it.
pub(crate) fn parse(url: &str) -> Result<PostgresBuilder, BackendError> {
    let Parts { place, options } = examine(url)?;
    let (ours, theirs): (Vec<&str>, Vec<&str>) = options
        .split('&')
        .filter(|option| !option.is_empty())
        .partition(|option| OURS.contains(&option.split('=').next().unwrap_or_default()));
    let mut verifies = false;
    let mut passed: Vec<String> = theirs.iter().map(|option| (*option).to_owned()).collect();
    for option in &ours {
        match option.strip_prefix("sslmode=") {
            Some("verify-full" | "verify-ca") => {
                verifies = true;
                passed.push("sslmode=require".to_owned());
            }
            Some(_) => passed.push((*option).to_owned()),
            None => {}
        }
    }
    let rest = if passed.is_empty() { place.to_owned() } else { format!("{place}?{}", passed.join("&")) };
    let config: Config = rest.parse().map_err(|_| unreadable(&passed))?;
    let mut builder = PostgresBuilder::new(config);
    builder.verifies = verifies;
    for option in ours {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        builder = set(builder, name, &decoded(value))?;
    }
    Ok(builder)
}

fn set(builder: PostgresBuilder, name: &str, value: &str) -> Result<PostgresBuilder, BackendError> {
    match (name, value) {
        ("schema", name) => Ok(builder.schema(name)),
        ("connections", number) => number
            .parse()
            .map(|number| builder.connections(number))
            .map_err(|_| refused("`connections` is a whole number, as in `connections=4`")),
        ("pooler", "transaction") => Ok(builder.behind_transaction_pooler()),
        ("pooler", "none") | ("sslmode", _) => Ok(builder),
        ("pooler", _) => Err(refused("`pooler` is `transaction` or `none`")),
        _ => Err(refused("an option of the URL is not known")),
    }
}

/// What the driver cannot read. It repeats what it read, which may be a piece of a password, so its error is
/// not passed on.
fn unreadable(options: &[String]) -> BackendError {
    for option in options {
        let name = option.split('=').next().unwrap_or_default();
        let alone: Result<Config, _> = format!("postgres://localhost/?{option}").parse();
        if alone.is_err() {
            let message = format!("the option `{name}` of the URL has a value that cannot be");
            return refused(&message).with_hint(values_of(name));
        }
    }
    refused("the URL of the PostgreSQL server does not parse")
        .with_hint("write `postgres://user:password@host:5432/database`, with `?schema=…` for another schema")
}

/// What an option of the driver takes.
fn values_of(name: &str) -> &'static str {
    match name {
        "connect_timeout" | "keepalives_idle" | "keepalives_interval" | "tcp_user_timeout" => {
            "give it a whole number of seconds"
        }
        "keepalives" => "give it 1 or 0",
        "sslmode" => "give it disable, prefer, require, verify-ca or verify-full",
        "target_session_attrs" => "give it any, read-write or read-only",
        "channel_binding" => "give it disable, prefer or require",
        "port" => "give it a number from 1 to 65535",
        _ => "percent-encode what is not a letter or a digit in it",
    }
}

fn refused(message: &str) -> BackendError {
    BackendError::new(BackendErrorKind::Refused, message)
}

/// Undoes the percent-encoding of a value; what is not encoded stays.
fn decoded(value: &str) -> String {
    let bytes = value.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut place = 0;
    while let Some(&byte) = bytes.get(place) {
        let code = value.get(place + 1..place + 3).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        if let Some(code) = code.filter(|_| byte == b'%') {
            plain.push(code);
            place += 3;
        } else {
            plain.push(byte);
            place += 1;
        }
    }
    String::from_utf8_lossy(&plain).into_owned()
}

/// Where the server is, without user and password. A part that is not plain is left out: it may be what a
/// parser took a piece of a password for.
pub(crate) fn shown(config: &Config, schema: &str) -> String {
    let host = match config.get_hosts().first() {
        Some(Host::Tcp(host)) if host.contains(':') => format!("[{}]", plain(host, ":.%")),
        Some(Host::Tcp(host)) => plain(host, ".-_").to_owned(),
        #[cfg(unix)]
        Some(Host::Unix(folder)) => format!("[{}]", folder.display()),
        None => config.get_hostaddrs().first().map_or_else(|| "localhost".to_owned(), ToString::to_string),
    };
    let port = config.get_ports().first().copied().unwrap_or(5432);
    let database = plain(config.get_dbname().or_else(|| config.get_user()).unwrap_or_default(), ".-_ ");
    format!("postgres://{host}:{port}/{database}?schema={schema}")
}

/// A text of letters, digits and some other characters; else a sign that something stands there.
fn plain<'t>(text: &'t str, others: &str) -> &'t str {
    let is_plain = |character: char| character.is_alphanumeric() || others.contains(character);
    if text.chars().all(is_plain) { text } else { "…" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_options_are_taken_out_of_a_url() {
        let builder =
            parse("postgres://me:secret@db:6432/app?schema=a%22b&connect_timeout=3&sslmode=verify-full")
                .expect("it parses");
        assert_eq!(builder.schema, "a\"b");
        assert!(builder.verifies);
        assert_eq!(shown(&builder.config, &builder.schema), "postgres://db:6432/app?schema=a\"b");
    }

    #[test]
    fn what_does_not_parse_is_not_repeated() {
        for url in [
            "postgres://me:secret@h/x?shema=a",
            "postgres://me:secret@h:x/",
            "postgres://me:secret@h/x?connections=b",
        ] {
            let error = parse(url).expect_err(url);
            assert!(!format!("{error} {:?}", error.hint()).contains("secret"), "{error:?}");
        }
        assert!(parse("postgres://").is_err_and(|error| error.to_string().contains("names no host")));
        let error = parse("postgres://h/x?shema=a").expect_err("it is misspelt");
        assert_eq!(error.hint(), Some("did you mean the option `schema`?"));
    }

    /// Nor anything else of the user info.
    #[test]
    fn no_piece_of_a_password_is_shown() {
        let rests = ["h/x", "h:1/x", "h", "[::1]:5432/x", "h/x?schema=a", "h1,h2/x"];
        let passwords = [
            "tok@en", "tok/en", "tok?en", "tok:en", "tok%en", "tok en", "@token", "token@", "tok#en",
            "to?k=e@n", "tok&en",
        ];
        let mut urls: Vec<String> = Vec::new();
        for password in passwords {
            urls.extend(rests.iter().map(|rest| format!("postgres://me:{password}@{rest}")));
            urls.push(format!("postgres://me@h/x?password={password}"));
            urls.push(format!("postgres://h/x?user=me&password={password}&schema=b"));
            urls.push(format!("postgresql:me:{password}@h/x"));
            urls.push(format!("postgres://h/x?options={password}"));
            urls.push(format!("postgres://h/x;password={password}"));
            urls.push(format!("host=h password={password}"));
        }
        for url in urls {
            let all = match parse(&url) {
                Ok(builder) => format!("{} {builder:?}", builder.shown()),
                Err(error) => format!("{error} {error:?} {:?}", error.hint()),
            };
            let pieces = ["tok", "en@", "\"en", "/en", "`en"];
            assert!(!pieces.iter().any(|piece| all.contains(piece)), "{url}: {all}");
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_what_to_write_instead() {
        for (url, wrong, remedy) in [
            ("postgres://me:p@ss@127.0.0.1:1/x", "`@`", "%40"),
            ("postgres://me:a:b@h/x", "`:`", "%3A"),
            ("postgres://me:50%@h/x", "`%`", "%25"),
            ("postgres:///x", "no host", "?host=/"),
            ("postgres://::1:1/x", "more than one `:`", "[::1]"),
            ("postgres://[::1/x", "without `]`", "[::1]"),
            ("postgres://h:x/x", "port", "5432"),
            ("postgres://h:0/x", "port", "5432"),
            ("postgres://h:65536/x", "port", "5432"),
            ("postgres://h/x\n", "`\\n`", "line break"),
            ("postgres://h/x y", "` `", "%20"),
            ("postgres://h/x?schema", "`schema`", "schema=VALUE"),
            ("postgres://h/x?shema=a", "option 1", "`schema`"),
            ("postgres://h/x?schema=a&nosuchthing=1", "option 2", "the options are"),
            ("postgres://h/x?connect_timeout=soon", "`connect_timeout`", "seconds"),
            ("postgres://h/x?sslmode=on", "`sslmode`", "require"),
            ("postgres://h/x?pooler=session", "`pooler`", "`transaction`"),
            ("h/x", "postgres://", "postgres://"),
        ] {
            let error = parse(url).expect_err(url);
            let hint = error.hint().unwrap_or_default();
            assert!(error.to_string().contains(wrong), "{url:?}: {error}");
            assert!(hint.contains(remedy) || error.to_string().contains(remedy), "{url:?}: {error} {hint}");
            assert!(std::error::Error::source(&error).is_none(), "{url:?}");
        }
        for url in [
            "postgres://[::1]:5432/x",
            "postgres://me@/x?host=/tmp",
            "postgres://a:p%40ss@h1:1,h2:2/x",
            "postgres://h",
        ] {
            drop(parse(url).expect(url));
        }
        assert_eq!(
            parse("postgres://[::1]:1/x").expect("it parses").shown(),
            "postgres://[::1]:1/x?schema=gristmill"
        );
    }
}
