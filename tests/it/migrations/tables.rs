//! `src/schema.rs` says what the migrations make: every table and column, with type and nullability.

use std::collections::BTreeMap;

use crate::support::db::TestDb;

/// Columns by table and name: type as Diesel writes it.
type Tables = BTreeMap<String, BTreeMap<String, String>>;

fn written() -> Tables {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/src/schema.rs")).unwrap();
    let mut tables = Tables::new();
    let mut table = String::new();
    for line in text.lines().map(str::trim) {
        if let Some((column, kind)) = line.split_once(" -> ").filter(|_| !line.starts_with("diesel::")) {
            tables
                .entry(table.clone())
                .or_default()
                .insert(column.to_owned(), kind.trim_end_matches(',').to_owned());
        } else if let Some((name, _)) = line.strip_suffix('{').and_then(|line| line.split_once(" (")) {
            table = name.to_owned();
        }
    }
    tables
}

async fn migrated(db: &TestDb) -> Tables {
    // Partitions are the same table again.
    const COLUMNS: &str = "
        SELECT c.relname || ' ' || a.attname || ' ' || format_type(a.atttypid, NULL) || ' ' || a.attnotnull AS line
          FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
         WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
           AND c.relname <> '__diesel_schema_migrations'";
    let mut tables = Tables::new();
    for line in db.lines(COLUMNS).await {
        let mut words = line.split(' ');
        let (table, column) = (words.next().unwrap(), words.next().unwrap());
        let rest: Vec<&str> = words.collect();
        let (not_null, kind) = rest.split_last().unwrap();
        let kind = match kind.join(" ").as_str() {
            "uuid" => "Uuid",
            "text" => "Text",
            "boolean" => "Bool",
            "bytea" => "Bytea",
            "jsonb" => "Jsonb",
            "smallint" => "Int2",
            "integer" => "Int4",
            "bigint" => "Int8",
            "timestamp with time zone" => "Timestamptz",
            "text[]" => "Array<Nullable<Text>>",
            "timestamp with time zone[]" => "Array<Nullable<Timestamptz>>",
            other => panic!("{table}.{column} is of the new type {other}"),
        };
        let kind = if *not_null == "true" { kind.to_owned() } else { format!("Nullable<{kind}>") };
        tables.entry(table.to_owned()).or_default().insert(column.to_owned(), kind);
    }
    tables
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tables_in_the_code_are_those_of_the_database() {
    let db = TestDb::create().await;
    let (written, migrated) = (written(), migrated(&db).await);
    assert!(migrated.len() > 15, "{:?}", migrated.keys());
    assert_eq!(written, migrated);
    db.close().await;
}
