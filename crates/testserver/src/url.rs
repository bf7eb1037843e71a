//! The few things to be done to a server's URL.

/// `url` with another database: `postgres://u@h:1/a?x=y` becomes `postgres://u@h:1/NAME?x=y`.
pub(crate) fn with_database(url: &str, name: &str) -> String {
    let (server, query) = split_query(url);
    let after_scheme = server.find("://").map_or(0, |at| at + 3);
    let end = server[after_scheme..].find('/').map_or(server.len(), |at| after_scheme + at);
    format!("{}/{name}{query}", &server[..end])
}

/// `url` with another server, `place` being `HOST:PORT`; account, database and query stay.
pub(crate) fn with_place(url: &str, place: &str) -> String {
    let (start, end) = place_of(url);
    format!("{}{place}{}", &url[..start], &url[end..])
}

/// The host and port that `url` names.
pub(crate) fn host_and_port(url: &str) -> Option<(&str, u16)> {
    let (start, end) = place_of(url);
    let (host, port) = url[start..end].rsplit_once(':').unwrap_or((&url[start..end], "5432"));
    let host = host.trim_start_matches('[').trim_end_matches(']');
    (!host.is_empty() && !host.contains('%')).then_some((host, port.parse().ok()?))
}

/// Where in `url` host and port stand.
fn place_of(url: &str) -> (usize, usize) {
    let after_scheme = url.find("://").map_or(0, |at| at + 3);
    let end = url[after_scheme..].find(['/', '?']).map_or(url.len(), |at| after_scheme + at);
    let start = url[after_scheme..end].rfind('@').map_or(after_scheme, |at| after_scheme + at + 1);
    (start, end)
}

fn split_query(url: &str) -> (&str, &str) {
    url.find('?').map_or((url, ""), |at| url.split_at(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn database_is_replaced_or_added() {
        assert_eq!(with_database("postgres://u@h:1/a?x=y", "b"), "postgres://u@h:1/b?x=y");
        assert_eq!(with_database("postgres://u@h:1", "b"), "postgres://u@h:1/b");
        assert_eq!(with_database("postgres://h?x=/y", "b"), "postgres://h/b?x=/y");
    }

    #[test]
    fn place_is_replaced_and_the_rest_stays() {
        assert_eq!(with_place("postgres://u:p@h:1/a?x=y", "h2:2"), "postgres://u:p@h2:2/a?x=y");
        assert_eq!(with_place("postgres://h/a", "h2:2"), "postgres://h2:2/a");
    }

    #[test]
    fn host_and_port_are_found() {
        assert_eq!(host_and_port("postgres://u:p@h:7/a"), Some(("h", 7)));
        assert_eq!(host_and_port("postgres://h"), Some(("h", 5432)));
        assert_eq!(host_and_port("postgres://u@[::1]:7/a"), Some(("::1", 7)));
        assert_eq!(host_and_port("postgres://u@%2Ftmp:7/a"), None);
    }
}
