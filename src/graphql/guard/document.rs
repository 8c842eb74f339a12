//! A parsed document, reduced to what the limits need: who selects what.
//!
//! All selections of the document lie in one list, parents before their children, each with the index where
//! its children end. A selection set is a range of that list, so walking it needs neither recursion nor a
//! box for every node.

use super::{OperationKind, lexer::Steps};
use std::{
    collections::{HashMap, HashSet},
    hash::RandomState,
    ops::Range,
};

/// An interned name: equal names have equal numbers, so that each is hashed once however often it is met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Name(usize);

#[derive(Debug, Default)]
pub(super) struct Names<'a> {
    numbers: HashMap<&'a str, usize>,
    texts: Vec<&'a str>,
}

impl<'a> Names<'a> {
    pub fn intern(&mut self, text: &'a str) -> Name {
        Name(*self.numbers.entry(text).or_insert_with(|| {
            self.texts.push(text);
            self.texts.len() - 1
        }))
    }

    pub fn text(&self, name: Name) -> &'a str {
        self.texts.get(name.0).copied().unwrap_or_default()
    }
}

/// The arguments of a field, as far as telling apart what was written differently needs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Arguments {
    pub count: usize,
    /// The same for the same arguments in any order; keyed at random, so that nobody can prepare two lists
    /// that seem equal.
    pub fingerprint: u64,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Selection {
    /// `key` is the response key: the alias, or the name again.
    Field {
        key: Name,
        name: Name,
        arguments: Arguments,
    },
    Inline,
    Spread {
        fragment: Name,
    },
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Node {
    pub selection: Selection,
    /// Index behind the last selection inside this one.
    pub end: usize,
    /// Uses of variables in its arguments and directives; those of a definition are with its first selection.
    pub variable_uses: u64,
    /// Byte offset in the document.
    pub at: usize,
}

#[derive(Debug)]
pub(super) struct Operation {
    pub kind: OperationKind,
    pub name: Option<Name>,
    pub at: usize,
    pub body: Range<usize>,
}

#[derive(Debug)]
pub(super) struct Fragment {
    pub at: usize,
    pub body: Range<usize>,
}

#[derive(Debug, Default)]
pub(super) struct Document<'a> {
    pub names: Names<'a>,
    pub nodes: Vec<Node>,
    pub operations: Vec<Operation>,
    pub fragments: Vec<Fragment>,
    /// Keys the fingerprints.
    pub hashing: RandomState,
    fragment_of: HashMap<Name, usize>,
}

/// A selection set that no other leads to.
#[derive(Debug)]
pub(super) struct Root {
    pub at: usize,
    pub body: Range<usize>,
}

impl Document<'_> {
    /// The operations, in their order, and then the fragments that nothing spreads: together they lead to all
    /// selections of the document, unless fragments form a cycle.
    pub fn roots(&self, steps: &mut Steps) -> Vec<Root> {
        let mut spread = HashSet::new();
        for node in &self.nodes {
            steps.take();
            if let Selection::Spread { fragment } = node.selection {
                spread.extend(self.fragment_index(fragment));
            }
        }
        let operations = self.operations.iter().map(|found| (found.at, &found.body));
        let unused = self.fragments.iter().enumerate().filter(|(index, _)| !spread.contains(index));
        let unused = unused.map(|(_, found)| (found.at, &found.body));
        operations.chain(unused).map(|(at, body)| Root { at, body: body.clone() }).collect()
    }

    /// Index of the fragment of that name, if the document defines it.
    pub fn fragment_index(&self, name: Name) -> Option<usize> {
        self.fragment_of.get(&name).copied()
    }

    /// Says whether the name was free.
    pub fn add_fragment(&mut self, name: Name, fragment: Fragment) -> bool {
        let free = self.fragment_of.insert(name, self.fragments.len()).is_none();
        self.fragments.push(fragment);
        free
    }
}
