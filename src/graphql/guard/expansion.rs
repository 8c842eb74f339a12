//! Counts what a document selects once its fragments stand in the place of their spreads, without putting
//! them there: a chain of 60 fragments that each spread the next one twice selects 2^60 fields.
//!
//! Fragments are taken in an order in which each comes after all it spreads, so that each body is read once
//! and no order exists exactly if the fragments form a cycle.

use super::{
    Limits, RefusalCode,
    document::{Document, Selection},
    lexer::Steps,
    refusal::Fault,
};
use std::ops::Range;

/// Refuses fragment cycles, and documents whose expanded selections exceed the limit.
pub(super) fn check(document: &Document, limits: &Limits, steps: &mut Steps) -> Result<(), Fault> {
    let counts = count_fragments(document, steps)?;
    let mut total = 0_u64;
    for root in document.roots(steps) {
        total = total.saturating_add(count_selections(document, &root.body, &counts, steps));
        check_total(total, limits, root.at)?;
    }
    Ok(())
}

/// How much each fragment selects.
fn count_fragments(document: &Document, steps: &mut Steps) -> Result<Vec<u64>, Fault> {
    let mut counts = vec![0; document.fragments.len()];
    for index in order_fragments(document, steps)? {
        let Some(fragment) = document.fragments.get(index) else { continue };
        let count = count_selections(document, &fragment.body, &counts, steps);
        if let Some(slot) = counts.get_mut(index) {
            *slot = count;
        }
    }
    Ok(counts)
}

/// Indices of all fragments, each after those it spreads.
fn order_fragments(document: &Document, steps: &mut Steps) -> Result<Vec<usize>, Fault> {
    // `spreaders[f]` names a fragment once for every spread of `f` in it; `waits[f]` counts the spreads in
    // `f` of fragments that are not in the order yet.
    let mut spreaders = vec![Vec::new(); document.fragments.len()];
    let mut waits = vec![0_usize; document.fragments.len()];
    for (index, (fragment, count)) in document.fragments.iter().zip(&mut waits).enumerate() {
        for spread in spread_fragments(document, &fragment.body, steps) {
            *count += 1;
            if let Some(spreaders) = spreaders.get_mut(spread) {
                spreaders.push(index);
            }
        }
    }
    let mut order: Vec<usize> = (0..waits.len()).filter(|&index| waits.get(index) == Some(&0)).collect();
    let mut done = 0;
    while let Some(&index) = order.get(done) {
        done += 1;
        for &spreader in spreaders.get(index).into_iter().flatten() {
            steps.take();
            let Some(count) = waits.get_mut(spreader) else { continue };
            *count -= 1;
            if *count == 0 {
                order.push(spreader);
            }
        }
    }
    match waits.iter().position(|&count| count > 0) {
        None => Ok(order),
        Some(stuck) => {
            let at = document.fragments.get(stuck).map(|fragment| fragment.at);
            Err(Fault::validation(at, "This fragment spreads itself, or one that does."))
        }
    }
}

/// The defined fragments that a selection set spreads; undefined ones are the engine's to report.
fn spread_fragments(document: &Document, body: &Range<usize>, steps: &mut Steps) -> Vec<usize> {
    let mut found = Vec::new();
    for node in document.nodes.get(body.clone()).into_iter().flatten() {
        steps.take();
        if let Selection::Spread { fragment } = node.selection {
            found.extend(document.fragment_index(fragment));
        }
    }
    found
}

fn count_selections(document: &Document, body: &Range<usize>, counts: &[u64], steps: &mut Steps) -> u64 {
    spread_fragments(document, body, steps)
        .iter()
        .filter_map(|&index| counts.get(index))
        .fold(body.len() as u64, |total, &count| total.saturating_add(count))
}

fn check_total(total: u64, limits: &Limits, at: usize) -> Result<(), Fault> {
    if total <= limits.selections {
        return Ok(());
    }
    let what = "This document selects too much, its fragments counted at every place that spreads them";
    Err(Fault::excess(RefusalCode::TooExpensive, Some(at), what, total, limits.selections))
}
