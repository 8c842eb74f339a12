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

/// Refuses fragment cycles, and documents whose expanded selections or uses of variables exceed the limits. Returns the
/// uses.
pub(super) fn check(document: &Document, limits: &Limits, steps: &mut Steps) -> Result<u64, Fault> {
    let counts = count_fragments(document, steps)?;
    let mut total = Count::default();
    for root in document.roots(steps) {
        total = total.plus(count(document, &root.body, &counts, steps));
        check_total(total, limits, root.at)?;
    }
    Ok(total.variable_uses)
}

/// What a selection set holds, fragments in the place of their spreads.
#[derive(Debug, Clone, Copy, Default)]
struct Count {
    selections: u64,
    variable_uses: u64,
}

impl Count {
    fn plus(self, other: Self) -> Self {
        Self {
            selections: self.selections.saturating_add(other.selections),
            variable_uses: self.variable_uses.saturating_add(other.variable_uses),
        }
    }
}

/// How much each fragment holds.
fn count_fragments(document: &Document, steps: &mut Steps) -> Result<Vec<Count>, Fault> {
    let mut counts = vec![Count::default(); document.fragments.len()];
    for index in order_fragments(document, steps)? {
        let Some(fragment) = document.fragments.get(index) else { continue };
        let count = count(document, &fragment.body, &counts, steps);
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

fn count(document: &Document, body: &Range<usize>, counts: &[Count], steps: &mut Steps) -> Count {
    let mut total = Count::default();
    for node in document.nodes.get(body.clone()).into_iter().flatten() {
        steps.take();
        total = total.plus(Count { selections: 1, variable_uses: node.variable_uses });
        if let Selection::Spread { fragment } = node.selection {
            let spread = document.fragment_index(fragment).and_then(|index| counts.get(index));
            total = total.plus(spread.copied().unwrap_or_default());
        }
    }
    total
}

fn check_total(total: Count, limits: &Limits, at: usize) -> Result<(), Fault> {
    let (what, measured, maximum) = if total.selections > limits.selections {
        let what = "This document selects too much, its fragments counted at every place that spreads them";
        (what, total.selections, limits.selections)
    } else if total.variable_uses > limits.variable_uses {
        let what =
            "This document uses variables too often, its fragments counted at every place that spreads them";
        (what, total.variable_uses, limits.variable_uses)
    } else {
        return Ok(());
    };
    Err(Fault::excess(RefusalCode::TooExpensive, Some(at), what, measured, maximum))
}
