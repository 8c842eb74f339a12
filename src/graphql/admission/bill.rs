//! What an operation cost in the end: its price once more, over the answer that it got.
//!
//! A page counts for as many as it held. What is null counts itself, because it was looked for, and so does each of `ids`
//! that is not there; what would be below it, and what was left out, counts nothing. All else is as in the price: a list without pages counts once, with the dearest of
//! its items, and what one document asks for twice counts twice. So it is never more than the price.

use async_graphql::{Name, Value, parser::types::SelectionSet};

use super::cost::Pricing;

/// The price of an operation, with what is needed to say what it cost; a few bytes for each selected object.
#[derive(Default)]
pub struct Bill {
    requested: u64,
    /// Each before what is below it, as in the document.
    lines: Vec<Line>,
}

/// A selected field whose objects have a price, or something below them.
struct Line {
    /// In the answer.
    key: Name,
    /// Points of one object.
    weight: u64,
    /// All objects of a list count, not the dearest alone.
    is_each: bool,
    depth: usize,
    /// Index of the first line that is not below this one.
    end: usize,
}

impl Bill {
    /// Of a selection on the root type `root`.
    pub fn new<'a>(pricing: &Pricing<'a>, root: &'a str, set: &'a SelectionSet) -> Self {
        let mut bill = Self::default();
        // The lines that the next one may be below.
        let mut open: Vec<usize> = Vec::new();
        pricing.charge(root, set, &mut |charge| {
            bill.requested = bill.requested.saturating_add(charge.points);
            bill.close(&mut open, charge.depth);
            open.push(bill.lines.len());
            let (key, weight, depth) = (charge.key.clone(), charge.weight, charge.depth);
            bill.lines.push(Line { key, weight, is_each: charge.is_each, depth, end: 0 });
        });
        bill.close(&mut open, 0);
        bill
    }

    /// Notes where the lines end that are at least so deep.
    fn close(&mut self, open: &mut Vec<usize>, depth: usize) {
        let end = self.lines.len();
        while let Some(last) = open.pop_if(|last| self.lines[*last].depth >= depth) {
            self.lines[last].end = end;
        }
    }

    /// Points of all that was asked for.
    pub fn requested(&self) -> u64 {
        self.requested
    }

    /// Points of what is in the answer: one at least, and never more than what was asked for. One pass over the answer,
    /// which is read and not copied.
    pub fn actual(&self, data: &Value) -> u64 {
        self.below(0, self.lines.len(), data).max(1).min(self.requested)
    }

    /// Points of the lines from `first` to before `end` in one object.
    fn below(&self, first: usize, end: usize, value: &Value) -> u64 {
        let Value::Object(object) = value else { return 0 };
        let (mut points, mut next) = (0_u64, first);
        while let Some(line) = self.lines.get(next).filter(|_| next < end) {
            if let Some(value) = object.get(line.key.as_str()) {
                points = points.saturating_add(self.line(next, line, value));
            }
            next = line.end;
        }
        points
    }

    fn line(&self, index: usize, line: &Line, value: &Value) -> u64 {
        match value {
            // It was looked for, which is work; only what is below it was not.
            Value::Null => line.weight,
            Value::List(items) => {
                let points = items.iter().map(|item| self.line(index, line, item));
                if line.is_each { points.fold(0, u64::saturating_add) } else { points.max().unwrap_or(0) }
            }
            object => line.weight.saturating_add(self.below(index + 1, line.end, object)),
        }
    }
}
