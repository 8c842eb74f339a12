//! No input costs more than its bytes: at most 50 steps for each, and no panic.

use super::{generated, guard, limits::doubling};
use loquent::graphql::guard::{Limits, check};
use proptest::prelude::*;

pub(super) const STEPS_PER_BYTE: u64 = 50;
const STEPS_FOR_NOTHING: u64 = 16;
const MOST: usize = 65_536;

/// Checks the document with the usual limits and with limits that let the later stages see more of it.
fn work(document: &str) -> (u64, u64) {
    let allowed = STEPS_PER_BYTE * document.len() as u64 + STEPS_FOR_NOTHING;
    let steps = |limits: &Limits| {
        check(document, None, limits).map_or_else(|refusal| refusal.steps, |passed| passed.steps)
    };
    let wide = Limits {
        aliases: 10_000,
        conflicts: u64::MAX,
        root_fields: 10_000,
        fragments: 5_000,
        ..Limits::default()
    };
    (steps(&Limits::default()).max(steps(&wide)), allowed)
}

fn filled(head: &str, piece: &str, tail: &str) -> String {
    let pieces = (MOST - head.len() - tail.len()) / piece.len();
    format!("{head}{}{tail}", piece.repeat(pieces))
}

fn numbered(count: usize, piece: impl Fn(usize) -> String) -> String {
    (0..count).map(piece).collect()
}

fn corpus() -> Vec<String> {
    let mut corpus = vec![
        String::new(),
        "\u{feff}".to_owned(),
        "\u{feff}{a}".to_owned(),
        "# only a comment".to_owned(),
        "{a(b:\"\\uD800\")}".to_owned(),
        "{a(b:\"".to_owned(),
        "{a(b:\"\"\"".to_owned(),
        doubling(10),
        doubling(60),
        doubling(1_500),
        format!("{{r{{{}}}}}", numbered(10_000, |alias| format!("a{alias}:f,"))),
        format!("{}a{}", "{a".repeat(500), "}".repeat(500)),
        // Fans: every fragment spreads the next one as often as the limit of selections just allows.
        format!("{{...A}}fragment A on T{{{}}}fragment B on T{{{}}}", "...B".repeat(40), "a ".repeat(48)),
        format!(
            "{{...A}}fragment A on T{{{0}}}fragment B on T{{{1}}}fragment C on T{{{2}}}",
            "...B".repeat(10),
            "...C".repeat(10),
            "...D".repeat(18)
        ),
        format!(
            "{{...F0}}{}",
            numbered(8, |link| format!("fragment F{link} on T{{...F{0}...F{0}...F{0}}}", link + 1))
        ),
        // Cycles, one long and one of all fragments with all.
        numbered(1_800, |link| format!("fragment F{link} on T{{...F{}}}", (link + 1) % 1_800)),
        numbered(40, |link| {
            format!("fragment F{link} on T{{{}}}", numbered(40, |other| format!("...F{other}")))
        }),
        // Every fragment spreads all later ones.
        format!(
            "{{...F0}}{}",
            numbered(45, |link| format!(
                "fragment F{link} on T{{{}a}}",
                numbered(44 - link, |later| format!("...F{}", link + 1 + later))
            ))
        ),
        numbered(1_990, |name| format!("query Q{name}{{a}}")),
        format!(
            "{}fragment F on T{{{}}}",
            numbered(44, |name| format!("query Q{name}{{...F}}")),
            "a ".repeat(40)
        ),
    ];
    for (head, piece, tail) in [
        ("{", "{a", ""),
        ("{", "...{", ""),
        ("{r{", "__typename ", "}}"),
        ("{r{", "a ", "}}"),
        ("{r{", "...", ""),
        ("{a ", "@a", "}"),
        ("{", "a@a@a@a ", "}"),
        ("{a(b:", "[", ""),
        ("{a(b:", "{a:", ""),
        ("{a(b:[", "1 ", "])}"),
        ("{", "a(b:[[1 2]{c:3}])", "}"),
        ("{a(", "b:1 ", ")}"),
        ("query(", "$a:[[Int!]!]!=1 ", "){a}"),
        ("query($a:", "[", ""),
        ("{a(b:\"", "x", ""),
        ("{a(b:\"", "\\u00e9", "\")}"),
        ("{a(b:\"", "\\uD83D\\uDE00", "\")}"),
        ("{a(b:\"\\u{", "0", "41}\")}"),
        ("{a(b:\"\"\"", "\"\"\\\"\"\"\\", "\"\"\")}"),
        ("{a(b:\"\"\"", "\"\" ", ""),
        ("{a(b:", "\"\"", ")}"),
        ("", "\u{feff}", "{a}"),
        ("", ",", "{a}"),
        ("", "#", "\n{a}"),
        ("{a}", "#\r", ""),
        ("{a(b:", "9", ")}"),
        ("{", "x", "}"),
        ("", "}", ""),
        ("", "\u{1f600}", ""),
    ] {
        corpus.push(filled(head, piece, tail));
    }
    corpus
}

#[test]
fn no_document_of_the_corpus_costs_more_than_its_bytes() {
    for document in corpus() {
        let (steps, allowed) = work(&document);
        assert!(steps <= allowed, "{steps} steps for {} bytes: {:.80}", document.len(), document);
    }
}

#[test]
fn an_overlong_document_is_not_looked_into() {
    assert_eq!(guard(&"{".repeat(10_000_000)).unwrap_err().steps, 0);
}

/// Pieces that make random text come near the grammar.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "{",
        "}",
        "(",
        ")",
        "[",
        "]",
        ":",
        "$",
        "@",
        "!",
        "=",
        "...",
        "...on T",
        "a",
        "F",
        "query ",
        "mutation ",
        "fragment F on T",
        "fragment G on T",
        "...F ",
        "...G ",
        "1",
        "-0.5e1",
        "\"",
        "\"\"\"",
        "\\",
        "\\u",
        "\\uD800",
        "#",
        "\n",
        ",",
        "\u{feff}",
        "é",
        "null",
        "\0",
    ]);
    prop::collection::vec(piece, 0..400).prop_map(|pieces| pieces.concat())
}

/// Fragments that spread random others, more densely than documents do.
fn tangles() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::collection::vec(0_usize..60, 1..12), 1..60).prop_map(|fragments| {
        let tangle = fragments.iter().enumerate().map(|(index, spreads)| {
            // Mostly forward, which makes deep expansions; now and then anywhere, which makes cycles.
            let spreads = spreads.iter().map(|&spread| match spread {
                0 => "...A0".to_owned(),
                _ => format!("...A{}", index + 1 + spread % 3),
            });
            format!("fragment A{index} on T{{{}}}", spreads.collect::<String>())
        });
        format!("{{...A0}}{}", tangle.collect::<String>())
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn random_pieces_cost_no_more_than_their_bytes(document in pieces()) {
        let (steps, allowed) = work(&document);
        prop_assert!(steps <= allowed);
    }

    #[test]
    fn random_documents_cost_no_more_than_their_bytes(choices in prop::collection::vec(any::<u8>(), 0..2_000)) {
        let (steps, allowed) = work(&generated::document(&choices));
        prop_assert!(steps <= allowed);
    }

    #[test]
    fn tangled_fragments_cost_no_more_than_their_bytes(document in tangles()) {
        let (steps, allowed) = work(&document);
        prop_assert!(steps <= allowed);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn random_bytes_cost_no_more_than_their_number(bytes in prop::collection::vec(any::<u8>(), 0..MOST)) {
        let document = String::from_utf8_lossy(&bytes);
        let (steps, allowed) = work(&document);
        prop_assert!(steps <= allowed);
    }
}
