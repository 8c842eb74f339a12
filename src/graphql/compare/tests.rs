use super::*;

/// What a comparison says, a line a change.
fn lines(old: &str, new: &str) -> Vec<String> {
    let (old, new) = (Surface::parse(old).unwrap(), Surface::parse(new).unwrap());
    compare(&old, &new).iter().map(ToString::to_string).collect()
}

/// One definition before and after, and what is said about it; nothing when clients notice nothing.
const TABLE: [(&str, &str, &str); 34] = [
    ("type T { a: Int b: Int }", "type T { a: Int }", "breaking  T.b: was removed"),
    ("type T { a: Int } type U { b: Int }", "type T { a: Int }", "breaking  U: was removed"),
    ("type T { a(b: Int): Int }", "type T { a: Int }", "breaking  T.a(b:): was removed"),
    ("input I { a: Int b: Int }", "input I { a: Int }", "breaking  I.b: was removed"),
    ("enum E { A B }", "enum E { A }", "breaking  E.B: was removed"),
    ("enum E { A }", "enum E { A B }", "dangerous E.B: was added"),
    ("union U = A | B", "union U = A", "breaking  U contains B: was removed"),
    ("union U = A", "union U = A | B", "dangerous U contains B: was added"),
    ("type T implements N { a: Int }", "type T { a: Int }", "breaking  T implements N: was removed"),
    ("type T { a: Int }", "type T implements N { a: Int }", "dangerous T implements N: was added"),
    (
        "type T { a: Int }",
        "interface T { a: Int }",
        "breaking  T: was of kind object and is of kind interface",
    ),
    ("type T { a: Int }", "type T { a: String }", "breaking  T.a: was Int and is String"),
    ("type T { a: Int! }", "type T { a: Int }", "breaking  T.a: was Int! and is Int"),
    ("type T { a: Int }", "type T { a: Int! }", ""),
    ("type T { a: [Int!]! }", "type T { a: [Int]! }", "breaking  T.a: was [Int!]! and is [Int]!"),
    ("type T { a: [Int] }", "type T { a: [Int!]! }", ""),
    ("type T { a: Int }", "type T { a: [Int] }", "breaking  T.a: was Int and is [Int]"),
    ("interface N { a: Int }", "interface N { a: Int b: Int }", ""),
    ("input I { a: Int }", "input I { a: Int! }", "breaking  I.a: took Int and takes Int!"),
    ("input I { a: Int! }", "input I { a: Int }", ""),
    ("input I { a: [Int]! }", "input I { a: [Int!]! }", "breaking  I.a: took [Int]! and takes [Int!]!"),
    ("input I { a: Int }", "input I { a: Int b: Int! }", "breaking  I.b: was added and is required"),
    ("input I { a: Int }", "input I { a: Int b: Int! = 1 }", ""),
    ("input I { a: Int }", "input I @oneOf { a: Int }", "breaking  I: takes exactly one of its fields now"),
    ("type T { a: Int }", "type T { a(b: Int!): Int }", "breaking  T.a(b:): was added and is required"),
    ("type T { a: Int }", "type T { a(b: Int): Int }", ""),
    (
        "type T { a(b: Int! = 1): Int }",
        "type T { a(b: Int!): Int }",
        "breaking  T.a(b:): lost its default and is required",
    ),
    (
        "type T { a(b: Int = 1): Int }",
        "type T { a(b: Int = 2): Int }",
        "dangerous T.a(b:): had the default 1 and has 2",
    ),
    (
        "type Query { a: Int @access(level: PUBLIC) }",
        "type Query { a: Int @access(level: USER) }",
        "breaking  Query.a: was open to PUBLIC and is open to USER only",
    ),
    ("type Query { a: Int @access(level: USER) }", "type Query { a: Int @access(level: PUBLIC) }", ""),
    (
        "type Query { a: Int @access(level: USER) }",
        "type Query { a: Int }",
        "breaking  Query.a: was open to USER and is closed",
    ),
    ("directive @d on FIELD scalar S", "scalar S", "breaking  @d: was removed"),
    ("directive @d on FIELD_DEFINITION scalar S", "scalar S", ""),
    ("directive @skip(if: Boolean!) on FIELD scalar S", "scalar S", ""),
];

#[test]
fn every_change_is_told_by_its_coordinate_and_reason() {
    for (old, new, expected) in TABLE {
        let expected: Vec<&str> = Some(expected).filter(|line| !line.is_empty()).into_iter().collect();
        assert_eq!(lines(old, new), expected, "{old}  ->  {new}");
    }
}

#[test]
fn extensions_count_as_what_they_extend() {
    let split = "type Query { a: Int } extend type Query { b: Int }";
    assert!(lines("type Query { a: Int b: Int }", split).is_empty());
    assert_eq!(lines(split, "type Query { a: Int }"), ["breaking  Query.b: was removed"]);
}

#[test]
fn what_is_wholly_new_hurts_nobody() {
    let old = "type Query { a: Int }";
    let new = "type Query { a: Int b(c: C!): D } input C { d: Int! } enum D { E F } type G implements H { i: Int! }";
    assert!(lines(old, new).is_empty());
}
