//! The dated price book: what has been in force stays as it was; only what is to come is rewritten.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{
    model::PriceRow,
    prices::{PriceList, PriceUnit, UnitPrice},
};

/// What to do to the rows of one model, in this order.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Rewrite {
    /// Rows that never were in force.
    pub(super) deleted: Vec<Uuid>,
    /// Rows with their new end.
    pub(super) ended: Vec<(Uuid, Option<DateTime<Utc>>)>,
    pub(super) added: Vec<PriceRow>,
}

/// Compares the rows that are in force at `now` or begin later with what is wanted. A price that is in force and stays the
/// same keeps its row; a wanted beginning in the past counts as now.
pub(super) fn rewrite(
    model_id: Uuid,
    stored: &[PriceRow],
    wanted: &[PriceList],
    now: DateTime<Utc>,
    mut new_id: impl FnMut() -> Uuid,
) -> Rewrite {
    let mut rewrite = Rewrite::default();
    for unit in PriceUnit::ALL {
        let stored: Vec<&PriceRow> = stored.iter().filter(|row| row.unit == unit.as_str()).collect();
        let mut wanted: &[Span] = &spans(unit, wanted, now);
        let (current, coming): (Vec<&PriceRow>, Vec<&PriceRow>) =
            stored.into_iter().partition(|row| row.is_in_force(now));
        for row in current {
            match wanted {
                [first, rest @ ..] if first.from <= now && first.is(row) => {
                    if row.valid_to != first.to {
                        rewrite.ended.push((row.id, first.to));
                    }
                    wanted = rest;
                }
                _ => rewrite.ended.push((row.id, Some(now))),
            }
        }
        let is_same =
            wanted.len() == coming.len() && wanted.iter().zip(&coming).all(|(span, row)| span.is_all_of(row));
        if !is_same {
            rewrite.deleted.extend(coming.iter().map(|row| row.id));
            rewrite.added.extend(wanted.iter().map(|span| span.row(new_id(), model_id, unit)));
        }
    }
    rewrite
}

/// One price from one instant to another.
struct Span {
    from: DateTime<Utc>,
    to: Option<DateTime<Utc>>,
    price: UnitPrice,
}

impl Span {
    fn is(&self, row: &PriceRow) -> bool {
        (self.price.credits, self.price.cost) == (row.credits, row.cost)
    }

    fn is_all_of(&self, row: &PriceRow) -> bool {
        self.is(row) && (self.from, self.to) == (row.valid_from, row.valid_to)
    }

    fn row(&self, id: Uuid, model_id: Uuid, unit: PriceUnit) -> PriceRow {
        PriceRow {
            id,
            model_id,
            unit: unit.as_str().to_owned(),
            credits: self.price.credits,
            cost: self.price.cost,
            valid_from: self.from,
            valid_to: self.to,
        }
    }
}

/// What one unit costs from `now` on.
fn spans(unit: PriceUnit, lists: &[PriceList], now: DateTime<Utc>) -> Vec<Span> {
    let begins = |list: &PriceList| list.from.map_or(now, |from| from.max(now));
    let mut spans: Vec<Span> = Vec::new();
    let mut is_open = false;
    for (position, list) in lists.iter().enumerate() {
        let from = begins(list);
        // Another list has taken its place before now.
        if lists.get(position + 1).is_some_and(|next| begins(next) <= from) {
            continue;
        }
        let price = list.units.get(&unit).copied();
        let is_same = is_open && spans.last().map(|span| span.price) == price;
        if is_same {
            continue;
        }
        if let Some(last) = spans.last_mut().filter(|_| is_open) {
            last.to = Some(from);
        }
        is_open = price.is_some();
        spans.extend(price.map(|price| Span { from, to: None, price }));
    }
    spans
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use chrono::TimeDelta;

    use super::*;

    fn day(number: i64) -> DateTime<Utc> {
        DateTime::<Utc>::UNIX_EPOCH + TimeDelta::days(number)
    }

    fn list(from: Option<i64>, output: i64) -> PriceList {
        let price = UnitPrice { credits: output, cost: None };
        PriceList { from: from.map(day), units: BTreeMap::from([(PriceUnit::OutputToken, price)]) }
    }

    /// Carries a rewrite out, and shows the book as price, beginning and end in days.
    fn written(stored: &mut Vec<PriceRow>, lists: &[PriceList], now: i64) -> Vec<(i64, i64, Option<i64>)> {
        let open: Vec<PriceRow> =
            stored.iter().filter(|row| row.valid_to.is_none_or(|end| end > day(now))).cloned().collect();
        let rewrite = rewrite(Uuid::nil(), &open, lists, day(now), Uuid::now_v7);
        stored.retain(|row| !rewrite.deleted.contains(&row.id));
        for (id, end) in rewrite.ended {
            stored.iter_mut().filter(|row| row.id == id).for_each(|row| row.valid_to = end);
        }
        stored.extend(rewrite.added);
        let days = |at: DateTime<Utc>| (at - day(0)).num_days();
        stored.iter().map(|row| (row.credits, days(row.valid_from), row.valid_to.map(days))).collect()
    }

    #[test]
    fn the_past_stays_and_the_future_is_rewritten() {
        let mut book = Vec::new();
        assert_eq!(written(&mut book, &[list(None, 5)], 10), [(5, 10, None)]);
        assert_eq!(written(&mut book, &[list(None, 5)], 11), [(5, 10, None)]);
        let announced = [list(None, 5), list(Some(20), 7), list(Some(30), 9)];
        let expected = [(5, 10, Some(20)), (7, 20, Some(30)), (9, 30, None)];
        assert_eq!(written(&mut book, &announced, 12), expected);
        assert_eq!(written(&mut book, &announced, 25), expected, "said again later, it is the same");
        assert_eq!(written(&mut book, &[list(None, 7)], 26), [(5, 10, Some(20)), (7, 20, None)]);
        assert_eq!(
            written(&mut book, &[list(None, 1), list(Some(3), 2)], 27),
            [(5, 10, Some(20)), (7, 20, Some(27)), (2, 27, None)],
            "a beginning in the past counts as now"
        );
        let without = PriceList { from: Some(day(40)), units: BTreeMap::new() };
        assert_eq!(
            written(&mut book, &[list(None, 2), without.clone(), list(Some(50), 2)], 28),
            [(5, 10, Some(20)), (7, 20, Some(27)), (2, 27, Some(40)), (2, 50, None)]
        );
        written(&mut book, &[list(None, 2)], 29);
        assert_eq!(
            written(&mut book, &[PriceList { from: None, units: BTreeMap::new() }], 30),
            [(5, 10, Some(20)), (7, 20, Some(27)), (2, 27, Some(30))]
        );
    }
}
