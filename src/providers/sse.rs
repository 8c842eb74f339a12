//! The one reader of server-sent events.
//!
//! Bytes are cut into events first and become text only when an event is whole, so it cannot matter where the network
//! splits a character or a line ending. An event and the whole answer are bounded; the work is linear in the bytes.
//!
//! The crate `eventsource-stream` is not used: up to 0.2.3 it decodes before it cuts, so that one broken byte makes it
//! buffer without end; it panics on an answer that begins with a byte order mark; it scans a long line again for each
//! chunk of it; and it has no bounds.

use bytes::{Buf, Bytes};
use futures_util::{Stream, StreamExt};

use super::error::{ProviderError, ProviderErrorKind};

/// Bound of one event, and of an answer that is not a stream, in bytes.
pub(super) const MAX_EVENT: usize = 1024 * 1024;

/// Bound of everything that one answer sends, in bytes. A token costs about 300 of them on the wire.
pub(super) const MAX_ANSWER: usize = 64 * 1024 * 1024;

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Cuts a stream of bytes into the data of its events. Comments and the fields that chat models do not use (`event`,
/// `id`, `retry`) are skipped.
pub(super) struct EventReader<S> {
    bytes: S,
    /// Received, not cut yet.
    chunk: Bytes,
    cutter: Cutter,
    received: usize,
}

impl<S> EventReader<S>
where
    S: Stream<Item = Result<Bytes, ProviderError>> + Unpin,
{
    pub(super) fn new(bytes: S) -> Self {
        Self { bytes, chunk: Bytes::new(), cutter: Cutter::default(), received: 0 }
    }

    /// Data of the next event; `None` when the bytes have ended. An event that they end within is dropped, as it may
    /// be half of one. Nothing is lost when the returned future is dropped.
    ///
    /// # Errors
    /// Those of the bytes, and `CutOff` for an event or answer beyond its bound or one that is not UTF-8.
    pub(super) async fn next(&mut self) -> Result<Option<String>, ProviderError> {
        loop {
            if let Some(data) = self.cutter.next_event(&mut self.chunk)? {
                return String::from_utf8(data).map(Some).map_err(|error| cut_off(error.utf8_error()));
            }
            match self.bytes.next().await {
                None => return Ok(None),
                Some(chunk) => self.chunk = chunk?,
            }
            self.received = self.received.saturating_add(self.chunk.len());
            if self.received > MAX_ANSWER {
                return Err(cut_off("the answer is too large"));
            }
        }
    }
}

/// Puts lines and events together. `line` and `data` hold at most [`MAX_EVENT`] bytes together.
#[derive(Default)]
struct Cutter {
    /// The line that has begun.
    line: Vec<u8>,
    /// Data lines of the event that has begun, joined by line feeds.
    data: Option<Vec<u8>>,
    /// The last byte was a carriage return, so a line feed now belongs to it.
    is_after_return: bool,
    /// A byte order mark is no longer looked for.
    is_past_first_line: bool,
}

impl Cutter {
    /// Takes bytes from the front of `chunk` up to the end of an event.
    fn next_event(&mut self, chunk: &mut Bytes) -> Result<Option<Vec<u8>>, ProviderError> {
        while !chunk.is_empty() {
            if std::mem::take(&mut self.is_after_return) && chunk[0] == b'\n' {
                chunk.advance(1);
                continue;
            }
            let end = chunk.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
            self.extend_line(&chunk[..end.unwrap_or(chunk.len())])?;
            let Some(end) = end else {
                chunk.clear();
                break;
            };
            self.is_after_return = chunk[end] == b'\r';
            chunk.advance(end + 1);
            if let Some(data) = self.end_line() {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }

    fn extend_line(&mut self, bytes: &[u8]) -> Result<(), ProviderError> {
        let held = self.line.len() + self.data.as_ref().map_or(0, Vec::len);
        // One byte is for the line feed that may join this line to the data.
        if bytes.len() >= MAX_EVENT.saturating_sub(held) {
            return Err(cut_off("an event is too large"));
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    /// Reads the line that has ended; an empty one ends the event.
    fn end_line(&mut self) -> Option<Vec<u8>> {
        let line = std::mem::take(&mut self.line);
        let mut line = line.as_slice();
        if !std::mem::replace(&mut self.is_past_first_line, true) {
            line = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line);
        }
        if line.is_empty() {
            return self.data.take().filter(|data| !data.is_empty());
        }
        if let Some(value) = data_of(line) {
            match &mut self.data {
                None => self.data = Some(value.to_vec()),
                Some(data) => {
                    data.push(b'\n');
                    data.extend_from_slice(value);
                }
            }
        }
        None
    }
}

/// The value if `line` is a `data` field.
fn data_of(line: &[u8]) -> Option<&[u8]> {
    match line.strip_prefix(b"data")? {
        [] => Some(b""),
        [b':', b' ', value @ ..] | [b':', value @ ..] => Some(value),
        _ => None,
    }
}

fn cut_off(detail: impl std::fmt::Display) -> ProviderError {
    ProviderError::new(ProviderErrorKind::CutOff, detail)
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use proptest::prelude::*;

    use super::*;

    /// Reads `chunks` to their end on the spot, as nothing in them waits.
    fn read(chunks: impl IntoIterator<Item = Vec<u8>>) -> Result<Vec<String>, ProviderError> {
        let chunks: Vec<_> = chunks.into_iter().map(|chunk| Ok(Bytes::from(chunk))).collect();
        let mut reader = EventReader::new(stream::iter(chunks));
        futures_util::FutureExt::now_or_never(async move {
            let mut events = Vec::new();
            while let Some(data) = reader.next().await? {
                events.push(data);
            }
            Ok(events)
        })
        .unwrap()
    }

    fn read_text(text: &str) -> Vec<String> {
        read([text.as_bytes().to_vec()]).unwrap()
    }

    #[test]
    fn fields_comments_and_line_endings_are_read_by_the_standard() {
        assert_eq!(read_text("data: a\n\ndata:b\r\n\r\ndata:  c\r\r"), ["a", "b", " c"]);
        assert_eq!(read_text("data: a\ndata\ndata: b\n\n"), ["a\n\nb"]);
        assert_eq!(read_text(": ping\n\nevent: x\nid: 7\nretry: 1\ndata: a\ndatum: b\n\n"), ["a"]);
        assert_eq!(read_text("\n\ndata\n\ndata:\n\ndata: a\n\n\n"), ["a"]);
        assert_eq!(read_text("\u{feff}data: a\n\n\u{feff}data: b\n\n"), ["a"]);
    }

    #[test]
    fn an_event_without_its_end_is_dropped() {
        assert_eq!(read_text("data: a\n\ndata: b\n"), ["a"]);
        assert!(read_text("").is_empty());
    }

    #[test]
    fn it_does_not_matter_where_the_bytes_are_split() {
        let text = "\u{feff}data: 你好 👩‍👩‍👧\r\n\r\n: π\rdata: é\r\rdata: x\ndata: 終\n\n".as_bytes();
        let whole = ["你好 👩‍👩‍👧", "é", "x\n終"];
        for first in 0..=text.len() {
            for second in first..=text.len() {
                let parts = [&text[..first], &text[first..second], &text[second..]].map(<[u8]>::to_vec);
                assert_eq!(read(parts).unwrap(), whole, "split at {first} and {second}");
            }
        }
        assert_eq!(read(text.iter().map(|byte| vec![*byte])).unwrap(), whole);
    }

    #[test]
    fn what_is_too_large_or_not_text_ends_the_answer() {
        let line = [b"data: ".as_slice(), &vec![b'x'; 2 * MAX_EVENT]].concat();
        assert_eq!(read([line.clone()]).unwrap_err().kind(), ProviderErrorKind::CutOff);
        assert_eq!(
            read(line.chunks(1000).map(<[u8]>::to_vec)).unwrap_err().kind(),
            ProviderErrorKind::CutOff
        );
        let many_lines = b"data: 0123456789\n".repeat(MAX_EVENT / 10);
        assert_eq!(read([many_lines]).unwrap_err().kind(), ProviderErrorKind::CutOff);
        let many_pings = std::iter::repeat_n(b": ping\n".repeat(10_000), MAX_ANSWER / 70_000 + 1);
        assert_eq!(read(many_pings).unwrap_err().kind(), ProviderErrorKind::CutOff);
        assert_eq!(read([b"data: \xff\n\n".to_vec()]).unwrap_err().kind(), ProviderErrorKind::CutOff);
    }

    proptest! {
        /// Arbitrary bytes, arbitrarily split: no panic, and the same events as in one piece.
        #[test]
        fn any_bytes_are_read_the_same_however_split(
            pieces in prop::collection::vec(prop::sample::select(
                vec!["data", ":", " ", "\n", "\r", "\r\n", "\n\n", "é", "\u{feff}", "{", "[DONE]", "event: e", "\u{0}"]
            ), 0..60),
            size in 1_usize..7,
        ) {
            let text = pieces.concat();
            let whole = read([text.clone().into_bytes()]).unwrap();
            prop_assert_eq!(read(text.as_bytes().chunks(size).map(<[u8]>::to_vec)).unwrap(), whole);
        }
    }
}
