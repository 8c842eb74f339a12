//! Walks an operation as the engine would, fragments in the place of their spreads. Only after `expansion.rs`
//! has bounded what there is to walk.

use super::{
    Limits, OperationKind, RefusalCode,
    document::{Arguments, Document, Name, Root, Selection},
    lexer::Steps,
    refusal::{Fault, shown},
};
use std::{
    collections::{HashMap, HashSet},
    ops::Range,
};

/// The mutations that try a secret. Several in one request would pass a limit that counts requests.
const SIGN_IN_FIELDS: [&str; 3] = ["signUp", "signIn", "refreshSession"];

/// A place in the answer. Fields that the answer merges, by the same key under the same parent, are one.
/// Every root has a number of its own.
type Parent = usize;

/// The rest of a selection set: its selections are fields of `parent`, at `depth`.
struct Rest {
    next: usize,
    end: usize,
    parent: Parent,
    depth: usize,
}

/// What the walks have met so far.
struct Walk<'d, 'a> {
    document: &'d Document<'a>,
    limits: &'d Limits,
    parents: usize,
    places: HashMap<(Parent, Name, Name), Parent>,
    keys_of: HashMap<(Parent, Name), usize>,
    forms: HashMap<(Parent, Name), Form>,
    conflicts: u64,
    /// The operation walked now, and its root fields.
    root: Parent,
    root_fields: Vec<Field>,
}

/// In which forms a response key of one parent was selected.
struct Form {
    first: (Name, Arguments),
    most_arguments: usize,
    /// Whether there was a form other than the first.
    mixed: bool,
}

/// A field at one of the places where the operation selects it.
struct Field {
    key: Name,
    name: Name,
    arguments: Arguments,
    at: usize,
}

/// Refuses what is too deep, selected under too many aliases or in conflict too often, everywhere in the
/// document.
/// The operation at index `chosen` is held to the limits of root fields too; their names are returned.
pub(super) fn check(
    document: &Document,
    chosen: usize,
    limits: &Limits,
    steps: &mut Steps,
) -> Result<Vec<String>, Fault> {
    let mut walk = Walk {
        document,
        limits,
        parents: 0,
        places: HashMap::new(),
        keys_of: HashMap::new(),
        forms: HashMap::new(),
        conflicts: 0,
        root: 0,
        root_fields: Vec::new(),
    };
    let mut names = Vec::new();
    for (index, root) in document.roots(steps).into_iter().enumerate() {
        walk.run(&root, steps)?;
        if let Some(operation) = document.operations.get(index).filter(|_| index == chosen) {
            names = walk.check_root_fields(operation.kind, steps)?;
        }
    }
    Ok(names)
}

impl Walk<'_, '_> {
    fn run(&mut self, root: &Root, steps: &mut Steps) -> Result<(), Fault> {
        self.parents += 1;
        self.root = self.parents;
        self.root_fields.clear();
        let Range { start: next, end } = root.body;
        let mut stack = vec![Rest { next, end, parent: self.root, depth: 1 }];
        while let Some(rest) = stack.last_mut() {
            steps.take();
            if rest.next >= rest.end {
                stack.pop();
                continue;
            }
            let Some(node) = self.document.nodes.get(rest.next) else { break };
            let inside = rest.next + 1..node.end;
            rest.next = node.end;
            let (parent, depth) = (rest.parent, rest.depth);
            self.check_nesting(stack.len(), node.at)?;
            stack.push(match node.selection {
                Selection::Field { key, name, arguments } => {
                    let field = Field { key, name, arguments, at: node.at };
                    self.check_depth(&field, depth)?;
                    self.check_conflicts(&field, parent)?;
                    let parent = self.place(field, parent)?;
                    Rest { next: inside.start, end: inside.end, parent, depth: depth + 1 }
                }
                Selection::Inline => Rest { next: inside.start, end: inside.end, parent, depth },
                Selection::Spread { fragment } => {
                    let Range { start: next, end } = self.fragment_body(fragment);
                    Rest { next, end, parent, depth }
                }
            });
        }
        Ok(())
    }

    /// The body of the fragment; empty if the document does not define it, which is the engine's to report.
    fn fragment_body(&self, name: Name) -> Range<usize> {
        let index = self.document.fragment_index(name);
        index.and_then(|index| self.document.fragments.get(index)).map_or(0..0, |found| found.body.clone())
    }

    fn check_nesting(&self, nesting: usize, at: usize) -> Result<(), Fault> {
        let maximum = self.limits.nesting;
        if nesting <= maximum {
            return Ok(());
        }
        let what = "This operation nests selection sets too deeply, seen through fragments";
        Err(Fault::excess(RefusalCode::TooDeep, Some(at), what, nesting as u64, maximum as u64))
    }

    fn check_depth(&self, field: &Field, depth: usize) -> Result<(), Fault> {
        let maximum = self.limits.depth;
        if depth <= maximum {
            return Ok(());
        }
        let what = "This operation nests fields too deeply";
        Err(Fault::excess(RefusalCode::TooDeep, Some(field.at), what, depth as u64, maximum as u64))
    }

    /// The engine compares every field with the first of its key, in every selection set around them both, and
    /// reports each argument that differs. Fields that equal the first seen here are compared with others too
    /// once there are others, hence `mixed`.
    fn check_conflicts(&mut self, field: &Field, parent: Parent) -> Result<(), Fault> {
        let form = (field.name, field.arguments);
        let fresh = Form { first: form, most_arguments: 0, mixed: false };
        let met = self.forms.entry((parent, field.key)).or_insert(fresh);
        met.most_arguments = met.most_arguments.max(field.arguments.count);
        met.mixed |= met.first != form;
        if met.mixed {
            self.conflicts = self.conflicts.saturating_add(1 + met.most_arguments as u64);
        }
        if self.conflicts <= self.limits.conflicts {
            return Ok(());
        }
        let key = shown(self.document.names.text(field.key));
        let what = format!("Fields selected as {key} and others conflict too often");
        let code = RefusalCode::ValidationFailed;
        Err(Fault::excess(code, Some(field.at), &what, self.conflicts, self.limits.conflicts))
    }

    /// Finds the place of a field in the answer, and counts its key if it is new there.
    fn place(&mut self, field: Field, parent: Parent) -> Result<Parent, Fault> {
        let next = self.parents + 1;
        let place = *self.places.entry((parent, field.key, field.name)).or_insert(next);
        if place == next {
            self.parents = next;
            let keys = self.keys_of.entry((parent, field.name)).or_default();
            *keys += 1;
            let (keys, maximum) = (*keys as u64, self.limits.aliases as u64);
            if keys > maximum {
                let name = shown(self.document.names.text(field.name));
                let what = format!("This operation selects {name} under too many aliases in one place");
                return Err(Fault::excess(RefusalCode::TooExpensive, Some(field.at), &what, keys, maximum));
            }
        }
        if parent == self.root {
            self.root_fields.push(field);
        }
        Ok(place)
    }

    fn check_root_fields(&self, kind: OperationKind, steps: &mut Steps) -> Result<Vec<String>, Fault> {
        let mut keys = HashSet::new();
        let (mut names, mut sign_ins) = (Vec::new(), 0);
        for (index, root) in self.root_fields.iter().enumerate() {
            steps.take();
            let what = "This operation has too many root fields";
            Self::check_count(index + 1, self.limits.root_fields, what, root)?;
            let name = self.document.names.text(root.name);
            if kind == OperationKind::Mutation {
                sign_ins += usize::from(SIGN_IN_FIELDS.contains(&name));
                let what = "This operation signs in too often";
                Self::check_count(sign_ins, self.limits.sign_in_fields, what, root)?;
                if !keys.insert(root.key) {
                    return Err(self.repeated_mutation(root));
                }
            }
            names.push(name.to_owned());
        }
        Ok(names)
    }

    fn check_count(count: usize, maximum: usize, what: &str, root: &Field) -> Result<(), Fault> {
        if count <= maximum {
            return Ok(());
        }
        let (count, maximum) = (count as u64, maximum as u64);
        Err(Fault::excess(RefusalCode::TooExpensive, Some(root.at), what, count, maximum))
    }

    /// The engine would run the field once for every time it is selected and merge the answers.
    fn repeated_mutation(&self, root: &Field) -> Fault {
        let key = shown(self.document.names.text(root.key));
        let message = format!("This mutation selects {key} more than once; select it once, or use aliases.");
        Fault::validation(Some(root.at), message)
    }
}
