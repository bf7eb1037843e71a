//! Removes passwords from text: what a user typed may hold one, and an error may repeat it.

use std::borrow::Cow;

/// Text without what stands behind the scheme of a URL that holds an `@`, and without the value of each
/// `password=`. A password that is not encoded may hold any character, and an option may be one, so
/// everything goes up to the quote behind it.
pub(crate) fn without_secrets(text: &str) -> Cow<'_, str> {
    if !text.contains("://") && !text.contains("password=") {
        return Cow::Borrowed(text);
    }
    let lines = text.split_inclusive('\n').map(|line| {
        let mut line = line.to_owned();
        if let Some(begin) = line.find("://").map(|at| at + 3)
            && let Some(last) = line.rfind('@').filter(|last| *last > begin)
        {
            let end = end_of_value(&line, last);
            line.replace_range(begin..end, "…");
        }
        if let Some(begin) = line.find("password=").map(|at| at + "password=".len()) {
            let end = end_of_value(&line, begin);
            line.replace_range(begin..end, "…");
        }
        line
    });
    Cow::Owned(lines.collect())
}

/// A hint without secrets. Most hold none but show how a URL is written.
pub(super) fn hint_without_secrets(hint: &str) -> Cow<'_, str> {
    let urls = hint.split("://").skip(1).filter_map(|rest| rest.split_once('@'));
    let mut users = urls.map(|(user, _)| user);
    let is_example =
        |user: &str| ["user", "user:password"].iter().any(|word| user.eq_ignore_ascii_case(word));
    if !hint.contains("password=") && users.all(is_example) {
        return Cow::Borrowed(hint);
    }
    without_secrets(hint)
}

/// Text about a command line without the quoted arguments that hold an `@`: a shell may have cut a URL at a
/// character of its password, so that an argument holds the rest of one.
pub(crate) fn without_arguments(text: &str) -> String {
    let shown = without_secrets(text);
    let lines = shown.split_inclusive('\n').map(|line| {
        let (first, last) = (line.find(QUOTES), line.rfind(QUOTES));
        match (first, last) {
            (Some(first), Some(last)) if may_hold_a_secret(&line[first..last]) => {
                format!("{}…{}", &line[..=first], &line[last..])
            }
            _ => line.to_owned(),
        }
    });
    lines.collect()
}

fn may_hold_a_secret(held: &str) -> bool {
    held.contains('@') || (held.contains("://") && !held.contains('…'))
}

const QUOTES: [char; 3] = ['\'', '"', '`'];

/// Where what was typed ends: at the last quote of the line, or with it.
fn end_of_value(line: &str, from: usize) -> usize {
    let rest = &line[from..];
    from + rest.rfind(QUOTES).or_else(|| rest.find('\n')).unwrap_or(rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_that_may_hold_the_rest_of_a_password_are_left_out() {
        for (text, shown) in [
            (
                "error: unexpected argument 'ss@host/x' found\n\nUsage: a",
                "error: unexpected argument '…' found\n\nUsage: a",
            ),
            ("tip: to pass 's's@h' as a value, use '-- s's@h'", "tip: to pass '…'"),
            ("unexpected argument 'postgres://me:p' found", "unexpected argument '…' found"),
            ("unexpected argument 'x' found", "unexpected argument 'x' found"),
        ] {
            assert_eq!(without_arguments(text), shown);
        }
    }

    #[test]
    fn a_hint_shows_examples_and_no_password() {
        for hint in ["write `postgres://user:password@host:1/db`, or `postgres://USER@/x`", "see a@b"] {
            assert_eq!(hint_without_secrets(hint), hint);
        }
        assert_eq!(hint_without_secrets("use `postgres://user:p@ss@h/x`"), "use `postgres://…`");
    }

    #[test]
    fn passwords_are_left_out() {
        for (text, shown) in [
            (
                "unexpected argument 'postgres://me:p@ss@h/x' found\nUsage: a@b",
                "unexpected argument 'postgres://…' found\nUsage: a@b",
            ),
            ("see https://example.org/a for it", "see https://example.org/a for it"),
            ("'postgres://h/x?password=p q&schema=a' found", "'postgres://h/x?password=…' found"),
            ("password=p q", "password=…"),
            ("nothing", "nothing"),
        ] {
            assert_eq!(without_secrets(text), shown);
        }
    }
}
