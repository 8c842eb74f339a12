//! What a client and its server say, message by message.

use std::collections::HashMap;

use super::Flight;

/// `SSLRequest` without its length.
const ASK_FOR_TLS: [u8; 4] = 80_877_103_u32.to_be_bytes();

/// What one client says, message by message.
#[derive(Default)]
pub(super) struct ClientReader {
    is_started: bool,
    unread: Vec<u8>,
    /// Texts of prepared statements by name.
    statements: HashMap<Vec<u8>, String>,
    next: Option<Flight>,
}

impl ClientReader {
    /// Takes the next bytes and returns the flights that are whole with them.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Vec<Flight> {
        self.unread.extend_from_slice(bytes);
        let mut found = Vec::new();
        loop {
            // The first message has no type.
            let head = usize::from(self.is_started);
            let Some(size) = self.unread.get(head..head + 4) else { return found };
            let end = head + u32::from_be_bytes(size.try_into().unwrap()) as usize;
            if self.unread.len() < end {
                return found;
            }
            let message: Vec<u8> = self.unread.drain(..end).collect();
            if self.is_started {
                found.extend(self.take(message[0], &message[5..]));
            } else {
                // Who asks for TLS says hello again after the answer, which is no: the server of the tests has none.
                self.is_started = message[4..] != ASK_FOR_TLS;
            }
        }
    }

    fn take(&mut self, kind: u8, body: &[u8]) -> Option<Flight> {
        let flight = |sql: String| Flight { sql, is_preparation: false, values: Vec::new(), wave: 0 };
        match kind {
            b'P' => {
                let (name, rest) = split_text(body);
                let sql = String::from_utf8_lossy(split_text(rest).0).into_owned();
                self.statements.insert(name.to_vec(), sql.clone());
                self.next = Some(Flight { is_preparation: true, ..flight(sql) });
                None
            }
            b'B' => {
                let (name, values) = split_text(split_text(body).1);
                let sql = self.statements.get(name).cloned().unwrap_or_default();
                self.next = Some(Flight { values: bound(values), ..flight(sql) });
                None
            }
            b'S' | b'H' => Some(self.next.take().unwrap_or_else(|| flight(String::new()))),
            b'Q' => Some(flight(String::from_utf8_lossy(split_text(body).0).into_owned())),
            _ => None,
        }
    }
}

/// A text that ends with a zero byte, and what follows it.
fn split_text(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap();
    (&bytes[..end], &bytes[end + 1..])
}

/// The values of a `Bind`, whose formats come first.
fn bound(bytes: &[u8]) -> Vec<Option<Vec<u8>>> {
    let short = |at: usize| usize::from(u16::from_be_bytes(bytes[at..at + 2].try_into().unwrap()));
    let mut at = 2 + 2 * short(0);
    let count = short(at);
    at += 2;
    let mut values = Vec::new();
    for _ in 0..count {
        let size = i32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
        at += 4;
        // A negative size stands for NULL.
        let value = usize::try_from(size).ok().map(|size| bytes[at..at + size].to_vec());
        at += value.as_ref().map_or(0, Vec::len);
        values.push(value);
    }
    values
}

/// How often a server has said that it is ready for more, which ends each of its answers.
#[derive(Default)]
pub(super) struct ServerReader {
    is_started: bool,
    /// Of a message that is not whole: its head, or how much of its body is still to come.
    head: Vec<u8>,
    rest: usize,
}

impl ServerReader {
    /// Takes the next bytes and returns how many answers are whole with them.
    pub(super) fn read(&mut self, mut bytes: &[u8]) -> usize {
        // Who asks for TLS waits for the answer, so it comes alone.
        if !self.is_started && bytes == b"N" {
            return 0;
        }
        self.is_started = true;
        let mut answers = 0;
        while !bytes.is_empty() {
            if self.rest > 0 {
                let skipped = self.rest.min(bytes.len());
                self.rest -= skipped;
                bytes = &bytes[skipped..];
                continue;
            }
            self.head.push(bytes[0]);
            bytes = &bytes[1..];
            if let [kind, size @ ..] = self.head.as_slice()
                && let Ok(size) = <[u8; 4]>::try_from(size)
            {
                self.rest = u32::from_be_bytes(size) as usize - 4;
                answers += usize::from(*kind == b'Z');
                self.head.clear();
            }
        }
        answers
    }
}
