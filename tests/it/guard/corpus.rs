//! The requests that must not be executed: one table for every transport.

use serde_json::{Value, json};

use super::limits::doubling;

/// A request and what must come of it.
pub(super) struct Case {
    pub name: &'static str,
    pub sent: Sent,
    /// Code of the refusal.
    pub code: &'static str,
    /// Refused by the engine's own reading and checking, which the guard leaves to it; all others never get there.
    pub is_by_engine: bool,
}

/// What is sent.
pub(super) enum Sent {
    /// Fields of the request in their order, repetitions included, with their values in JSON.
    Fields(Vec<(&'static str, String)>),
    /// Something else where the object is expected.
    Body(String),
}

impl Case {
    fn document(name: &'static str, code: &'static str, document: impl AsRef<str>) -> Self {
        Self::fields(name, code, vec![("query", json!(document.as_ref()).to_string())])
    }

    /// As [`Self::document`], for what the guard leaves to the engine.
    fn engine(name: &'static str, code: &'static str, document: &str) -> Self {
        Self { is_by_engine: true, ..Self::document(name, code, document) }
    }

    fn fields(name: &'static str, code: &'static str, fields: Vec<(&'static str, String)>) -> Self {
        Self { name, sent: Sent::Fields(fields), code, is_by_engine: false }
    }

    /// A harmless document with these variables.
    fn variables(name: &'static str, variables: impl ToString) -> Self {
        Self::fields(name, INPUT, vec![("query", harmless()), ("variables", variables.to_string())])
    }

    fn body(name: &'static str, body: &str) -> Self {
        Self { name, sent: Sent::Body(body.to_owned()), code: INPUT, is_by_engine: false }
    }

    /// The request as a JSON text, if it is one.
    pub fn text(&self) -> String {
        match &self.sent {
            Sent::Body(body) => body.clone(),
            Sent::Fields(fields) => {
                let fields = fields.iter().map(|(name, value)| format!("\"{name}\":{value}"));
                format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
            }
        }
    }

    /// The document, if there is one that can be read.
    pub fn query(&self) -> Option<String> {
        let Ok(Value::Object(fields)) = serde_json::from_str(&self.text()) else { return None };
        fields.get("query")?.as_str().map(str::to_owned)
    }
}

const PARSE: &str = "GRAPHQL_PARSE_FAILED";
const INVALID: &str = "GRAPHQL_VALIDATION_FAILED";
const DEEP: &str = "QUERY_TOO_DEEP";
const COSTLY: &str = "QUERY_TOO_EXPENSIVE";
const INPUT: &str = "BAD_USER_INPUT";

fn harmless() -> String {
    "\"{__typename}\"".to_owned()
}

/// The operation of that name.
fn named(document: &str, name: &str) -> Vec<(&'static str, String)> {
    vec![("query", json!(document).to_string()), ("operationName", json!(name).to_string())]
}

fn each(count: usize, piece: impl Fn(usize) -> String) -> String {
    (0..count).map(piece).collect()
}

fn nested(open: &str, middle: &str, close: &str, depth: usize) -> String {
    format!("{}{middle}{}", open.repeat(depth), close.repeat(depth))
}

pub(super) fn corpus() -> Vec<Case> {
    let parts = [fragments(), floods(), values(), grammar(), operations(), variables(), malformed()];
    parts.into_iter().flatten().collect()
}

fn fragments() -> Vec<Case> {
    let inline = nested("...{", "...NEXT", "}", 30);
    let through =
        |from: &str, next: &str| format!("fragment {from} on Query{{{}}}", inline.replace("NEXT", next));
    vec![
        Case::document("60 doubling fragments", COSTLY, doubling(60)),
        Case::document("40 doubling fragments", COSTLY, doubling(40)),
        Case::document(
            "a fan",
            COSTLY,
            format!("{{{}}} fragment F on Query{{{}}}", "...F".repeat(60), "__typename ".repeat(60)),
        ),
        Case::document(
            "51 fragments",
            COSTLY,
            format!("{{a}}{}", each(51, |n| format!("fragment F{n} on Query{{a}}"))),
        ),
        Case::document("a fragment of itself", INVALID, "{...F} fragment F on Query{...F}"),
        Case::document(
            "all fragments with all",
            INVALID,
            each(40, |n| format!("fragment F{n} on Query{{{}}}", each(40, |n| format!("...F{n}"))))
                + "{...F0}",
        ),
        Case::document("a fragment twice", INVALID, "{...F} fragment F on Query{a} fragment F on Query{a}"),
        Case::document(
            "nested through fragments",
            DEEP,
            format!(
                "{{...A}}{}{}{}fragment D on Query{{a}}",
                through("A", "B"),
                through("B", "C"),
                through("C", "D")
            ),
        ),
        Case::engine("an unused fragment", INVALID, "{__typename} fragment F on Query{__typename}"),
        Case::engine("an undefined fragment", INVALID, "{__typename ...F}"),
    ]
}

fn floods() -> Vec<Case> {
    let conflicts = format!("{{r{{{}}}}}", "a:x a:y ".repeat(200));
    vec![
        Case::document("fields 500 deep", DEEP, format!("{{{}}}", nested("a{", "a", "}", 500))),
        Case::document("braces 500 deep", DEEP, nested("{...", "{a}", "}", 500)),
        Case::document("33 inline fragments", DEEP, format!("{{{}}}", nested("...{", "a", "}", 33))),
        Case::document("2,001 fields", COSTLY, format!("{{r{{{}}}}}", each(2_001, |n| format!("f{n} ")))),
        Case::document("5,000 aliases", COSTLY, format!("{{{}}}", each(5_000, |n| format!("a{n}:x ")))),
        Case::document("more than 64 KiB", COSTLY, format!("{{{}}}", each(10_000, |n| format!("a{n}:x ")))),
        Case::document("__typename 4,000 times", COSTLY, format!("{{{}}}", "__typename ".repeat(4_000))),
        Case::document("11 root fields", COSTLY, format!("{{{}}}", "__typename ".repeat(11))),
        Case::document("two attempts to sign in", COSTLY, "mutation{a:signIn b:signIn}"),
        Case::document("a mutation twice", INVALID, "mutation{signOut{a} signOut{b}}"),
        Case::document("fields in conflict", INVALID, conflicts),
        Case::document("60 kB of tokens", DEEP, "{a".repeat(10_000) + &"[".repeat(30_000)),
        Case::document("11 directives", COSTLY, format!("{{a {}}}", "@skip(if:true)".repeat(11))),
        Case::engine("a directive twice", INVALID, "{__schema @skip(if:false) @skip(if:false){description}}"),
        Case::engine("an unknown directive", INVALID, "{__schema @nobody{description}}"),
        Case::document("a long name", COSTLY, format!("{{{}}}", "x".repeat(20_000))),
        Case::document("long aliases", COSTLY, format!("{{{0}:a {0}:b}}", "x".repeat(10_000))),
    ]
}

fn values() -> Vec<Case> {
    let uses = format!("[{}]", "$v ".repeat(100));
    let operations =
        each(200, |n| format!("query Q{n}{{...F}}")) + &format!("fragment F on Query{{a(b:{uses})}}");
    vec![
        Case::document("31 arguments", COSTLY, format!("{{a({})}}", each(31, |n| format!("a{n}:1 ")))),
        Case::document("an argument twice", INVALID, "{a(b:1 b:2)}"),
        Case::document("101 items", INPUT, format!("{{a(b:[{}])}}", "1 ".repeat(101))),
        Case::document(
            "101 input fields",
            INPUT,
            format!("{{a(b:{{{}}})}}", each(101, |n| format!("a{n}:1 "))),
        ),
        Case::document("lists 1,000 deep", DEEP, format!("{{a(b:{})}}", nested("[", "1", "]", 1_000))),
        Case::document("objects 1,000 deep", DEEP, format!("{{a(b:{})}}", nested("{a:", "1", "}", 1_000))),
        Case::document(
            "a type 1,000 deep",
            DEEP,
            format!("query($v:{}){{a}}", nested("[", "Int", "]", 1_000)),
        ),
        Case::document(
            "101 variables",
            COSTLY,
            format!("query({}){{a}}", each(101, |n| format!("$v{n}:Int "))),
        ),
        Case::document(
            "600 uses of a variable",
            COSTLY,
            format!("{{a({})}}", each(6, |n| format!("a{n}:{uses} "))),
        ),
        Case::fields("200 operations that use 100 variables", COSTLY, named(&operations, "Q0")),
        Case::engine(
            "a variable declared twice",
            INVALID,
            "query($v:Boolean! $v:Boolean!){__schema @skip(if:$v){description}}",
        ),
        Case::engine("a variable nobody declared", INVALID, "{__schema @skip(if:$v){description}}"),
        Case::engine("an input field twice", INVALID, "{__type(name:{a:1 a:2}){name}}"),
        Case::engine("a huge number", INVALID, "{__type(name:999999999999999999999999999999){name}}"),
        Case::engine("an infinite number", PARSE, "{__type(name:1e999){name}}"),
    ]
}

fn grammar() -> Vec<Case> {
    let documents = [
        ("nothing", ""),
        ("a brace", "{"),
        ("comments only", "# a\n# b"),
        ("byte order marks only", "\u{feff}\u{feff}"),
        ("a NUL", "{a\0}"),
        ("half a surrogate pair", "{a(b:\"\\uD800\")}"),
        ("the other half", "{a(b:\"\\uDC00\")}"),
        ("a block string without end", "{a(b:\"\"\"c\\\"\"\")}"),
        ("a string without end", "{a(b:\"c"),
        ("a leading zero", "{a(b:00012)}"),
        ("a number cut short", "{a(b:1e)}"),
        ("a hexadecimal number", "{a(b:0xff)}"),
        ("a type definition", "type Query{a:Int}"),
    ];
    let mut cases: Vec<Case> =
        documents.into_iter().map(|(name, document)| Case::document(name, PARSE, document)).collect();
    cases.push(Case::document("20,000 quotes", PARSE, format!("{{a(b:{})}}", "\"".repeat(20_000))));
    cases.push(Case::document("20,000 comments", PARSE, "#\n".repeat(10_000)));
    cases
}

fn operations() -> Vec<Case> {
    vec![
        Case::document("no operation", INVALID, "fragment F on Query{__typename}"),
        Case::document("two without a name", INVALID, "{a} {b}"),
        Case::document("one without a name among others", INVALID, "query A{a} {b}"),
        Case::document("two of one name", INVALID, "query A{a} query A{b}"),
        Case::document("several and no choice", INPUT, "query A{a} query B{b}"),
        Case::fields("an unknown operation", INPUT, named("query A{a}", "B")),
        Case::fields("a name for one without", INPUT, named("{a}", "A")),
    ]
}

fn variables() -> Vec<Case> {
    let wide: Value = (0..1_001).map(|key| (format!("k{key}"), Value::Null)).collect();
    let uses = format!("\"{{__type(name:[{}]){{name}}}}\"", "$v ".repeat(100));
    let large = json!({ "v": "x".repeat(500_000) }).to_string();
    vec![
        Case::variables("variables 100 deep", format!("{{\"v\":{}}}", nested("[", "1", "]", 100))),
        Case::variables("objects 100 deep", format!("{{\"v\":{}}}", nested("{\"a\":", "1", "}", 100))),
        Case::variables("1,001 variables", wide),
        Case::variables("1,001 items", json!({ "v": vec![0; 1_001] })),
        Case::variables("11,000 values", json!({ "v": vec![vec![0; 999]; 11] })),
        Case::variables(
            "a key twice, the last too deep",
            format!("{{\"v\":1,\"v\":{}}}", nested("[", "1", "]", 100)),
        ),
        Case::fields("a large value used often", INPUT, vec![("query", uses), ("variables", large)]),
        Case::variables("a list of variables", "[]"),
        Case::variables("a text of variables", "\"{}\""),
        Case::fields("a list of extensions", INPUT, vec![("query", harmless()), ("extensions", "[]".into())]),
        Case::fields(
            "two documents, the last too deep",
            DEEP,
            vec![("query", harmless()), ("query", json!(nested("{a", "", "}", 100)).to_string())],
        ),
    ]
}

/// Not JSON, or not a request.
fn malformed() -> Vec<Case> {
    let deep = || nested("[", "", "]", 2_000);
    let deep_extensions = vec![("query", harmless()), ("extensions", format!("{{\"a\":{}}}", deep()))];
    vec![
        Case::variables("variables 2,000 deep", format!("{{\"v\":{}}}", deep())),
        Case::fields("extensions 2,000 deep", INPUT, deep_extensions),
        Case::variables("an infinite variable", "{\"v\":1e999}"),
        Case::variables("a variable with a leading zero", "{\"v\":012}"),
        Case::fields(
            "half a surrogate pair in JSON",
            INPUT,
            vec![("query", "\"{a(b:\\\"\\ud800\\\")}\"".into())],
        ),
        Case::fields("a NUL in JSON", INPUT, vec![("query", "\"{a\0}\"".into())]),
        Case::fields("no document", INPUT, vec![]),
        Case::fields("null for a document", INPUT, vec![("query", "null".into())]),
        Case::fields("a number for a document", INPUT, vec![("query", "1".into())]),
        Case::fields("a list of documents", INPUT, vec![("query", format!("[{}]", harmless()))]),
        Case::fields(
            "a number for a name",
            INPUT,
            vec![("query", harmless()), ("operationName", "1".into())],
        ),
        Case::body("a batch", "[{\"query\":\"{__typename}\"}]"),
        Case::body("a batch of 1,000", &format!("[{}0]", "{\"query\":\"{__typename}\"},".repeat(1_000))),
        Case::body("an empty batch", "[]"),
        Case::body("null", "null"),
        Case::body("a text", "\"{__typename}\""),
        Case::body("nothing at all", ""),
        Case::body("a byte order mark", "\u{feff}{\"query\":\"{__typename}\"}"),
        Case::body("two requests", "{\"query\":\"{__typename}\"}{\"query\":\"{__typename}\"}"),
        Case::body("cut short", "{\"query\":\"{__typename}\""),
    ]
}
