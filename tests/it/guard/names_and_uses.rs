//! Limits of what the engine repeats or looks for again: names, nesting through fragments, uses of variables.

use loquent::graphql::guard::{Limits, RefusalCode, check, check_variables};
use serde_json::json;

use super::{guard, limits::refused};

#[test]
fn a_name_has_255_bytes() {
    for document in
        ["{#}", "{a:#}", "{#:a}", "{...#}", "query #{a}", "{a(#:1)}", "{a(b:#)}", "{a(b:$#)}", "{a@#}"]
    {
        let with = |bytes: usize| document.replace('#', &"x".repeat(bytes));
        assert!(guard(&with(255)).is_ok(), "{document}");
        refused(&with(256), RefusalCode::TooExpensive, 256, 255);
    }
}

#[test]
fn selection_sets_nest_sixty_four_deep_through_fragments() {
    let document = |inline: usize| {
        let wrap =
            |count: usize, inner: &str| format!("{}{inner}{}", "...{".repeat(count), "}".repeat(count));
        format!("{{{}}} fragment F on T{{{}}}", wrap(31, "...F"), wrap(inline, "a"))
    };
    // The set of the operation, 31 inside it, that of the fragment, and the rest.
    assert!(guard(&document(31)).is_ok());
    let deeper = document(31).replace("{a}", "{...G}") + " fragment G on T{a}";
    refused(&deeper, RefusalCode::TooDeep, 65, 64);
}

#[test]
fn an_operation_declares_a_hundred_variables() {
    let operation = |name: &str, count: usize| format!("query {name}({}){{a}}", "$v:Int ".repeat(count));
    assert!(check(&(operation("A", 100) + &operation("B", 100)), Some("A"), &Limits::default()).is_ok());
    refused(&operation("A", 101), RefusalCode::TooExpensive, 101, 100);
}

#[test]
fn a_document_uses_variables_five_hundred_times() {
    let document = |spreads: usize, more: &str| {
        let uses = format!("[{}]", "$v ".repeat(100));
        format!("{{{} b(c:{more})}} fragment F on T@d(e:{{f:{uses}}}){{a}}", "...F ".repeat(spreads))
    };
    assert_eq!(guard(&document(5, "1")).unwrap().variable_uses, 500);
    refused(&document(5, "$v"), RefusalCode::TooExpensive, 501, 500);
    assert_eq!(guard("query A @d(e:$v) {a(b:$v){c @d(e:[$v $v])} ...@d(e:$v){f}}").unwrap().variable_uses, 5);
}

#[test]
fn variables_times_their_uses_are_32_mebibytes() {
    let limits = Limits { variable_copies: 1_000, ..Limits::default() };
    // 32 bytes for a value itself: 32 + 3, 32 + 1, 32.
    let variables = json!({ "a": "xyz", "b": { "k": null } });
    assert!(check_variables(&variables, 10, &limits).is_ok());
    assert!(check_variables(&variables, 0, &Limits { variable_copies: 0, ..limits.clone() }).is_ok());
    assert_eq!(check_variables(&variables, 11, &limits).unwrap_err().measured, Some(1_100));
}
