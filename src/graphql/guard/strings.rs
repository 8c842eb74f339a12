//! The two forms of string literals, checked but not unescaped.

use super::{lexer::Cursor, refusal::Fault};

const BLOCK: &[u8] = b"\"\"\"";

/// Moves over the literal the cursor stands at.
pub(super) fn skip_string(cursor: &mut Cursor) -> Result<(), Fault> {
    if cursor.starts_with(BLOCK) { skip_block(cursor) } else { skip_quoted(cursor) }
}

fn skip_block(cursor: &mut Cursor) -> Result<(), Fault> {
    let start = cursor.at;
    cursor.advance(BLOCK.len());
    loop {
        match cursor.byte(0) {
            None => return Err(Fault::parse(start, "This block string has no end.")),
            Some(b'"') if cursor.starts_with(BLOCK) => {
                cursor.advance(BLOCK.len());
                return Ok(());
            }
            Some(b'\\') if cursor.starts_with(b"\\\"\"\"") => cursor.advance(1 + BLOCK.len()),
            Some(_) => cursor.advance(1),
        }
    }
}

fn skip_quoted(cursor: &mut Cursor) -> Result<(), Fault> {
    let start = cursor.at;
    cursor.advance(1);
    loop {
        match cursor.byte(0) {
            None | Some(b'\n' | b'\r') => return Err(Fault::parse(start, "This string has no end.")),
            Some(b'"') => {
                cursor.advance(1);
                return Ok(());
            }
            Some(b'\\') => skip_escape(cursor)?,
            Some(_) => cursor.advance(1),
        }
    }
}

fn skip_escape(cursor: &mut Cursor) -> Result<(), Fault> {
    let start = cursor.at;
    match cursor.byte(1) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => cursor.advance(2),
        Some(b'u') => skip_unicode_escape(cursor)?,
        _ => return Err(Fault::parse(start, "This escape is not known; write `\\\\` for a backslash.")),
    }
    Ok(())
}

fn skip_unicode_escape(cursor: &mut Cursor) -> Result<(), Fault> {
    let start = cursor.at;
    let whole = match read_escaped_unit(cursor)? {
        // A leading surrogate is half a character; the other half must follow at once.
        0xD800..=0xDBFF => {
            cursor.starts_with(b"\\u") && matches!(read_escaped_unit(cursor)?, 0xDC00..=0xDFFF)
        }
        0xDC00..=0xDFFF => false,
        _ => true,
    };
    if whole {
        return Ok(());
    }
    Err(Fault::parse(start, "This escape is half of a surrogate pair, without its other half."))
}

/// Reads `\uXXXX`, which may be a surrogate, or `\u{X…}`, which may not.
fn read_escaped_unit(cursor: &mut Cursor) -> Result<u32, Fault> {
    let start = cursor.at;
    cursor.advance(2);
    let braced = cursor.byte(0) == Some(b'{');
    if braced {
        cursor.advance(1);
    }
    let (mut value, mut digits) = (0_u32, 0_usize);
    while let Some(digit) = cursor.byte(0).and_then(|byte| char::from(byte).to_digit(16)) {
        if !braced && digits == 4 {
            break;
        }
        cursor.advance(1);
        digits += 1;
        value = value.saturating_mul(16).saturating_add(digit);
    }
    let complete = if braced { digits > 0 && cursor.byte(0) == Some(b'}') } else { digits == 4 };
    if !complete {
        return Err(Fault::parse(start, "This Unicode escape is not well formed."));
    }
    if braced {
        cursor.advance(1);
        if char::from_u32(value).is_none() {
            return Err(Fault::parse(start, "This escape names no Unicode character."));
        }
    }
    Ok(value)
}
