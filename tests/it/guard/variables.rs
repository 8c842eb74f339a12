//! The size of variables.

use loquent::graphql::guard::{Limits, Refusal, RefusalCode, check_variables};
use proptest::prelude::*;
use serde_json::{Value, json};

fn variables(value: &Value) -> Result<u64, Refusal> {
    check_variables(value, 1, &Limits::default())
}

fn refused(value: &Value, measured: u64, maximum: u64) {
    let seen = variables(value).err().map(|refusal| {
        assert_eq!((refusal.code, refusal.line, refusal.column), (RefusalCode::BadUserInput, 0, 0));
        (refusal.measured, refusal.maximum)
    });
    assert_eq!(seen, Some((Some(measured), Some(maximum))));
}

/// The variables object, and `a` nested so that there are `depth` containers in all.
fn nested(depth: usize) -> Value {
    json!({ "a": (1..depth).fold(Value::Null, |inner, level| if level % 2 == 0 { json!([inner]) } else { json!({ "b": inner }) }) })
}

#[test]
fn an_object_or_null_passes_and_nothing_else() {
    assert_eq!(variables(&Value::Null), Ok(0));
    assert_eq!(variables(&json!({})), Ok(0));
    assert_eq!(variables(&json!({"a": 1, "b": [true, {"c": null}]})), Ok(5));
    for value in [json!([]), json!("a"), json!(1), json!(true)] {
        assert_eq!(variables(&value).unwrap_err().code, RefusalCode::BadUserInput);
    }
}

#[test]
fn variables_nest_sixty_four_deep() {
    assert!(variables(&nested(64)).is_ok());
    refused(&nested(65), 65, 64);
}

#[test]
fn a_list_or_object_in_variables_has_a_thousand_items() {
    assert!(variables(&json!({ "a": vec![0; 1_000] })).is_ok());
    refused(&json!({ "a": vec![0; 1_001] }), 1_001, 1_000);
    let object = |count: usize| (0..count).map(|key| (key.to_string(), Value::Null)).collect::<Value>();
    assert!(variables(&object(1_000)).is_ok());
    refused(&object(1_001), 1_001, 1_000);
    refused(&json!({ "a": object(1_001) }), 1_001, 1_000);
}

#[test]
fn all_variables_together_have_ten_thousand_values() {
    let lists =
        |last: usize| json!({ "a": vec![vec![0; 999]; 9], "b": vec![0; 998 - 9], "c": vec![0; last] });
    // 3 variables, 9 lists, 9 * 999 items, 989 items: 9,992.
    assert!(variables(&lists(8)).is_ok());
    let refusal = variables(&lists(9)).unwrap_err();
    assert_eq!((refusal.measured, refusal.maximum), (Some(10_001), Some(10_000)));
    assert!(refusal.message.starts_with("The variable `c`: "), "{}", refusal.message);
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from)
    ];
    leaf.prop_recursive(80, 4_000, 40, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..40).prop_map(Value::from),
            prop::collection::btree_map("[a-c]{1,3}", inner, 0..10).prop_map(|map| map.into_iter().collect()),
        ]
    })
}

proptest! {
    #[test]
    fn the_work_on_variables_is_bounded_by_their_size(value in json_value()) {
        let bytes = value.to_string().len() as u64;
        let steps = variables(&value).unwrap_or_else(|refusal| refusal.steps);
        prop_assert!(steps <= bytes && steps <= 10_000);
    }
}
