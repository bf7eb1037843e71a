//! Splits Rust and SQL into tokens, well enough to tell code from comments and strings.

/// What kind of text a token is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// An identifier or keyword; quoted SQL identifiers come without their quotes.
    Word,
    /// One character of punctuation.
    Sign,
    Comment,
    /// A string, character or number.
    Literal,
    /// `'a`; kept apart so that its quote is not taken for a character.
    Lifetime,
}

/// One token and the line on which it starts, counted from 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Token<'a> {
    pub(crate) kind: Kind,
    pub(crate) text: &'a str,
    pub(crate) line: usize,
}

impl Token<'_> {
    /// True for this keyword or this sign, never for a comment or a string.
    pub(crate) fn is(&self, text: &str) -> bool {
        matches!(self.kind, Kind::Word | Kind::Sign) && self.text == text
    }
}

/// The tokens of a Rust file, comments included.
pub(crate) fn rust(source: &str) -> Vec<Token<'_>> {
    Lexer::new(source).run(Lexer::rust_token)
}

/// The tokens of an SQL file, comments included.
pub(crate) fn sql(source: &str) -> Vec<Token<'_>> {
    Lexer::new(source).run(Lexer::sql_token)
}

/// The tokens without the comments.
pub(crate) fn code<'a>(tokens: &[Token<'a>]) -> Vec<Token<'a>> {
    tokens.iter().copied().filter(|token| token.kind != Kind::Comment).collect()
}

struct Lexer<'a> {
    source: &'a str,
    at: usize,
}

impl<'a> Lexer<'a> {
    fn new(source: &'a str) -> Self {
        Self { source, at: 0 }
    }

    fn run(mut self, next: fn(&mut Self) -> Kind) -> Vec<Token<'a>> {
        let mut tokens = Vec::new();
        let mut line = 1;
        loop {
            let blank = self.rest().len() - self.rest().trim_start().len();
            line += self.source[self.at..self.at + blank].matches('\n').count();
            self.at += blank;
            if self.rest().is_empty() {
                return tokens;
            }
            let start = self.at;
            let kind = next(&mut self);
            let text = &self.source[start..self.at];
            let quoted = kind == Kind::Word && text.starts_with(['"', '`']);
            tokens.push(Token {
                kind,
                text: if quoted { text.trim_matches(['"', '`']) } else { text },
                line,
            });
            line += text.matches('\n').count();
        }
    }

    fn rest(&self) -> &'a str {
        &self.source[self.at..]
    }

    fn rust_token(&mut self) -> Kind {
        let rest = self.rest();
        if rest.starts_with("//") {
            self.skip_line();
            Kind::Comment
        } else if rest.starts_with("/*") {
            self.block_comment();
            Kind::Comment
        } else if let Some(hashes) = raw_string_hashes(rest) {
            let close = format!("\"{}", "#".repeat(hashes));
            let open = rest.find('"').map_or(rest.len(), |quote| quote + 1);
            self.at += rest[open..].find(&close).map_or(rest.len(), |end| open + end + close.len());
            Kind::Literal
        } else if rest.starts_with('"') || rest.starts_with("b\"") || rest.starts_with("c\"") {
            self.at += rest.find('"').unwrap_or(0);
            self.escaped('"');
            Kind::Literal
        } else if rest.starts_with('\'') || rest.starts_with("b'") {
            self.at += usize::from(rest.starts_with('b'));
            self.character_or_lifetime()
        } else {
            self.word_number_or_sign()
        }
    }

    fn sql_token(&mut self) -> Kind {
        let rest = self.rest();
        if rest.starts_with("--") {
            self.skip_line();
            Kind::Comment
        } else if rest.starts_with("/*") {
            self.at += rest.find("*/").map_or(rest.len(), |end| end + 2);
            Kind::Comment
        } else if let Some(quote @ ('\'' | '"' | '`')) = rest.chars().next() {
            // A doubled quote reads as two strings side by side, which serves as well.
            self.at += rest[1..].find(quote).map_or(rest.len(), |end| end + 2);
            if quote == '\'' { Kind::Literal } else { Kind::Word }
        } else {
            self.word_number_or_sign()
        }
    }

    fn skip_line(&mut self) {
        self.at += self.rest().find('\n').unwrap_or(self.rest().len());
    }

    /// Rust's block comments nest.
    fn block_comment(&mut self) {
        let mut depth = 0_usize;
        loop {
            let rest = self.rest();
            if rest.starts_with("/*") {
                depth += 1;
                self.at += 2;
            } else if rest.starts_with("*/") {
                depth -= 1;
                self.at += 2;
                if depth == 0 {
                    return;
                }
            } else if let Some(character) = rest.chars().next() {
                self.at += character.len_utf8();
            } else {
                return;
            }
        }
    }

    /// A literal in `quote`s in which a backslash hides the character after it.
    fn escaped(&mut self, quote: char) {
        let mut hidden = false;
        for (offset, character) in self.rest().char_indices().skip(1) {
            if hidden {
                hidden = false;
            } else if character == '\\' {
                hidden = true;
            } else if character == quote {
                self.at += offset + 1;
                return;
            }
        }
        self.at = self.source.len();
    }

    fn character_or_lifetime(&mut self) -> Kind {
        let mut characters = self.rest().chars().skip(1);
        let (first, second) = (characters.next(), characters.next());
        if first == Some('\\') || second == Some('\'') {
            self.escaped('\'');
            return Kind::Literal;
        }
        self.at += 1;
        self.take_while(is_word);
        Kind::Lifetime
    }

    fn word_number_or_sign(&mut self) -> Kind {
        let Some(first) = self.rest().chars().next() else { return Kind::Sign };
        if first.is_ascii_digit() {
            self.take_while(is_word);
            let mut after = self.rest().chars();
            if after.next() == Some('.') && after.next().is_some_and(|digit| digit.is_ascii_digit()) {
                self.at += 1;
                self.take_while(is_word);
            }
            Kind::Literal
        } else if is_word(first) {
            self.take_while(is_word);
            Kind::Word
        } else {
            self.at += first.len_utf8();
            Kind::Sign
        }
    }

    fn take_while(&mut self, belongs: fn(char) -> bool) {
        self.at += self.rest().find(|character| !belongs(character)).unwrap_or(self.rest().len());
    }
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// The number of `#` of a raw string that starts here: `r"`, `r#"`, `br#"`, `cr"`.
fn raw_string_hashes(rest: &str) -> Option<usize> {
    let after = ["r", "br", "cr"]
        .iter()
        .find_map(|prefix| rest.strip_prefix(prefix).filter(|after| after.starts_with(['"', '#'])))?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    after[hashes..].starts_with('"').then_some(hashes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(source: &str) -> Vec<&str> {
        rust(source).iter().filter(|token| token.kind == Kind::Word).map(|token| token.text).collect()
    }

    #[test]
    fn comments_and_strings_are_not_code() {
        let source =
            "let a = \"x \\\" y\"; // b\n/* c /* d */ e */ f(r#\"g \" h\"#, b'i', 'j', '\\'', br\"k\")";
        assert_eq!(words(source), ["let", "a", "f"]);
    }

    #[test]
    fn lifetimes_are_not_characters() {
        assert_eq!(
            words("fn f<'a>(x: &'a str, y: 'static) -> char { 'z' }"),
            ["fn", "f", "x", "str", "y", "char"]
        );
    }

    #[test]
    fn raw_identifiers_and_ranges_are_words_and_numbers() {
        let texts: Vec<&str> = rust("r#type 0..10 1.5").iter().map(|token| token.text).collect();
        assert_eq!(texts, ["r", "#", "type", "0", ".", ".", "10", "1.5"]);
    }

    #[test]
    fn lines_are_counted_through_literals() {
        let tokens = rust("\"a\nb\" c\n\n/*\n*/ d");
        let lines: Vec<usize> = tokens.iter().map(|token| token.line).collect();
        assert_eq!(lines, [1, 2, 4, 5]);
    }

    #[test]
    fn unfinished_literals_end_with_the_file() {
        for source in ["\"abc", "'\\", "/* abc", "r#\"abc", "é'"] {
            rust(source);
            sql(source);
        }
    }

    #[test]
    fn sql_strings_are_literals_and_quoted_names_are_words() {
        let tokens = sql("-- note\nSELECT \"pending\", 'done''s' FROM t /* x */");
        let words: Vec<&str> =
            tokens.iter().filter(|token| token.kind == Kind::Word).map(|token| token.text).collect();
        assert_eq!(words, ["SELECT", "pending", "FROM", "t"]);
    }
}
