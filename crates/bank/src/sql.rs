//! Rows of SQLite as JSON objects.

use rusqlite::{Connection, Params, types::ValueRef};
use serde_json::{Map, Value};

/// Every row of a query: column names become the keys.
pub fn rows(db: &Connection, sql: &str, params: impl Params) -> rusqlite::Result<Vec<Value>> {
    let mut statement = db.prepare_cached(sql)?;
    let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let rows = statement.query_map(params, |row| {
        let mut object = Map::new();
        for (at, name) in names.iter().enumerate() {
            object.insert(name.clone(), json(row.get_ref(at)?));
        }
        Ok(Value::Object(object))
    })?;
    rows.collect()
}

/// The first row of a query.
///
/// # Errors
/// `QueryReturnedNoRows` where there is none.
pub fn row(db: &Connection, sql: &str, params: impl Params) -> rusqlite::Result<Value> {
    rows(db, sql, params)?.into_iter().next().ok_or(rusqlite::Error::QueryReturnedNoRows)
}

/// One number, such as a count.
pub fn number(db: &Connection, sql: &str, params: impl Params) -> rusqlite::Result<i64> {
    db.prepare_cached(sql)?.query_row(params, |row| row.get(0))
}

fn json(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => number.into(),
        ValueRef::Real(number) => number.into(),
        ValueRef::Text(text) => String::from_utf8_lossy(text).into(),
        ValueRef::Blob(bytes) => bytes.len().into(),
    }
}
