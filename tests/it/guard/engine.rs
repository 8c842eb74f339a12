//! Guard and engine read the same documents in the same way, but for a list of known differences.

use super::{generated, grammar, guard};
use async_graphql::parser::parse_query;
use loquent::graphql::guard::{Limits, RefusalCode, check};
use proptest::prelude::*;

#[test]
fn the_engine_reads_what_the_guard_reads() {
    for document in grammar::SHARED {
        assert!(parse_query(document).is_ok(), "{document}: {:?}", parse_query(document));
    }
}

#[test]
fn the_engine_refuses_what_the_guard_cannot_read() {
    for document in grammar::REFUSED {
        assert!(parse_query(document).is_err(), "{document}");
    }
}

/// Grammatical by the September 2025 edition, unknown to the engine: its own refusal is the answer.
const UNKNOWN_TO_THE_ENGINE: &[&str] = &[
    r#""described" query{a}"#,
    r#""""described""" fragment F on T{a} {...F}"#,
    r#"query("described" $a:Int){a}"#,
    "query($a:Int=1 @d){a}",
    "query($a:[ Int ]){a}",
    "query($a:Int !){a}",
    r#"{f(a:"\u{1F600}")}"#,
    r#"{f(a:"\uD83D\uDE00")}"#,
    "{f(a:1e999)}",
];

/// Refused, though the engine reads them: not grammatical, or read by the engine as something else than they say.
const MISREAD_BY_THE_ENGINE: &[&str] = &[
    "queryQ{a}",
    "fragmentF on T{a} {a}",
    "query(){a}",
    "query($a:Int @d=1){a}",
    "query($a:Int @d(b:$a)){a}",
    "{f(a:[00])}",
    "{f(a:[nullable])}",
    "{f(a:[truefalse])}",
    "{...on#c\nT{a}}",
    "{... on #c\n T{a}}",
    "{...on}",
    "{a} fragment on on T{a}",
    r#"{f(a:["""b"])}"#,
];

#[test]
fn the_known_differences_are_still_there() {
    for document in UNKNOWN_TO_THE_ENGINE {
        assert!(guard(document).is_ok(), "{document}: {:?}", guard(document));
        assert!(parse_query(document).is_err(), "the engine has learned {document}");
    }
    for document in MISREAD_BY_THE_ENGINE {
        assert_eq!(
            guard(document).map_err(|refusal| refusal.code),
            Err(RefusalCode::ParseFailed),
            "{document}"
        );
        assert!(parse_query(document).is_ok(), "the engine has unlearned {document}");
    }
}

fn loose() -> Limits {
    Limits {
        selections: u64::MAX,
        aliases: 10_000,
        conflicts: u64::MAX,
        root_fields: 10_000,
        sign_in_fields: 10_000,
        variable_uses: u64::MAX,
        ..Limits::default()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn generated_documents_are_grammatical_to_both(choices in prop::collection::vec(any::<u8>(), 0..600)) {
        let document = generated::document(&choices);
        if let Err(refusal) = check(&document, None, &loose()) {
            prop_assert_ne!(refusal.code, RefusalCode::ParseFailed, "{}: {}", refusal.message, document);
        }
        prop_assert!(parse_query(&document).is_ok(), "{}", document);
    }

    #[test]
    fn a_document_damaged_beyond_the_guards_reading_is_beyond_the_engines(
        choices in prop::collection::vec(any::<u8>(), 0..300),
        place in any::<prop::sample::Index>(),
        mark in prop::sample::select("{}()[]:$@!=|&-".chars().collect::<Vec<_>>()),
        insert in any::<bool>(),
    ) {
        let document = damage(&generated::document(&choices), place, mark, insert);
        prop_assume!(!has_a_spread_named_on(&document));
        if check(&document, None, &loose()).is_err_and(|refusal| refusal.code == RefusalCode::ParseFailed) {
            prop_assert!(parse_query(&document).is_err(), "{}", document);
        }
    }
}

/// The engine takes `...on` without a type for a spread of a fragment `on`, which the grammar does not allow.
fn has_a_spread_named_on(document: &str) -> bool {
    let is_ignored = |character: char| character.is_whitespace() || matches!(character, ',' | '\u{FEFF}');
    document.match_indices("...").any(|(at, dots)| {
        let after = document[at + dots.len()..].trim_start_matches(is_ignored);
        after.strip_prefix("on").is_some_and(|rest| {
            let next = rest.trim_start_matches(is_ignored).chars().next();
            !next.is_some_and(|next| next.is_ascii_alphabetic() || next == '_')
        })
    })
}

/// Inserts a mark anywhere, or takes one of its kind away.
fn damage(document: &str, place: prop::sample::Index, mark: char, insert: bool) -> String {
    let mut characters: Vec<char> = document.chars().collect();
    if insert {
        characters.insert(place.index(characters.len()), mark);
    } else if let Some(found) = characters
        .iter()
        .cycle()
        .skip(place.index(characters.len()))
        .take(characters.len())
        .position(|&character| character == mark)
    {
        let length = characters.len();
        characters.remove((place.index(length) + found) % length);
    }
    characters.into_iter().collect()
}
