//! Statements: one a file, prepared once a connection, with the types of their parameters.
//!
//! Each parameter stands in its statement with its type (`$1::uuid[]`), once at least. The types are read
//! from there, so that a statement runs unnamed behind a transaction pooler, too, where no prepared statement
//! outlives its transaction.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use tokio_postgres::types::Type;

/// The name of the schema in the files.
const SCHEMA: &str = "gristmill.";

/// A statement as its file has it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sql(pub(crate) &'static str);

/// A statement of `sql/`, by its file's name.
macro_rules! sql {
    ($name:literal) => {
        $crate::statement::Sql(include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/sql/", $name, ".sql")))
    };
}
pub(crate) use sql;

/// A statement for one schema.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(crate) text: String,
    pub(crate) types: Vec<Type>,
}

/// The statements that were used, for one schema.
#[derive(Debug)]
pub(crate) struct Statements {
    schema: String,
    known: RwLock<HashMap<usize, Arc<Ready>>>,
}

impl Statements {
    pub(crate) fn new(schema: &str) -> Self {
        Self { schema: schema.to_owned(), known: RwLock::default() }
    }

    /// The statement with the name of the schema and the types of its parameters.
    pub(crate) fn of(&self, sql: Sql) -> Arc<Ready> {
        let key = sql.0.as_ptr().addr();
        if let Some(ready) = self.known.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Arc::clone(ready);
        }
        let text = without_header(sql.0);
        let ready = Arc::new(Ready { text: in_schema(text, &self.schema), types: parameter_types(text) });
        self.known.write().unwrap_or_else(PoisonError::into_inner).insert(key, Arc::clone(&ready));
        ready
    }

    /// The name of the schema.
    pub(crate) fn schema(&self) -> &str {
        &self.schema
    }
}

/// A statement without the comment before it. What a server shows of the statements it runs is cut off, at
/// 1,024 bytes by default: an operator is to see the statement.
fn without_header(text: &str) -> &str {
    let mut rest = text;
    while let Some((_, behind)) = rest.split_once('\n').filter(|(line, _)| line.starts_with("--")) {
        rest = behind;
    }
    rest
}

/// Replaces the schema's name in a text of statements.
pub(crate) fn in_schema(text: &str, schema: &str) -> String {
    text.replace(SCHEMA, &format!("{}.", quoted(schema)))
}

/// A name as an identifier, whatever is in it.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The types of `$1`, `$2`, …, each from its first `$n::type`.
pub(crate) fn parameter_types(text: &str) -> Vec<Type> {
    let mut types: Vec<Option<Type>> = Vec::new();
    for part in text.split('$').skip(1) {
        let digits = part.bytes().take_while(u8::is_ascii_digit).count();
        let Ok(number) = part[..digits].parse::<usize>() else { continue };
        let Some(name) = part[digits..].strip_prefix("::") else { continue };
        let length =
            name.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || b"[]_".contains(byte)).count();
        if types.len() < number {
            types.resize(number, None);
        }
        if let Some(place) = number.checked_sub(1).and_then(|place| types.get_mut(place)) {
            *place = place.take().or_else(|| type_named(&name[..length]));
        }
    }
    types.into_iter().map(|known| known.unwrap_or(Type::TEXT)).collect()
}

fn type_named(name: &str) -> Option<Type> {
    Some(match name {
        "bool" => Type::BOOL,
        "int2" => Type::INT2,
        "int4" => Type::INT4,
        "int8" => Type::INT8,
        "text" => Type::TEXT,
        "bytea" => Type::BYTEA,
        "uuid" => Type::UUID,
        "bool[]" => Type::BOOL_ARRAY,
        "int2[]" => Type::INT2_ARRAY,
        "int4[]" => Type::INT4_ARRAY,
        "int8[]" => Type::INT8_ARRAY,
        "text[]" => Type::TEXT_ARRAY,
        "bytea[]" => Type::BYTEA_ARRAY,
        "uuid[]" => Type::UUID_ARRAY,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_types_of_parameters_are_read_from_their_casts() {
        let text = "SELECT $2::uuid[], $1::int8, $2 FROM x WHERE y = $3::bytea";
        assert_eq!(parameter_types(text), [Type::INT8, Type::UUID_ARRAY, Type::BYTEA]);
    }

    #[test]
    fn the_server_is_sent_a_statement_without_its_header() {
        assert_eq!(without_header("-- Purpose: x.\n--   y\nSELECT 1 -- z\n"), "SELECT 1 -- z\n");
        assert_eq!(without_header("-- nothing"), "-- nothing");
    }

    #[test]
    fn a_schema_is_quoted_whatever_its_name() {
        assert_eq!(in_schema("FROM gristmill.jobs", "a\"b;--"), "FROM \"a\"\"b;--\".jobs");
    }
}
