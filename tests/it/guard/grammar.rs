//! The grammar of executable documents, and the choice of the operation.

use super::guard;
use loquent::graphql::guard::{Limits, OperationKind, RefusalCode, check};

/// Grammatical, in all corners that the engine reads too.
pub(super) const SHARED: &[&str] = &[
    "{a}",
    "\u{feff}{a}",
    "{\u{feff}a,,,b}",
    "query{a}",
    "query Q{a}",
    "query query{query}",
    "query on{on}",
    "mutation M($a:Int,$b:[Int!]!,$c:[[T]!]){f(a:$a b:$b c:$c)}",
    "subscription{s}",
    "query($a:Int=1 $b:T={a:[1,2,{b:null}]},$c:E=RED,$d:E @d){f}",
    "query @a @b(c:1,d:$e) {f}",
    "{alias:field(a:1)@skip(if:true){on fragment query}}",
    "{true false null}",
    "{...F} fragment F on T @d {a}",
    "fragment F on T{a} {...F}",
    "{...{a} ...@include(if:$x){b} ...on T{c} ...on\n\tT@d{e} ...onward} fragment onward on on{a}",
    "{f(a:0 b:-0 c:-12 d:1.5 e:1e5 f:-1.25E-3 g:1e+9)}",
    "{f(a:true b:false c:null d:ENUM e:[] f:{} g:[[]] h:{a:{}} i:$v j:[$v] k:{a:$v})}",
    r#"{f(a:"" b:"\"\\\/\b\f\n\r\t" c:"\u00e9\uFFFF" d:"é😀")}"#,
    r#"{f(a:"""""" b:"""a "quoted" \""" end""" c:"""
        lines
          of text""" d:"""\u{zz} \q""")}"#,
    "#a\n{#b\r\na#c\r}#d",
    "{f(a:[1\"x\"2])}",
];

/// Not grammatical, and the engine agrees.
pub(super) const REFUSED: &[&str] = &[
    "",
    " ,\u{feff}\n",
    "# only a comment",
    "{",
    "}",
    "{}",
    "{a",
    "{a}}",
    "{a{}}",
    "{a:}",
    "{a:b:c}",
    "{:a}",
    "{a()}",
    "{a(b)}",
    "{a(b:)}",
    "{a(b:1",
    "{...}",
    "{...on T}",
    "{..a}",
    "{. . .a}",
    "{@d}",
    "{a@}",
    "{a @d()}",
    "query",
    "query Q",
    "query Q Q{a}",
    "query(a:Int){a}",
    "query($a){a}",
    "query($a:){a}",
    "query($a:[Int){a}",
    "query($a:Int!!){a}",
    "query($a:Int=$b){a}",
    "fragment F{a}",
    "fragment F on{a}",
    "fragment on T{a}",
    "type T{a:Int}",
    "schema{query:Q}",
    "extend type T{a:Int}",
    "{a} type T{a:Int}",
    "\"described\" {a}",
    "{f(a:01a)}",
    "{f(a:1b:2)}",
    "{f(a:1.)}",
    "{f(a:.5)}",
    "{f(a:1e)}",
    "{f(a:-)}",
    "{f(a:+1)}",
    "{f(a:1a)}",
    "{f(a:1_)}",
    "{f(a:0x1)}",
    "{f(a:1.2.3)}",
    "{f(a:nullable)}",
    "{f(a:[1)}",
    "{f(a:{a:1)}",
    "{f(a:{1})}",
    "{f(a:{a})}",
    "{f(a:])}",
    "{f(a:\"",
    "{f(a:\"b\n\")}",
    "{f(a:\"\\q\")}",
    "{f(a:\"\\u12\")}",
    "{f(a:\"\\uD800\")}",
    "{f(a:\"\\uDC00\")}",
    "{f(a:\"\\uD800\\uD800\")}",
    "{f(a:\"\\u{110000}\")}",
    "{f(a:\"\\u{D800}\")}",
    "{f(a:\"\\u{}\")}",
    "{f(a:\"\"\"b)}",
    "{f(a:\"\"\"b\\\"\"\")}",
    "{a;b}",
    "{é}",
    "{a%}",
    "{a\0}",
    "{a&b}",
    "{a|b}",
];

#[test]
fn grammatical_documents_pass() {
    for document in SHARED {
        assert!(guard(document).is_ok(), "{document}: {:?}", guard(document));
    }
}

#[test]
fn ungrammatical_documents_are_refused_as_such() {
    for document in REFUSED {
        let refusal = guard(document).expect_err(document);
        assert_eq!(refusal.code, RefusalCode::ParseFailed, "{document}: {refusal:?}");
        assert!(refusal.line > 0 && refusal.column > 0, "{document}: {refusal:?}");
    }
}

#[test]
fn what_passes_says_the_kind_and_the_root_fields() {
    let passed = guard("{a b:c ...F ...{d{x}}} fragment F on Q{e ...G} fragment G on Q{a}").unwrap();
    assert_eq!(passed.operation, OperationKind::Query);
    assert_eq!(passed.root_fields, ["a", "c", "e", "a", "d"]);
    assert_eq!(guard("mutation{a}").unwrap().operation, OperationKind::Mutation);
    assert_eq!(guard("subscription{a}").unwrap().operation, OperationKind::Subscription);
}

#[test]
fn an_undefined_fragment_is_left_to_the_engine() {
    assert!(guard("{a ...Nowhere}").is_ok());
}

#[test]
fn the_named_operation_is_chosen() {
    let document = "query A{a} mutation B{b} fragment F on T{f}";
    let choose = |name| check(document, name, &Limits::default());
    assert_eq!(choose(Some("A")).unwrap().root_fields, ["a"]);
    assert_eq!(choose(Some("B")).unwrap().operation, OperationKind::Mutation);
    for name in [None, Some("C"), Some("F"), Some("")] {
        assert_eq!(choose(name).unwrap_err().code, RefusalCode::BadUserInput, "{name:?}");
    }
    let unknown = choose(Some("C")).unwrap_err();
    assert_eq!(unknown.message, "Unknown operation named `C`.");
    assert_eq!((unknown.line, unknown.column), (0, 0));
}

#[test]
fn a_document_that_leaves_the_operation_open_is_refused() {
    for document in [
        "fragment F on T{a}",
        "query A{a} query A{b}",
        "{a} {b}",
        "{a} query B{b}",
        "query B{b} {a}",
        "{...F} fragment F on T{a} fragment F on T{b}",
    ] {
        assert_eq!(guard(document).unwrap_err().code, RefusalCode::ValidationFailed, "{document}");
    }
    assert_eq!(check("{a}", Some("A"), &Limits::default()).unwrap_err().code, RefusalCode::BadUserInput);
}

#[test]
fn fragments_that_spread_themselves_are_refused() {
    for document in [
        "{...A} fragment A on T{...A}",
        "{a} fragment A on T{a{...{...B}}} fragment B on T{...A}",
        "{...A} fragment A on T{...B} fragment B on T{...C} fragment C on T{a ...B}",
    ] {
        let refusal = guard(document).unwrap_err();
        assert_eq!(refusal.code, RefusalCode::ValidationFailed, "{document}");
        assert!(refusal.line == 1 && refusal.column > 1, "{refusal:?}");
    }
}

#[test]
fn a_refusal_points_at_its_place() {
    let refusal = guard("{\r\n  a\r  é(\"\n").unwrap_err();
    assert_eq!((refusal.line, refusal.column), (3, 3));
    let refusal = guard("{\n  f(a: \"é😀\", b: ;)\n}").unwrap_err();
    assert_eq!((refusal.line, refusal.column), (2, 17));
    assert_eq!(refusal.message, "The character ';' cannot stand here.");
    let refusal = guard("{a(").unwrap_err();
    assert_eq!(refusal.message, "Expected an argument, found the end of the document.");
}

/// The same shape as the query of GraphiQL and the code generators, with every option on.
const INTROSPECTION: &str = "
query IntrospectionQuery {
  __schema {
    description
    queryType { name kind }
    mutationType { name kind }
    subscriptionType { name kind }
    types { ...FullType }
    directives { name description isRepeatable locations args(includeDeprecated: true) { ...InputValue } }
  }
}
fragment FullType on __Type {
  kind name description specifiedByURL isOneOf
  fields(includeDeprecated: true) {
    name description args(includeDeprecated: true) { ...InputValue } type { ...TypeRef }
    isDeprecated deprecationReason
  }
  inputFields(includeDeprecated: true) { ...InputValue }
  interfaces { ...TypeRef }
  enumValues(includeDeprecated: true) { name description isDeprecated deprecationReason }
  possibleTypes { ...TypeRef }
}
fragment InputValue on __InputValue {
  name description type { ...TypeRef } defaultValue isDeprecated deprecationReason
}
fragment TypeRef on __Type {
  kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name ofType {
    kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name } } } } }
  } } } }
}";

#[test]
fn the_introspection_query_of_the_tools_passes() {
    let passed = guard(INTROSPECTION).unwrap();
    assert_eq!(passed.root_fields, ["__schema"]);
}
