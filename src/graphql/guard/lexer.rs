//! Cuts a document into the tokens of the GraphQL grammar, each byte read once.
//!
//! Tokens are ranges of the text; nothing is copied or unescaped. Ranges begin and end at ASCII bytes, hence
//! always on character boundaries.

use super::{refusal::Fault, strings};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// One of `! $ & ( ) : = @ [ ] { | }`.
    Mark(u8),
    Spread,
    Name,
    Number,
    Text,
    End,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Token {
    pub kind: Kind,
    pub start: usize,
    pub end: usize,
    /// Whether a comment stands between the token before and this one.
    pub after_comment: bool,
}

/// Work done, in steps: one for every turn of a loop that touches the request.
#[derive(Debug, Default)]
pub(super) struct Steps(u64);

impl Steps {
    pub fn take(&mut self) {
        self.0 = self.0.saturating_add(1);
    }

    pub fn total(&self) -> u64 {
        self.0
    }
}

/// A place in the text that only moves forward.
pub(super) struct Cursor<'a, 's> {
    pub text: &'a str,
    pub at: usize,
    pub steps: &'s mut Steps,
}

impl<'a, 's> Cursor<'a, 's> {
    pub fn new(text: &'a str, steps: &'s mut Steps) -> Self {
        Self { text, at: 0, steps }
    }

    pub fn slice(&self, token: Token) -> &'a str {
        self.text.get(token.start..token.end).unwrap_or_default()
    }

    /// The byte `ahead` of the cursor, none behind the end.
    pub fn byte(&self, ahead: usize) -> Option<u8> {
        self.text.as_bytes().get(self.at + ahead).copied()
    }

    pub fn starts_with(&self, prefix: &[u8]) -> bool {
        self.text.as_bytes().get(self.at..).is_some_and(|rest| rest.starts_with(prefix))
    }

    pub fn advance(&mut self, bytes: usize) {
        self.steps.take();
        self.at += bytes;
    }

    /// Moves over every byte that `accept` takes and says how many there were.
    pub fn skip_while(&mut self, accept: impl Fn(u8) -> bool) -> usize {
        let start = self.at;
        while self.byte(0).is_some_and(&accept) {
            self.advance(1);
        }
        self.at - start
    }

    pub fn next_token(&mut self) -> Result<Token, Fault> {
        let after_comment = self.skip_ignored();
        let start = self.at;
        let kind = match self.byte(0) {
            None => Kind::End,
            Some(b'"') => {
                strings::skip_string(self)?;
                Kind::Text
            }
            Some(b'.') if self.starts_with(b"...") => {
                self.advance(3);
                Kind::Spread
            }
            Some(byte) if is_name_start(byte) => {
                self.skip_while(is_name_continue);
                Kind::Name
            }
            Some(byte) if byte == b'-' || byte.is_ascii_digit() => {
                self.skip_number()?;
                Kind::Number
            }
            Some(mark) if b"!$&():=@[]{|}".contains(&mark) => {
                self.advance(1);
                Kind::Mark(mark)
            }
            Some(_) => return Err(self.unexpected_character()),
        };
        Ok(Token { kind, start, end: self.at, after_comment })
    }

    /// White space, line ends, commas, comments and byte order marks, which may stand between any two tokens.
    /// Says whether there was a comment.
    fn skip_ignored(&mut self) -> bool {
        let mut commented = false;
        loop {
            match self.byte(0) {
                Some(b' ' | b'\t' | b'\n' | b'\r' | b',') => self.advance(1),
                Some(b'#') => {
                    commented = true;
                    self.skip_while(|byte| byte != b'\n' && byte != b'\r');
                }
                Some(0xEF) if self.starts_with("\u{FEFF}".as_bytes()) => self.advance(3),
                _ => return commented,
            }
        }
    }

    fn skip_number(&mut self) -> Result<(), Fault> {
        let start = self.at;
        if self.byte(0) == Some(b'-') {
            self.advance(1);
        }
        if self.byte(0) == Some(b'0') {
            self.advance(1);
        } else {
            self.require_digits(start)?;
        }
        if self.byte(0) == Some(b'.') {
            self.advance(1);
            self.require_digits(start)?;
        }
        if let Some(b'e' | b'E') = self.byte(0) {
            self.advance(1);
            if let Some(b'+' | b'-') = self.byte(0) {
                self.advance(1);
            }
            self.require_digits(start)?;
        }
        // The grammar forbids what would read as two tokens: `00`, `1.2.3`, `1a`.
        match self.byte(0) {
            Some(byte) if byte == b'.' || is_name_continue(byte) => Err(invalid_number(start)),
            _ => Ok(()),
        }
    }

    fn require_digits(&mut self, start: usize) -> Result<(), Fault> {
        if self.skip_while(|byte| byte.is_ascii_digit()) == 0 { Err(invalid_number(start)) } else { Ok(()) }
    }

    fn unexpected_character(&self) -> Fault {
        let found = self.text.get(self.at..).and_then(|rest| rest.chars().next()).unwrap_or_default();
        Fault::parse(self.at, format!("The character {found:?} cannot stand here."))
    }
}

/// Line and column, from 1, of a byte offset; columns count characters.
pub(super) fn line_and_column(text: &str, at: usize) -> (u32, u32) {
    let before = text.as_bytes().get(..at).unwrap_or(text.as_bytes());
    let (mut line, mut column) = (1_u32, 1_u32);
    let mut previous = 0;
    for &byte in before {
        match byte {
            b'\n' if previous == b'\r' => {}
            b'\n' | b'\r' => (line, column) = (line.saturating_add(1), 1),
            // The further bytes of a character that is longer than one.
            0x80..=0xBF => {}
            _ => column = column.saturating_add(1),
        }
        previous = byte;
    }
    (line, column)
}

fn invalid_number(start: usize) -> Fault {
    Fault::parse(start, "This number is not well formed.")
}

fn is_name_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_'
}

fn is_name_continue(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}
