//! What somebody typed may hold a password, and an error may repeat it.

use std::borrow::Cow;

/// Text without what stands behind the scheme of a URL that holds an `@`, and without the value of each `password=`. A password
/// that is not encoded may hold any character, and an option may be one, so everything goes up to the quote behind it.
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

/// Where what was typed ends: at the last quote of the line, or with it.
fn end_of_value(line: &str, from: usize) -> usize {
    let rest = &line[from..];
    from + rest.rfind(['\'', '"', '`']).or_else(|| rest.find('\n')).unwrap_or(rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;

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
