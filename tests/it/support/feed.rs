//! Answers that the test feeds piece by piece, and dice that can be thrown again.

use super::provider::{Gate, Script};

/// Feeds one answer: the provider says the next piece when the test gives it.
#[derive(Debug)]
pub struct Feed {
    /// The whole answer.
    pub text: String,
    /// Ends of the pieces in bytes, each with the gate before it.
    pieces: Vec<(usize, Gate)>,
    given: usize,
}

impl Feed {
    /// An answer that says nothing until something is given.
    pub fn new(pieces: &[String]) -> (Script, Self) {
        let texts: Vec<&str> = pieces.iter().map(String::as_str).collect();
        let mut script = Script::pieces(&texts);
        let mut feed = Self { text: pieces.concat(), pieces: Vec::new(), given: 0 };
        let mut end = 0;
        for (index, piece) in pieces.iter().enumerate() {
            let gate = Gate::default();
            script = script.gate_after(index, &gate);
            end += piece.len();
            feed.pieces.push((end, gate));
        }
        (script, feed)
    }

    /// Lets the provider say `count` more pieces.
    pub fn give(&mut self, count: usize) {
        for (_, gate) in self.pieces.iter().skip(self.given).take(count) {
            gate.open();
        }
        self.given = (self.given + count).min(self.pieces.len());
    }

    /// Lets it say a piece more than the first `seen` bytes, so that there is something to wait for.
    pub fn give_after(&mut self, seen: usize) {
        while self.given < self.pieces.len() && self.given_bytes() <= seen {
            self.give(1);
        }
    }

    /// Lets it say all of it.
    pub fn give_all(&mut self) {
        self.give(self.pieces.len());
    }

    /// Bytes that the provider was allowed to say so far.
    pub fn given_bytes(&self) -> usize {
        self.given.checked_sub(1).map_or(0, |last| self.pieces[last].0)
    }
}

/// Chance that a seed repeats.
#[derive(Debug)]
pub struct Dice(u64);

impl Dice {
    /// Takes the seed of `TEST_SEED`, or a fresh one, and prints it.
    pub fn throw(test: &str) -> Self {
        let fresh = || (uuid::Uuid::now_v7().as_u128() & u128::from(u32::MAX)).to_string();
        let seed = super::cluster::variable("TEST_SEED").unwrap_or_else(fresh);
        println!("{test} TEST_SEED={seed}");
        Self(seed.parse().expect("TEST_SEED is a number"))
    }

    /// A number below `limit`, by SplitMix64.
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        bits ^= bits >> 31;
        usize::try_from(bits % u64::try_from(limit.max(1)).unwrap()).unwrap()
    }

    /// So many pieces of text in which characters have one to four bytes.
    pub fn pieces(&mut self, count: usize) -> Vec<String> {
        const ALPHABET: [&str; 12] = ["a", "Z", " ", "\n", "\"", "\\", "é", "ß", "€", "語", "🦀", "👩‍🚀"];
        let mut piece = || (0..=self.below(12)).map(|_| ALPHABET[self.below(ALPHABET.len())]).collect();
        (0..count).map(|_| piece()).collect()
    }
}
