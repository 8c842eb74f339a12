//! Where a message stands in the tree of its conversation.
//!
//! Besides its parent, each message knows one ancestor further up, its *jump*. How far up depends on its depth alone, in
//! the manner of E. W. Myers, "An applicative random-access stack" (1983): from any message, any ancestor is reached in a
//! number of steps that grows with the logarithm of the depth. So a page in the middle of a branch of thousands costs
//! its own rows and a few more, and writing a message costs nothing extra.

use std::collections::BTreeMap;

use uuid::Uuid;

/// A place in a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub parent_id: Option<Uuid>,
    /// Messages before it on its branch.
    pub depth: i32,
    pub jump_id: Option<Uuid>,
    pub jump_depth: i32,
}

/// A message that others may follow, with those of its ancestors that their places are made of: its jump, the jump of
/// that, and so on, four messages in all. By depth.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Spine(BTreeMap<i32, Uuid>);

impl Spine {
    pub fn new(known: BTreeMap<i32, Uuid>) -> Self {
        Self(known)
    }

    /// The message itself; `None` before the first of a branch.
    pub fn tip(&self) -> Option<Uuid> {
        self.0.values().next_back().copied()
    }

    /// The place after the tip, and the spine with `id` there.
    pub fn follow(mut self, id: Uuid) -> (Place, Self) {
        let depth = self.0.keys().next_back().map_or(0, |depth| depth + 1);
        let jump_depth = jump_depth(depth);
        let place = Place {
            parent_id: self.tip(),
            depth,
            jump_id: self.0.get(&jump_depth).copied().filter(|_| depth > 0),
            jump_depth,
        };
        self.0.insert(depth, id);
        (place, self)
    }
}

/// Depth of the jump of a message: its own less the last of the terms 1, 3, 7, 15, ... that it is the sum of when the
/// largest is always taken first.
fn jump_depth(depth: i32) -> i32 {
    let mut rest = depth;
    let mut last = 0;
    while rest > 0 {
        last = largest_term(rest);
        rest -= last;
    }
    depth - last
}

/// The largest number of the form 2^k - 1 that is not above `n`, which is above 0.
fn largest_term(n: i32) -> i32 {
    let bits = 31 - n.saturating_add(1).leading_zeros();
    (1 << bits) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Id of the message at a depth of one long branch.
    fn id(depth: i32) -> Uuid {
        Uuid::from_u128(u128::try_from(depth).unwrap() + 1)
    }

    #[test]
    fn four_messages_of_a_branch_are_enough_for_the_places_of_the_next_two() {
        let mut places: Vec<Place> = Vec::new();
        for depth in 0..2_000 {
            let mut known = BTreeMap::new();
            let mut next = (depth > 0).then(|| depth - 1);
            for _ in 0..4 {
                let Some(depth) = next else { break };
                known.insert(depth, id(depth));
                next = (depth > 0).then(|| jump_depth(depth));
            }
            let (place, spine) = Spine::new(known).follow(id(depth));
            let (second, _) = spine.follow(id(depth + 1));
            for (place, depth) in [(place, depth), (second, depth + 1)] {
                assert_eq!(place.depth, depth);
                assert_eq!(place.parent_id, (depth > 0).then(|| id(depth - 1)));
                assert_eq!(place.jump_id, (depth > 0).then(|| id(jump_depth(depth))), "{depth}");
            }
            places.push(place);
        }
        for (from, to) in [(1_999, 0), (1_999, 1_000), (1_024, 3), (700, 699), (5, 5)] {
            let (mut at, mut steps) = (from, 0);
            while at > to {
                let place = places[usize::try_from(at).unwrap()];
                at = if place.jump_depth >= to { place.jump_depth } else { at - 1 };
                steps += 1;
            }
            assert_eq!(at, to);
            assert!(steps <= 2 * 11, "{from} to {to}: {steps} steps");
        }
    }

    #[test]
    fn the_first_of_a_branch_follows_nothing() {
        let (place, spine) = Spine::default().follow(id(0));
        assert_eq!(place, Place { parent_id: None, depth: 0, jump_id: None, jump_depth: 0 });
        assert_eq!(spine.tip(), Some(id(0)));
    }
}
