//! Reads arguments, directives, values, types and variable definitions. Only their size matters here: the
//! engine reads their content.

use super::{
    RefusalCode,
    document::Arguments,
    lexer::Kind,
    parser::Parser,
    refusal::{Fault, shown},
};
use std::{collections::HashSet, hash::BuildHasher};

/// A list or object literal whose end was not met yet, and how many items it has so far.
struct OpenValue {
    end: u8,
    items: usize,
}

impl Parser<'_, '_> {
    /// `($name: Type = default @directive, …)`, each with an optional description before it.
    pub(super) fn variable_definitions(&mut self) -> Result<(), Fault> {
        self.expect(b'(')?;
        let mut found = 0;
        loop {
            found += 1;
            let what = "This operation declares too many variables";
            self.check_count(found, self.limits.variables, RefusalCode::TooExpensive, what)?;
            if self.token.kind == Kind::Text {
                self.advance()?;
            }
            self.expect(b'$')?;
            self.name("a variable")?;
            self.expect(b':')?;
            self.variable_type()?;
            if self.is_mark(b'=') {
                self.advance()?;
                self.value(true)?;
            }
            self.directives(true)?;
            if self.is_mark(b')') {
                return self.advance();
            }
        }
    }

    fn variable_type(&mut self) -> Result<(), Fault> {
        let mut open = 0;
        while self.is_mark(b'[') {
            open += 1;
            self.check_depth(open)?;
            self.advance()?;
        }
        self.name("a type")?;
        self.optional_mark(b'!')?;
        for _ in 0..open {
            self.expect(b']')?;
            self.optional_mark(b'!')?;
        }
        Ok(())
    }

    /// Any number of directives, within the limit; `constant` forbids variables in them.
    pub(super) fn directives(&mut self, constant: bool) -> Result<(), Fault> {
        let mut found = 0;
        while self.is_mark(b'@') {
            found += 1;
            let what = "There are too many directives at one place";
            self.check_count(found, self.limits.directives, RefusalCode::TooExpensive, what)?;
            self.advance()?;
            self.name("a directive")?;
            self.arguments(constant)?;
        }
        Ok(())
    }

    /// Arguments in parentheses, if any; `constant` forbids variables in them.
    pub(super) fn arguments(&mut self, constant: bool) -> Result<Arguments, Fault> {
        let mut found = Arguments::default();
        if !self.is_mark(b'(') {
            return Ok(found);
        }
        self.advance()?;
        let mut names = HashSet::new();
        loop {
            found.count += 1;
            let what = "There are too many arguments at one place";
            self.check_count(found.count, self.limits.arguments, RefusalCode::TooExpensive, what)?;
            let at = self.token.start;
            let name = self.name("an argument")?;
            if !names.insert(name) {
                return Err(Fault::validation(
                    Some(at),
                    format!("The argument {} is given twice.", shown(name)),
                ));
            }
            self.expect(b':')?;
            self.value(constant)?;
            let fingerprint = self.document.hashing.hash_one(self.text_since(at));
            found.fingerprint = found.fingerprint.wrapping_add(fingerprint);
            if self.is_mark(b')') {
                self.advance()?;
                return Ok(found);
            }
        }
    }

    fn value(&mut self, constant: bool) -> Result<(), Fault> {
        let mut open: Vec<OpenValue> = Vec::new();
        loop {
            match self.token.kind {
                Kind::Mark(mark @ (b'[' | b'{')) => {
                    self.check_depth(open.len() + 1)?;
                    open.push(OpenValue { end: if mark == b'[' { b']' } else { b'}' }, items: 0 });
                    self.advance()?;
                }
                Kind::Mark(b'$') if !constant => {
                    self.advance()?;
                    self.name("a variable")?;
                    self.variable_uses += 1;
                }
                Kind::Name => self.named_value()?,
                Kind::Number | Kind::Text => self.advance()?,
                _ => return Err(self.unexpected("a value")),
            }
            if !self.seek_next_value(&mut open)? {
                return Ok(());
            }
        }
    }

    /// Closes what ends here. Then the token is the next value of the innermost open list or object, or, with
    /// nothing left open, there is none.
    fn seek_next_value(&mut self, open: &mut Vec<OpenValue>) -> Result<bool, Fault> {
        while let Some(container) = open.last_mut() {
            if self.is_mark(container.end) {
                self.advance()?;
                open.pop();
                continue;
            }
            container.items += 1;
            let what = "A list or object has too many items";
            self.check_count(container.items, self.limits.list_items, RefusalCode::BadUserInput, what)?;
            if container.end == b'}' {
                self.name("an input field or `}`")?;
                self.expect(b':')?;
            }
            return Ok(true);
        }
        Ok(false)
    }

    /// `true`, `false`, `null` or an enum value. The engine's grammar cuts `nullable` into `null` and `able`,
    /// two items of a list; a document must not mean one thing here and another there, so such names are
    /// refused. No enum value of the schema begins so.
    fn named_value(&mut self) -> Result<(), Fault> {
        let text = self.keyword();
        for word in ["true", "false", "null"] {
            if text != word && text.starts_with(word) {
                let message = format!("The enum value {} must not begin with `{word}`.", shown(text));
                return Err(Fault::parse(self.token.start, message));
            }
        }
        self.advance()
    }

    fn optional_mark(&mut self, mark: u8) -> Result<(), Fault> {
        if self.is_mark(mark) { self.advance() } else { Ok(()) }
    }

    fn check_count(&self, count: usize, maximum: usize, code: RefusalCode, what: &str) -> Result<(), Fault> {
        if count <= maximum {
            return Ok(());
        }
        Err(Fault::excess(code, Some(self.token.start), what, count as u64, maximum as u64))
    }
}
