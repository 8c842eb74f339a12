//! Reads the definitions and selection sets of a document; `values.rs` reads what stands between them.
//!
//! Nothing here recurses: open selection sets and open values lie on explicit stacks, which the limits bound.
//! What the document holds too much of is refused at the first one too many, so memory is bounded by the
//! limits as well as by the document.

use super::{
    Limits, OperationKind, RefusalCode,
    document::{Document, Fragment, Node, Operation, Selection},
    lexer::{Cursor, Kind, Steps, Token},
    refusal::{Fault, shown},
};
use std::ops::Range;

pub(super) struct Parser<'a, 'c> {
    cursor: Cursor<'a, 'c>,
    /// The token not yet consumed.
    pub(super) token: Token,
    /// The byte behind the token consumed last.
    consumed: usize,
    /// Uses of variables since the selection added last.
    pub(super) variable_uses: u64,
    pub(super) limits: &'c Limits,
    pub(super) document: Document<'a>,
}

/// A selection set whose closing brace was not met yet.
struct OpenSet {
    /// The field or inline fragment it belongs to; none for the body of a definition.
    owner: Option<usize>,
    first: usize,
}

/// Parses the text, or says where it leaves the grammar or the limits.
pub(super) fn parse<'a>(text: &'a str, limits: &Limits, steps: &mut Steps) -> Result<Document<'a>, Fault> {
    let mut cursor = Cursor::new(text, steps);
    let token = cursor.next_token()?;
    let mut parser =
        Parser { cursor, token, consumed: 0, variable_uses: 0, limits, document: Document::default() };
    if parser.token.kind == Kind::End {
        return Err(parser.unexpected("an operation"));
    }
    while parser.token.kind != Kind::End {
        parser.definition()?;
    }
    Ok(parser.document)
}

impl<'a> Parser<'a, '_> {
    fn definition(&mut self) -> Result<(), Fault> {
        let at = self.token.start;
        if self.is_mark(b'{') {
            let body = self.selection_set()?;
            self.document.operations.push(Operation { kind: OperationKind::Query, name: None, at, body });
            return Ok(());
        }
        // The September 2025 edition lets descriptions precede definitions that begin with a keyword.
        if self.token.kind == Kind::Text {
            self.advance()?;
        }
        let kind = match self.keyword() {
            "query" => OperationKind::Query,
            "mutation" => OperationKind::Mutation,
            "subscription" => OperationKind::Subscription,
            "fragment" => return self.fragment(at),
            "schema" | "scalar" | "type" | "interface" | "union" | "enum" | "input" | "directive"
            | "extend" => {
                return Err(Fault::parse(
                    at,
                    "A request holds operations and fragments, not type definitions.",
                ));
            }
            _ => return Err(self.unexpected("`query`, `mutation`, `subscription` or `fragment`")),
        };
        self.advance()?;
        let name = match self.token.kind {
            Kind::Name => Some(self.name("a name")?),
            _ => None,
        };
        if self.is_mark(b'(') {
            self.variable_definitions()?;
        }
        self.directives(false)?;
        let body = self.selection_set()?;
        let name = name.map(|text| self.document.names.intern(text));
        self.document.operations.push(Operation { kind, name, at, body });
        Ok(())
    }

    fn fragment(&mut self, at: usize) -> Result<(), Fault> {
        let maximum = self.limits.fragments;
        if self.document.fragments.len() == maximum {
            let measured = maximum as u64 + 1;
            let what = "This document defines too many fragments";
            return Err(Fault::excess(RefusalCode::TooExpensive, Some(at), what, measured, maximum as u64));
        }
        self.advance()?;
        if self.keyword() == "on" {
            return Err(self.unexpected("the name of the fragment"));
        }
        let text = self.name("the name of the fragment")?;
        if self.keyword() != "on" {
            return Err(self.unexpected("`on` and a type"));
        }
        self.type_condition()?;
        self.directives(false)?;
        let body = self.selection_set()?;
        let name = self.document.names.intern(text);
        if self.document.add_fragment(name, Fragment { at, body }) {
            return Ok(());
        }
        Err(Fault::validation(Some(at), format!("The fragment {} is defined twice.", shown(text))))
    }

    /// Reads from an opening brace to the brace that closes it, all sets inside included.
    fn selection_set(&mut self) -> Result<Range<usize>, Fault> {
        let start = self.document.nodes.len();
        self.expect(b'{')?;
        let mut open = vec![OpenSet { owner: None, first: start }];
        let mut open_fields = 0;
        while let Some(set) = open.last() {
            let opened = match self.token.kind {
                Kind::Mark(b'}') => {
                    if set.first == self.document.nodes.len() {
                        return Err(self.unexpected("a field"));
                    }
                    self.advance()?;
                    open_fields -= usize::from(self.close(set.owner));
                    open.pop();
                    None
                }
                Kind::Name => {
                    self.check_depth(open_fields + 1)?;
                    let field = self.field()?;
                    open_fields += usize::from(field.is_some());
                    field
                }
                Kind::Spread => self.spread()?,
                _ => return Err(self.unexpected("a field or `}`")),
            };
            if let Some(owner) = opened {
                open.push(OpenSet { owner: Some(owner), first: self.document.nodes.len() });
                self.check_braces(open.len())?;
            }
        }
        Ok(start..self.document.nodes.len())
    }

    /// Ends the selection the closed set belongs to, and says whether that is a field.
    fn close(&mut self, owner: Option<usize>) -> bool {
        let end = self.document.nodes.len();
        let Some(node) = owner.and_then(|owner| self.document.nodes.get_mut(owner)) else { return false };
        node.end = end;
        matches!(node.selection, Selection::Field { .. })
    }

    /// Returns the index of the field if a selection set was opened.
    fn field(&mut self) -> Result<Option<usize>, Fault> {
        let at = self.token.start;
        let mut text = self.name("a field")?;
        let key = self.document.names.intern(text);
        if self.is_mark(b':') {
            self.advance()?;
            text = self.name("a field")?;
        }
        let name = self.document.names.intern(text);
        let arguments = self.arguments(false)?;
        self.directives(false)?;
        let index = self.add(Selection::Field { key, name, arguments }, at)?;
        if !self.is_mark(b'{') {
            return Ok(None);
        }
        self.advance()?;
        Ok(Some(index))
    }

    /// Reads a fragment spread or the head of an inline fragment, whose index it returns.
    fn spread(&mut self) -> Result<Option<usize>, Fault> {
        let at = self.token.start;
        self.advance()?;
        if self.token.kind == Kind::Name && self.keyword() != "on" {
            let text = self.name("a fragment")?;
            let fragment = self.document.names.intern(text);
            self.directives(false)?;
            self.add(Selection::Spread { fragment }, at)?;
            return Ok(None);
        }
        if self.token.kind == Kind::Name {
            self.type_condition()?;
        }
        self.directives(false)?;
        self.expect(b'{')?;
        self.add(Selection::Inline, at).map(Some)
    }

    /// Reads `on Type`. Behind `...` and with a comment between the two, the engine takes `on` for the name of a
    /// fragment and the type for a field; a document must not mean one thing here and another there.
    fn type_condition(&mut self) -> Result<(), Fault> {
        self.advance()?;
        let at = self.token.start;
        if self.token.after_comment {
            return Err(Fault::parse(at, "No comment may stand between `on` and the type."));
        }
        self.name("a type").map(|_| ())
    }

    /// Every fragment must be used for a document to be valid, so what is written is a lower bound of what is
    /// selected, and the limit of the one refuses the other early.
    fn add(&mut self, selection: Selection, at: usize) -> Result<usize, Fault> {
        let index = self.document.nodes.len();
        let (written, maximum) = (index as u64 + 1, self.limits.selections);
        if written > maximum {
            let what = "This document selects too much";
            return Err(Fault::excess(RefusalCode::TooExpensive, Some(at), what, written, maximum));
        }
        let variable_uses = std::mem::take(&mut self.variable_uses);
        self.document.nodes.push(Node { selection, end: index + 1, variable_uses, at });
        Ok(index)
    }

    pub(super) fn check_depth(&self, depth: usize) -> Result<(), Fault> {
        self.check_nesting(depth, self.limits.depth, "This document nests fields or values too deeply")
    }

    /// The engine's grammar recurses for every open brace, inline fragments included.
    fn check_braces(&self, open: usize) -> Result<(), Fault> {
        let maximum = self.limits.depth.saturating_mul(2);
        self.check_nesting(open, maximum, "This document nests selection sets too deeply")
    }

    fn check_nesting(&self, depth: usize, maximum: usize, what: &str) -> Result<(), Fault> {
        if depth <= maximum {
            return Ok(());
        }
        let at = Some(self.token.start);
        Err(Fault::excess(RefusalCode::TooDeep, at, what, depth as u64, maximum as u64))
    }

    pub(super) fn is_mark(&self, mark: u8) -> bool {
        self.token.kind == Kind::Mark(mark)
    }

    /// The text of the token if it is a name, else nothing.
    pub(super) fn keyword(&self) -> &'a str {
        if self.token.kind == Kind::Name { self.cursor.slice(self.token) } else { "" }
    }

    pub(super) fn advance(&mut self) -> Result<(), Fault> {
        self.cursor.steps.take();
        self.consumed = self.token.end;
        self.token = self.cursor.next_token()?;
        let length = self.token.end - self.token.start;
        if self.token.kind == Kind::Name && length > self.limits.name_bytes {
            let (length, maximum) = (length as u64, self.limits.name_bytes as u64);
            let (code, at) = (RefusalCode::TooExpensive, Some(self.token.start));
            return Err(Fault::excess(code, at, "This name has too many bytes", length, maximum));
        }
        Ok(())
    }

    pub(super) fn expect(&mut self, mark: u8) -> Result<(), Fault> {
        if !self.is_mark(mark) {
            return Err(self.unexpected(&format!("`{}`", char::from(mark))));
        }
        self.advance()
    }

    /// Consumes a name and returns it.
    pub(super) fn name(&mut self, wanted: &str) -> Result<&'a str, Fault> {
        if self.token.kind != Kind::Name {
            return Err(self.unexpected(wanted));
        }
        let name = self.cursor.slice(self.token);
        self.advance()?;
        Ok(name)
    }

    /// The document from there to the token consumed last.
    pub(super) fn text_since(&self, start: usize) -> &'a str {
        self.cursor.text.get(start..self.consumed).unwrap_or_default()
    }

    pub(super) fn unexpected(&self, wanted: &str) -> Fault {
        let found = match self.token.kind {
            Kind::End => "the end of the document".to_owned(),
            Kind::Text => "a string".to_owned(),
            _ => shown(self.cursor.slice(self.token)),
        };
        Fault::parse(self.token.start, format!("Expected {wanted}, found {found}."))
    }
}
