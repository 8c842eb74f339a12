//! Random grammatical documents, drawn from a list of choices so that failures shrink.

use std::fmt::Write;

/// Writes a document of the grammar that guard and engine share. With no choices left it takes the shortest
/// form, so every list of choices gives a complete document.
pub(super) fn document(choices: &[u8]) -> String {
    let mut writer = Writer { choices: choices.iter(), text: String::new() };
    writer.document();
    writer.text
}

struct Writer<'c> {
    choices: std::slice::Iter<'c, u8>,
    text: String,
}

const NAMES: [&str; 8] = ["a", "b", "_c1", "query", "fragment", "on", "signIn", "longerName"];
const SCALARS: [&str; 14] = [
    "0",
    "-1",
    "12.5",
    "1e5",
    "-0.1E-2",
    "true",
    "null",
    "RED",
    "\"\"",
    "\"s \\\" \\u00e9\"",
    "\"\"\"b \\\"\"\" \n c\"\"\"",
    "$v",
    "[]",
    "{}",
];

impl Writer<'_> {
    fn choose(&mut self, below: u8) -> u8 {
        self.choices.next().map_or(0, |choice| choice % below)
    }

    fn pick(&mut self, texts: &[&str]) {
        let chosen = usize::from(self.choose(u8::MAX)) % texts.len();
        self.write(texts.get(chosen).copied().unwrap_or_default());
    }

    fn write(&mut self, text: &str) {
        self.text.push_str(text);
        let gap = usize::from(self.choose(6));
        self.text.push_str(["", " ", "\n", ",", " #c\r\n", "\u{feff}\t"][gap]);
    }

    /// A name, apart from the token before it.
    fn name(&mut self) {
        self.text.push(' ');
        self.pick(&NAMES);
    }

    fn document(&mut self) {
        for fragment in 0..self.choose(4) {
            let _ = write!(self.text, "fragment F{fragment} on T ");
            self.directives();
            self.selections(4);
        }
        if self.choose(2) == 0 {
            return self.selections(5);
        }
        self.pick(&["query", "mutation", "subscription"]);
        self.name();
        if self.choose(2) == 1 {
            self.variables();
        }
        self.directives();
        self.selections(5);
    }

    fn variables(&mut self) {
        self.write("(");
        for _ in 0..=self.choose(3) {
            self.write("$");
            self.name();
            self.write(":");
            self.pick(&["Int", "[T!]!", "[[T]]"]);
            match self.choose(3) {
                1 => self.write("={a:[1 RED]}"),
                2 => self.write("@d(a:1)"),
                _ => {}
            }
        }
        self.write(")");
    }

    fn directives(&mut self) {
        for _ in 0..self.choose(4).saturating_sub(1) {
            self.write("@");
            self.name();
            self.arguments();
        }
    }

    fn arguments(&mut self) {
        if self.choose(3) != 1 {
            return;
        }
        self.write("(");
        for _ in 0..=self.choose(3) {
            self.name();
            self.write(":");
            self.value(3);
        }
        self.write(")");
    }

    fn value(&mut self, depth: u8) {
        self.text.push(' ');
        match if depth == 0 { 0 } else { self.choose(6) } {
            1 => {
                self.write("[");
                for _ in 0..self.choose(4) {
                    self.value(depth - 1);
                }
                self.write("]");
            }
            2 => {
                self.write("{");
                for _ in 0..self.choose(4) {
                    self.name();
                    self.write(":");
                    self.value(depth - 1);
                }
                self.write("}");
            }
            _ => {
                self.pick(&SCALARS);
            }
        }
    }

    fn selections(&mut self, depth: u8) {
        self.write("{");
        for _ in 0..=self.choose(5) {
            self.selection(depth);
        }
        self.write("}");
    }

    fn selection(&mut self, depth: u8) {
        match self.choose(6) {
            4 => {
                self.pick(&["...F0", "...F1", "... F2", "...\nonward"]);
                self.directives();
            }
            5 if depth > 0 => {
                self.pick(&["...", "... on T", "...on,\u{feff}\nU"]);
                self.directives();
                self.selections(depth - 1);
            }
            kind => {
                self.name();
                if kind == 3 {
                    self.write(":");
                    self.name();
                }
                self.arguments();
                self.directives();
                if depth > 0 && self.choose(3) == 1 {
                    self.selections(depth - 1);
                }
            }
        }
    }
}
