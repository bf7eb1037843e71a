//! The URL of a server, with the settings of a backend among its options.

use gristmill_core::{BackendError, BackendErrorKind, did_you_mean};
use tokio_postgres::Config;
use tokio_postgres::config::Host;

use crate::options::PostgresBuilder;

/// Options of a URL that are ours; all others are the driver's.
const OURS: [&str; 4] = ["schema", "connections", "pooler", "sslmode"];
/// Options the driver knows, for the hint after a misspelt one.
const THEIRS: [&str; 7] = [
    "application_name",
    "connect_timeout",
    "host",
    "keepalives",
    "options",
    "target_session_attrs",
    "tcp_user_timeout",
];

/// Settings for the server a URL names. A URL may hold a password, so no error repeats it.
pub(crate) fn parse(url: &str) -> Result<PostgresBuilder, BackendError> {
    let (place, options) = url.split_once('?').unwrap_or((url, ""));
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
    let config: Config = rest.parse().map_err(|error| unreadable(&theirs, error))?;
    if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
        return Err(refused("the URL of the PostgreSQL server names no host")
            .with_hint("write `postgres://user:password@host:5432/database`"));
    }
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

fn unreadable(options: &[&str], error: tokio_postgres::Error) -> BackendError {
    let names = || options.iter().map(|option| option.split('=').next().unwrap_or_default());
    let unknown = names().find(|name| !THEIRS.contains(name));
    let known = || OURS.into_iter().chain(THEIRS);
    let hint = match unknown.and_then(|name| did_you_mean(name, known())) {
        Some(meant) => format!("did you mean the option `{meant}`?"),
        None => "write `postgres://user:password@host:5432/database`, with `?schema=…` for another schema"
            .to_owned(),
    };
    refused("the URL of the PostgreSQL server does not parse").with_hint(hint).with_source(error)
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

/// Where the server is, without user and password.
pub(crate) fn shown(config: &Config, schema: &str) -> String {
    let host = match config.get_hosts().first() {
        Some(Host::Tcp(host)) => host.clone(),
        #[cfg(unix)]
        Some(Host::Unix(folder)) => folder.display().to_string(),
        None => "localhost".to_owned(),
    };
    let port = config.get_ports().first().copied().unwrap_or(5432);
    let database = config.get_dbname().or_else(|| config.get_user()).unwrap_or_default();
    format!("postgres://{host}:{port}/{database}?schema={schema}")
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
}
