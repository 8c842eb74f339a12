//! Every limit: what is just within it passes, one more is refused with the code and the numbers.

use super::guard;
use loquent::graphql::guard::{Limits, RefusalCode, check};

pub(super) fn refused(document: &str, code: RefusalCode, measured: u64, maximum: u64) {
    let numbers = format!(" ({measured}); the limit is {maximum}.");
    let seen = guard(document).err().map(|refusal| {
        assert!(refusal.message.ends_with(&numbers), "{refusal:?}");
        (refusal.code, refusal.measured, refusal.maximum)
    });
    assert_eq!(seen, Some((code, Some(measured), Some(maximum))), "{document:.200}");
}

/// `a{a{…}}`, without the outermost braces.
fn nested(depth: usize) -> String {
    format!("{}a{}", "a{".repeat(depth - 1), "}".repeat(depth - 1))
}

#[test]
fn fields_nest_sixteen_deep() {
    assert!(guard(&format!("{{{}}}", nested(16))).is_ok());
    refused(&format!("{{{}}}", nested(17)), RefusalCode::TooDeep, 17, 16);
    refused(&format!("{{{}}}", nested(500)), RefusalCode::TooDeep, 17, 16);
}

#[test]
fn depth_is_seen_through_fragments() {
    let document = |depth| {
        format!("{{a{{...{{b{{...F}}}}}}}} fragment F on T{{...G}} fragment G on T{{{}}}", nested(depth))
    };
    assert!(guard(&document(14)).is_ok());
    refused(&document(15), RefusalCode::TooDeep, 17, 16);
}

#[test]
fn depth_holds_for_operations_that_will_not_run() {
    let document = format!("query A{{a}} query B{{b{{b{{...F}}}}}} fragment F on T{{{}}}", nested(15));
    let refusal = check(&document, Some("A"), &Limits::default()).unwrap_err();
    assert_eq!(refusal.code, RefusalCode::TooDeep);
}

#[test]
fn open_braces_nest_thirty_two_deep() {
    let document = |inline: usize| format!("{{{}a{}}}", "...{".repeat(inline), "}".repeat(inline));
    assert!(guard(&document(31)).is_ok());
    refused(&document(32), RefusalCode::TooDeep, 33, 32);
}

#[test]
fn values_and_types_nest_sixteen_deep() {
    let list = |depth: usize| format!("{{f(a:{}{})}}", "[".repeat(depth), "]".repeat(depth));
    let object = |depth: usize| format!("{{f(a:{}1{})}}", "{a:".repeat(depth), "}".repeat(depth));
    let default = |depth: usize| format!("query($a:A={}{}){{a}}", "[".repeat(depth), "]".repeat(depth));
    let typed = |depth: usize| format!("query($a:{}A{}){{a}}", "[".repeat(depth), "]".repeat(depth));
    for document in [list, object, default, typed] {
        assert!(guard(&document(16)).is_ok());
        refused(&document(17), RefusalCode::TooDeep, 17, 16);
    }
}

#[test]
fn written_selections_are_counted() {
    assert!(guard(&format!("{{r{{{}}}}}", "__typename ".repeat(1_999))).is_ok());
    refused(&format!("{{r{{{}}}}}", "__typename ".repeat(2_000)), RefusalCode::TooExpensive, 2_001, 2_000);
}

#[test]
fn selections_are_counted_where_fragments_are_spread() {
    let document = |spreads: usize| {
        format!("{{r{{{}}}}} fragment F on T{{{}}}", "...F ".repeat(spreads), "a ".repeat(99))
    };
    assert!(guard(&document(19)).is_ok());
    refused(&document(20), RefusalCode::TooExpensive, 2_001, 2_000);
}

#[test]
fn selections_of_all_operations_are_added() {
    let document =
        format!("query A{{r{{...F}}}} query B{{r{{...F}}}} fragment F on T{{{}}}", "a ".repeat(999));
    let refusal = check(&document, Some("A"), &Limits::default()).unwrap_err();
    assert_eq!((refusal.code, refusal.measured), (RefusalCode::TooExpensive, Some(2_002)));
}

#[test]
fn unused_fragments_are_counted_like_operations() {
    let fragments = "fragment F on T{...G ...G ...G} fragment G on T";
    assert!(guard(&format!("{{a}} {fragments}{{{}}}", "a ".repeat(665))).is_ok());
    refused(&format!("{{a}} {fragments}{{{}}}", "a ".repeat(666)), RefusalCode::TooExpensive, 2_002, 2_000);
    refused(&format!("{{a}} fragment F on T{{{}}}", nested(17)), RefusalCode::TooDeep, 17, 16);
}

/// `f` with so many arguments, then so many without.
fn conflicting(arguments: usize, without: usize) -> String {
    let arguments: String = (0..arguments).map(|name| format!("a{name}:1 ")).collect();
    format!("f({arguments}) {}", "f ".repeat(without))
}

#[test]
fn conflicting_fields_have_two_hundred_differences() {
    for frame in
        ["{r{#}}", "{r{...on A{...{#}}}}", "{a} fragment F on T{#}", "{r{...F f}} fragment F on T{#}"]
    {
        let with = |without| frame.replace('#', &conflicting(19, without));
        assert!(guard(&with(9)).is_ok(), "{frame}");
        refused(&with(11), RefusalCode::ValidationFailed, 220, 200);
    }
}

#[test]
fn equal_fields_after_a_different_one_are_differences_too() {
    let document = |equal: usize| format!("{{r{{f {}{}}}}}", "...on A{f(a:1)}", "f ".repeat(equal));
    assert!(guard(&document(99)).is_ok());
    refused(&document(100), RefusalCode::ValidationFailed, 202, 200);
}

#[test]
fn equal_arguments_in_any_order_are_no_difference() {
    let document = format!("{{r{{f(a:1 b:[2,{{c:3}}]) {}}}}}", "f(b:[2,{c:3}] a:1) ".repeat(500));
    assert!(guard(&document).is_ok());
}

#[test]
fn an_argument_is_given_once() {
    for document in ["{f(a:1 a:1)}", "{f @d(a:1 b:2 a:3)}"] {
        assert_eq!(guard(document).unwrap_err().code, RefusalCode::ValidationFailed);
    }
}

#[test]
fn doubling_fragments_do_not_overflow_the_count() {
    for links in [10, 20, 60] {
        let limits = Limits { fragments: 100, ..Limits::default() };
        let refusal = check(&doubling(links), None, &limits).unwrap_err();
        assert_eq!(refusal.code, RefusalCode::TooExpensive, "{refusal:?}");
    }
    let unlimited = Limits { fragments: 100, selections: u64::MAX - 1, ..Limits::default() };
    let refusal = check(&doubling(80), None, &unlimited).unwrap_err();
    assert_eq!((refusal.code, refusal.measured), (RefusalCode::TooExpensive, Some(u64::MAX)));
}

/// A chain of fragments that each spread the next one twice.
pub(super) fn doubling(links: usize) -> String {
    let chain: String =
        (0..links).map(|link| format!("fragment F{link} on T{{...F{0} ...F{0}}}", link + 1)).collect();
    format!("{{...F0}} {chain} fragment F{links} on T{{a}}")
}

fn aliases(count: usize) -> String {
    (0..count).map(|alias| format!("a{alias}:f ")).collect()
}

#[test]
fn a_field_has_fifteen_aliases_in_one_place() {
    let document = |count| format!("{{r{{{}}}}}", aliases(count));
    assert!(guard(&document(15)).is_ok());
    refused(&document(16), RefusalCode::TooExpensive, 16, 15);
    refused(&document(1_000), RefusalCode::TooExpensive, 16, 15);
}

#[test]
fn the_plain_name_is_a_key_like_an_alias() {
    refused(&format!("{{r{{f {}}}}}", aliases(15)), RefusalCode::TooExpensive, 16, 15);
}

#[test]
fn the_same_key_again_is_no_further_alias() {
    assert!(guard(&format!("{{r{{{0}{0}...F}}}} fragment F on T{{{0}{0}}}", aliases(15))).is_ok());
}

#[test]
fn other_fields_and_other_parents_have_aliases_of_their_own() {
    let fifteen = aliases(15);
    assert!(guard(&format!("{{r{{{fifteen}}} s{{{fifteen}}} t:r{{{fifteen}}}}}")).is_ok());
    assert!(guard(&format!("{{r{{{fifteen} {}}}}}", fifteen.replace('a', "b").replace(":f", ":g"))).is_ok());
}

#[test]
fn parents_merged_in_the_answer_share_their_aliases() {
    let split = "{r{...{b:f}} ...F} fragment F on T{r{";
    refused(&format!("{split}{}}}}}", aliases(15)), RefusalCode::TooExpensive, 16, 15);
}

#[test]
fn an_operation_has_ten_root_fields() {
    let document = |count: usize| format!("{{...F}} fragment F on T{{{}}}", "a ".repeat(count));
    assert!(guard(&document(10)).is_ok());
    refused(&document(11), RefusalCode::TooExpensive, 11, 10);
}

#[test]
fn only_the_chosen_operation_is_held_to_its_root_fields() {
    let document = format!("query A{{a}} query B{{{}}} mutation C{{c c}}", "a ".repeat(11));
    let choose = |name| check(&document, Some(name), &Limits::default());
    assert!(choose("A").is_ok());
    assert_eq!(choose("B").unwrap_err().code, RefusalCode::TooExpensive);
    assert_eq!(choose("C").unwrap_err().code, RefusalCode::ValidationFailed);
}

#[test]
fn one_attempt_to_sign_in_passes_and_two_do_not() {
    assert!(guard("mutation{signIn(a:1){a} other}").is_ok());
    assert!(guard("{a:signIn b:signIn}").is_ok());
    for document in [
        "mutation{a:signIn b:signIn}",
        "mutation{signUp signIn}",
        "mutation{refreshSession ...F} fragment F on Mutation{...{signIn}}",
        "mutation{signIn signIn}",
    ] {
        refused(document, RefusalCode::TooExpensive, 2, 1);
    }
}

#[test]
fn a_mutation_selected_twice_under_one_key_is_refused() {
    for document in [
        "mutation{send{a} send{b}}",
        "mutation{send{a} ...{send{b}}}",
        "mutation{...F ...F} fragment F on M{send{a}}",
        "mutation{send:a send:b}",
    ] {
        let refusal = guard(document).unwrap_err();
        assert_eq!(refusal.code, RefusalCode::ValidationFailed, "{document}");
        assert!(refusal.message.contains("`send`"), "{refusal:?}");
    }
    assert!(guard("mutation{a:send{a a} b:send{a}}").is_ok());
    assert!(guard("{viewer{a} viewer{b}}").is_ok());
}

#[test]
fn a_document_defines_fifty_fragments() {
    let document = |count: usize| {
        let fragments: String = (0..count).map(|name| format!("fragment F{name} on T{{a}}")).collect();
        format!("{{a}}{fragments}")
    };
    assert!(guard(&document(50)).is_ok());
    refused(&document(51), RefusalCode::TooExpensive, 51, 50);
}

#[test]
fn one_place_has_ten_directives() {
    for document in
        ["query{a @}", "query @{a}", "{...F @}", "{... @{a}}", "query($a:A @){a}", "{a}fragment F on T @{a}"]
    {
        let with = |count: usize| document.replace('@', &"@d(a:1) ".repeat(count));
        assert!(guard(&with(10)).is_ok(), "{document}");
        refused(&with(11), RefusalCode::TooExpensive, 11, 10);
    }
    assert!(guard("{a @a @b @c @d @e @f b @a @b @c @d @e @f}").is_ok());
}

#[test]
fn one_place_has_thirty_arguments() {
    for document in ["{f(#)}", "{f @d(#)}"] {
        let arguments = |count: usize| (0..count).map(|name| format!("a{name}:1 ")).collect::<String>();
        let with = |count: usize| document.replace('#', &arguments(count));
        assert!(guard(&with(30)).is_ok());
        refused(&with(31), RefusalCode::TooExpensive, 31, 30);
    }
}

#[test]
fn a_literal_has_a_hundred_items() {
    for (document, item) in [("{f(a:[#])}", "1 "), ("{f(a:{#})}", "a:1 "), ("{f(a:[[#] 1])}", "[] ")] {
        let with = |count: usize| document.replace('#', &item.repeat(count));
        assert!(guard(&with(100)).is_ok());
        refused(&with(101), RefusalCode::BadUserInput, 101, 100);
    }
}

#[test]
fn a_document_has_64_kibibytes() {
    let document = |bytes: usize| format!("{{a}}{}", " ".repeat(bytes - 3));
    assert!(guard(&document(65_536)).is_ok());
    refused(&document(65_537), RefusalCode::TooExpensive, 65_537, 65_536);
}

#[test]
fn a_long_name_is_cut_in_messages() {
    let refusal = guard(&format!("{{a}} {}", "x".repeat(60_000))).unwrap_err();
    assert!(refusal.message.len() < 200, "{}", refusal.message);
    let refusal = check("{a}", Some(&"é".repeat(60_000)), &Limits::default()).unwrap_err();
    assert!(refusal.message.len() < 200, "{}", refusal.message);
}
