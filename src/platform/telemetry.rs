//! What the process writes about itself: events on standard error, one a line, and panics among them. Control
//! characters are escaped on the way out, so that no text from outside can forge a line or drive a terminal.

use std::{
    any::Any,
    borrow::Cow,
    fmt::{self, Debug, Write as _},
    io::{self, IsTerminal},
    panic::{self, PanicHookInfo},
};

use tracing::{Subscriber, field::Field, subscriber::set_global_default};
use tracing_subscriber::{
    EnvFilter, Layer,
    field::MakeExt,
    fmt::{
        MakeWriter,
        format::{Writer, debug_fn},
    },
    layer::SubscriberExt,
};

use super::metrics::names;

/// What is written unless the operator asks for more.
pub const QUIET: &str = "loquent=info,warn";
/// A panic's message may quote whatever a library had in hand; this much is enough to find the place.
const MAX_PANIC_CHARS: usize = 500;

/// Shape of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Whether `filter` is one that [`install`] takes.
pub fn is_filter(filter: &str) -> bool {
    EnvFilter::try_new(filter).is_ok()
}

/// Sends the events of the process to standard error and makes panics one of them. Colours show only in text and on
/// a terminal. A filter that [`is_filter`] refuses counts as [`QUIET`]. The first call wins; false says that one came
/// before.
pub fn install(format: LogFormat, is_colored: bool, filter: &str) -> bool {
    let is_colored = is_colored && io::stderr().is_terminal();
    let is_first = set_global_default(subscriber(format, is_colored, filter, io::stderr)).is_ok();
    if is_first {
        panic::set_hook(Box::new(log_panic));
    }
    is_first
}

fn subscriber<W>(
    format: LogFormat,
    is_colored: bool,
    filter: &str,
    writer: W,
) -> impl Subscriber + Send + Sync
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let layer = tracing_subscriber::fmt::layer();
    let lines = match format {
        LogFormat::Text => layer
            .with_ansi(is_colored)
            .fmt_fields(debug_fn(write_field).delimited(" "))
            .with_writer(writer)
            .boxed(),
        LogFormat::Json => {
            let writer = EscapedLines(writer);
            layer
                .with_ansi(false)
                .json()
                .flatten_event(true)
                .with_span_list(false)
                .with_writer(writer)
                .boxed()
        }
    };
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new(QUIET));
    tracing_subscriber::registry().with(lines).with(filter)
}

/// Writes a field as text. The subscriber's own way leaves line breaks in messages and, with colours, every control
/// character of a field that is shown by `Display`.
fn write_field(writer: &mut Writer<'_>, field: &Field, value: &dyn Debug) -> fmt::Result {
    if field.name() != "message" {
        write!(writer, "{}=", field.name())?;
    }
    writer.write_str(&escape(&format!("{value:?}")))
}

fn log_panic(info: &PanicHookInfo<'_>) {
    names::PANICS.add([], 1);
    let location = info.location().map(ToString::to_string).unwrap_or_default();
    tracing::error!(location, panic = panic_message(info.payload()), "panicked");
}

/// The words of a panic, shortened.
fn panic_message(payload: &(dyn Any + Send)) -> String {
    let text = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("a panic without words").chars().take(MAX_PANIC_CHARS).collect()
}

/// Writers of JSON lines. JSON itself escapes only the lower control characters. The layer writes each event with
/// one call, its newline last.
struct EscapedLines<W>(W);

impl<'w, W: MakeWriter<'w>> MakeWriter<'w> for EscapedLines<W> {
    type Writer = EscapedLines<W::Writer>;

    fn make_writer(&'w self) -> Self::Writer {
        EscapedLines(self.0.make_writer())
    }
}

impl<W: io::Write> io::Write for EscapedLines<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let event_text = String::from_utf8_lossy(event);
        let line = event_text.strip_suffix('\n').unwrap_or(&event_text);
        self.0.write_all(format!("{}\n", escape(line)).as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Writes control characters as `\u001b`, which JSON reads back.
fn escape(line: &str) -> Cow<'_, str> {
    if !line.contains(char::is_control) {
        return Cow::Borrowed(line);
    }
    let mut escaped = String::with_capacity(line.len() + 16);
    for character in line.chars() {
        if character.is_control() {
            // Writing to a string cannot fail.
            let _ = write!(escaped, "\\u{:04x}", u32::from(character));
        } else {
            escaped.push(character);
        }
    }
    Cow::Owned(escaped)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex, PoisonError};

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn lines(format: LogFormat, is_colored: bool, filter: &str, events: impl FnOnce()) -> Vec<String> {
        let written = Written::default();
        let sink = written.clone();
        let subscriber = subscriber(format, is_colored, filter, move || sink.clone());
        tracing::subscriber::with_default(subscriber, events);
        let bytes = written.0.lock().expect("no writer panicked").clone();
        String::from_utf8(bytes).expect("UTF-8").lines().map(str::to_owned).collect()
    }

    const HOSTILE: &str = "a\nERROR forged\r\u{1b}[31m\u{7}\u{7f}\u{9b}2Jz";

    #[test]
    fn json_lines_escape_control_characters_and_read_back() {
        let lines = lines(LogFormat::Json, true, QUIET, || {
            tracing::info!(target: "loquent", title = HOSTILE, email = %HOSTILE, "{HOSTILE}");
        });
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(!lines[0].chars().any(char::is_control), "{lines:?}");
        let event: serde_json::Value = serde_json::from_str(&lines[0]).expect("one JSON object a line");
        assert_eq!(event["title"], HOSTILE);
        assert_eq!(event["email"], HOSTILE);
        assert_eq!(event["level"], "INFO");
    }

    #[test]
    fn text_lines_escape_control_characters() {
        let own_escapes = ["\u{1b}[0m", "\u{1b}[2m", "\u{1b}[32m", "\u{1b}[1m"];
        for is_colored in [false, true] {
            let lines = lines(LogFormat::Text, is_colored, QUIET, || {
                let span = tracing::info_span!(target: "loquent", "work", agent = %HOSTILE);
                let _entered = span.enter();
                tracing::info!(target: "loquent", title = HOSTILE, email = %HOSTILE, "{HOSTILE}");
            });
            assert_eq!(lines.len(), 1, "{lines:?}");
            assert_eq!(lines[0].contains('\u{1b}'), is_colored, "{lines:?}");
            let rest = own_escapes.iter().fold(lines[0].clone(), |line, escape| line.replace(escape, ""));
            assert!(!rest.contains(char::is_control), "{rest:?}");
            assert!(rest.contains("email=a\\u000aERROR forged"), "{rest:?}");
        }
    }

    #[test]
    fn the_quiet_filter_shows_our_info_and_only_warnings_of_others() {
        let lines = lines(LogFormat::Json, false, QUIET, || {
            tracing::debug!(target: "loquent::server", "ours, debug");
            tracing::info!(target: "loquent::server", "ours, info");
            tracing::info!(target: "hyper", "theirs, info");
            tracing::warn!(target: "hyper", "theirs, warning");
        });
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[0].contains("ours, info") && lines[1].contains("theirs, warning"), "{lines:?}");
    }

    #[test]
    fn filters_are_recognised() {
        for filter in [QUIET, "debug", "loquent[generation{id}]=trace,off"] {
            assert!(is_filter(filter), "{filter}");
        }
        for filter in ["loquent=loud", "a=b=c", "[", "info,,=debug="] {
            assert!(!is_filter(filter), "{filter}");
        }
    }

    #[test]
    fn a_panic_is_told_in_a_bounded_message() {
        assert_eq!(panic_message(&"plain"), "plain");
        assert_eq!(panic_message(&"owned".to_owned()), "owned");
        assert_eq!(panic_message(&7), "a panic without words");
        assert_eq!(panic_message(&"é".repeat(2000)).chars().count(), MAX_PANIC_CHARS);
    }
}
