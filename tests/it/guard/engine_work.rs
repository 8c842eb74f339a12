//! What the guard lets through costs the engine a bounded amount: the worst documents that are known.
//!
//! The engine reports every fault of a document before anything cuts the list, so the errors are counted where they
//! arise, and so are the bytes of their messages.

use std::time::Instant;

use async_graphql::{Request, Variables};
use loquent::graphql::{
    guard::{Limits, RefusalCode, check, check_variables},
    schema_builder,
};
use serde_json::{Value, json};

use super::guard;

/// As many errors as the largest document has bytes, and the bytes of their messages.
const MOST_ERRORS: usize = 65_536;
const MOST_TEXT: usize = 4 << 20;

fn each(count: usize, piece: impl Fn(usize) -> String) -> String {
    (0..count).map(piece).collect()
}

/// Documents that pass by a hair, each the worst for one rule of the engine.
fn worst() -> Vec<(&'static str, String)> {
    let arguments = each(30, |n| format!("a{n}:1 "));
    let long = "x".repeat(140);
    let pairs = each(199, |n| format!("{long}{n}:a{n} {long}{n}:b{n} "));
    let definitions = each(100, |n| format!("$v{n}:X"));
    let uses = format!("[{}]", each(100, |n| format!("$v{n} ")));
    vec![
        (
            "unknown arguments",
            format!("{{__schema{{types{{{}}}}}}}", format!("name({arguments}) ").repeat(300)),
        ),
        ("unknown directives", format!("{{a{{{}}}}}", format!("b{} ", "@d".repeat(10)).repeat(1_990))),
        ("unknown fields", format!("{{__schema{{{}}}}}", each(1_990, |n| format!("f{n} ")))),
        (
            "conflicts in all sets",
            format!(
                "{{a{}{}{}}} fragment F on T{}{pairs}{}",
                "{...".repeat(29),
                "{...F}",
                "}".repeat(29),
                "{...".repeat(30) + "{",
                "}".repeat(31)
            ),
        ),
        ("operations", each(990, |n| format!("query Q{n}{{a}}"))),
        ("declarations", each(80, |n| format!("query Q{n}({definitions}){{a}}"))),
        (
            "undefined variables",
            format!("{{__schema{{types{{name(a:{uses} b:{uses} c:{uses} d:{uses} e:{uses})}}}}}}"),
        ),
        (
            "undefined variables of all operations",
            each(5, |n| format!("query Q{n}{{...F}}")) + &format!("fragment F on Query{{a(b:{uses})}}"),
        ),
        (
            "variables of the wrong type",
            each(5, |n| format!("query Q{n}({}){{...F}}", "$v0:Int ".repeat(100)))
                + &format!("fragment F on Query{{__type(name:[{}]){{name}}}}", "$v0 ".repeat(100)),
        ),
        (
            "a chain of fragments on nothing",
            "{r{...F0}}".to_owned()
                + &each(49, |n| format!("fragment F{n} on Nobody{{a @d ...F{}}}", n + 1))
                + "fragment F49 on Nobody{a}",
        ),
    ]
}

#[tokio::test]
async fn what_passes_makes_no_more_errors_than_the_largest_document_has_bytes() {
    let schema = schema_builder().limit_recursive_depth(usize::MAX).finish();
    for (name, document) in worst() {
        let chosen = document.starts_with("query Q0").then_some("Q0");
        assert!(
            check(&document, chosen, &Limits::default()).is_ok(),
            "{name}: {:?}",
            check(&document, chosen, &Limits::default())
        );
        let mut request = Request::new(&document);
        request.operation_name = chosen.map(str::to_owned);
        let begun = Instant::now();
        let errors = schema.execute(request).await.errors;
        let elapsed = begun.elapsed();
        let text: usize = errors.iter().map(|error| error.message.len()).sum();
        println!(
            "{name}: {} bytes, {} errors, {text} bytes of text, {elapsed:?}",
            document.len(),
            errors.len()
        );
        assert!(!errors.is_empty() && errors.len() <= MOST_ERRORS, "{name}: {}", errors.len());
        assert!(text <= MOST_TEXT, "{name}: {text}");
    }
}

/// Why uses of variables are counted: the engine reports each of them for each operation that reaches it.
#[tokio::test]
async fn what_is_refused_would_have_made_more_errors_than_it_has_bytes() {
    let fragment = format!("fragment F on Query{{a(b:[{}])}}", each(100, |n| format!("$v{n} ")));
    let document = each(90, |n| format!("query Q{n}{{...F}}")) + &fragment;
    let refusal = check(&document, Some("Q0"), &Limits::default()).unwrap_err();
    assert_eq!((refusal.code, refusal.maximum), (RefusalCode::TooExpensive, Some(500)));
    let mut request = Request::new(&document);
    request.operation_name = Some("Q0".to_owned());
    let errors = schema_builder().finish().execute(request).await.errors.len();
    println!("refused: {} bytes, {errors} errors", document.len());
    assert!(errors >= 9_000 && errors > 3 * document.len(), "{errors}");
}

#[tokio::test]
async fn a_large_variable_is_copied_as_often_as_the_bound_allows_and_no_more() {
    let schema = schema_builder().finish();
    let document = format!("query($v:String!){{__type(name:[{}]){{name}}}}", "$v ".repeat(60));
    let uses = guard(&document).unwrap().variable_uses;
    assert_eq!(uses, 60);
    let variables = |bytes: usize| json!({ "v": "x".repeat(bytes) });
    let admit = |bytes| check_variables(&variables(bytes), uses, &Limits::default());
    assert!(admit(500_000).is_ok());
    let refusal = admit(1_000_000).unwrap_err();
    assert_eq!((refusal.code, refusal.measured), (RefusalCode::BadUserInput, Some(60 * 1_000_032)));
    let request = Request::new(document).variables(Variables::from_json(variables(500_000)));
    assert!(schema.execute(request).await.is_err());
}

/// The query of graphql-js, with `depth` times `ofType`.
fn introspection(depth: usize) -> String {
    let of_type = format!("{}name{}", "kind name ofType{".repeat(depth), "}".repeat(depth));
    let type_ref = format!("fragment TypeRef on __Type{{{of_type}}}");
    let value =
        "fragment InputValue on __InputValue{name description type{...TypeRef} defaultValue isDeprecated}";
    let full = "fragment FullType on __Type{kind name description specifiedByURL
        fields(includeDeprecated:true){name description args{...InputValue} type{...TypeRef} isDeprecated}
        inputFields{...InputValue} interfaces{...TypeRef} enumValues{name} possibleTypes{...TypeRef}}";
    format!(
        "query IntrospectionQuery{{__schema{{queryType{{name}} mutationType{{name}} subscriptionType{{name}}
        types{{...FullType}} directives{{name locations args{{...InputValue}}}}}}}} {full} {value} {type_ref}"
    )
}

#[tokio::test]
async fn introspection_as_deep_as_tools_ask_passes_and_twice_as_deep_does_not() {
    let usual = introspection(9);
    assert!(guard(&usual).is_ok(), "{:?}", guard(&usual));
    let answer = schema_builder().finish().execute(Request::new(usual)).await;
    assert!(answer.is_ok(), "{:?}", answer.errors);
    assert!(matches!(answer.data.into_json(), Ok(Value::Object(_))));
    assert_eq!(guard(&introspection(18)).unwrap_err().code, RefusalCode::TooDeep);
}
