//! Looks at a URL before the driver does: names the part that is wrong, and repeats no text that may belong
//! to a password.

use gristmill_core::{BackendError, did_you_mean};

use super::{OURS, THEIRS, refused};

/// What a whole URL looks like.
const WHOLE: &str =
    "write `postgres://user:password@host:5432/database`, with `?schema=…` for another schema";
/// How a character is written that would end a part of a URL.
const ENCODED: &str = "in a user name or a password write `%40` for `@`, `%3A` for `:`, `%2F` for `/`, `%3F` for `?` and `%25` for `%`";

/// The parts of a URL that is well-formed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parts<'u> {
    /// Everything before the options.
    pub(super) place: &'u str,
    /// What stands behind the first `?`.
    pub(super) options: &'u str,
}

/// Takes a URL apart. A password with an `@`, `/` or `?` that is not encoded moves the borders of all parts,
/// so nothing is quoted from a URL that may hold one.
pub(super) fn examine(url: &str) -> Result<Parts<'_>, BackendError> {
    let Some((_, rest)) = ["postgres", "postgresql"].iter().find_map(|scheme| {
        url.strip_prefix(scheme)?.split_once("://").filter(|(before, _)| before.is_empty())
    }) else {
        return Err(
            refused("the URL of the PostgreSQL server does not begin with `postgres://`").with_hint(WHOLE)
        );
    };
    if let Some(bad) = url.chars().find(|character| character.is_whitespace() || character.is_control()) {
        let message =
            format!("the URL of the PostgreSQL server holds the character `{}`", bad.escape_default());
        return Err(refused(&message).with_hint(
            "remove it if it is at the end, as a line break of a file is; else write `%20` for a space",
        ));
    }
    check_encoding(url)?;
    let (place, options) = url.split_once('?').unwrap_or((url, ""));
    let before_options = rest.split('?').next().unwrap_or_default();
    let (authority, database) = before_options.split_once('/').unwrap_or((before_options, ""));
    if options.contains(['@', '?']) || database.contains(['@', '/']) || authority.matches('@').count() > 1 {
        return Err(refused("a part of the URL of the PostgreSQL server holds `@`, `/` or `?` as it is")
            .with_hint(ENCODED));
    }
    let (user, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
    if user.matches(':').count() > 1 {
        return Err(refused("the user name or the password in the URL holds `:` as it is").with_hint(ENCODED));
    }
    check_hosts(hosts)?;
    if hosts.is_empty()
        && !options.split('&').any(|option| option.starts_with("host=") || option.starts_with("hostaddr="))
    {
        return Err(refused("the URL of the PostgreSQL server names no host").with_hint(
            "write `postgres://user:password@host:5432/database`; for a local socket name its folder, as in \
             `postgres://user@/database?host=/var/run/postgresql`",
        ));
    }
    check_options(options)?;
    Ok(Parts { place, options })
}

/// Each `%` begins the code of a byte.
fn check_encoding(url: &str) -> Result<(), BackendError> {
    let is_code =
        |rest: &str| rest.get(..2).is_some_and(|code| code.bytes().all(|byte| byte.is_ascii_hexdigit()));
    if url.split('%').skip(1).all(is_code) {
        return Ok(());
    }
    Err(refused("a `%` in the URL is not followed by two hexadecimal digits").with_hint(ENCODED))
}

/// `host:port`, or several of them with commas.
fn check_hosts(hosts: &str) -> Result<(), BackendError> {
    for host in hosts.split(',') {
        let port = match host.strip_prefix('[') {
            Some(address) => match address.split_once(']') {
                Some((_, port)) => port,
                None => return Err(refused("the host of the URL has `[` without `]`").with_hint(BRACKETS)),
            },
            None if host.matches(':').count() > 1 => {
                return Err(refused("the host of the URL has more than one `:`").with_hint(BRACKETS));
            }
            None => host.find(':').map_or("", |at| &host[at..]),
        };
        if !port.is_empty()
            && port.strip_prefix(':').and_then(|port| port.parse::<u16>().ok()).is_none_or(|port| port == 0)
        {
            return Err(refused("the port of the URL is no number from 1 to 65535").with_hint(WHOLE));
        }
    }
    Ok(())
}

const BRACKETS: &str = "an IPv6 address stands in brackets, as in `postgres://user@[::1]:5432/database`";

/// Each option has a value and a name that is known.
fn check_options(options: &str) -> Result<(), BackendError> {
    let known = || OURS.into_iter().chain(THEIRS);
    for (number, option) in (1..).zip(options.split('&').filter(|option| !option.is_empty())) {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        // A name that is not known may be a piece of a password.
        let Some(name) = known().find(|known| *known == name) else {
            let hint = match did_you_mean(name, known()) {
                Some(meant) => format!("did you mean the option `{meant}`?"),
                None => format!(
                    "the options are {}; in a value write `%26` for `&`",
                    known().collect::<Vec<_>>().join(", ")
                ),
            };
            return Err(refused(&format!("option {number} of the URL is not known")).with_hint(hint));
        };
        if value.is_empty() {
            return Err(refused(&format!("the option `{name}` of the URL has no value"))
                .with_hint(format!("write `{name}=VALUE`, or leave it out")));
        }
    }
    Ok(())
}
