//! What clients are told about the error codes: docs/ERRORS.md, and the page that `extensions.docUrl` leads to. Both are
//! made of the list of codes. Each code is one section, and its name is the anchor.

use std::fmt::Write;

use super::ErrorCode;

/// Path of the page.
pub const PATH: &str = "/docs/errors";

/// The whole look of the page; there is no script in it.
pub const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:44rem;margin:2rem auto;padding:0 1rem;\
    color:#1b1f24;background:#fff}code{font:.9em ui-monospace,monospace}section:target{background:#fff8c5}\
    section{padding:.1rem .5rem}dt{font-weight:600}a{color:#0550ae}\
    @media(prefers-color-scheme:dark){body{color:#e6edf3;background:#0d1117}section:target{background:#3b2f00}\
    a{color:#79c0ff}}";

const INTRODUCTION: [&str; 3] = [
    "What the person at the screen can put right is in `userErrors` of the payload of a mutation, with HTTP status 200. \
     Everything else is a top-level error with `extensions.code`, `extensions.requestId` and `extensions.docUrl`.",
    "The status of a top-level error is the one below when nothing was executed, and 200 when the operation began. A \
     client that accepts only `application/json` gets 200 as soon as GraphQL has looked at its request.",
    "The list is closed for a release and may grow with a later one: treat an unknown code of `userErrors` by its \
     `message`, and an unknown top-level code like `INTERNAL_SERVER_ERROR`.",
];

/// Where a code is explained, relative to the server.
pub fn doc_url(code: &str) -> String {
    format!("{PATH}#{code}")
}

/// The text of docs/ERRORS.md.
pub fn markdown() -> String {
    let mut text = "# Error codes\n\n<!-- Written by `loquent schema errors`. -->\n".to_owned();
    for paragraph in INTRODUCTION {
        let _ = write!(text, "\n{paragraph}\n");
    }
    for section in sections() {
        let name = section[0].as_str();
        let _ = write!(text, "\n<a id=\"{name}\"></a>\n\n## {name}\n");
        for code in section {
            let _ = write!(text, "\n{}: {}\n\nWhat to do: {}\n", place(code), code.meaning(), code.advice());
        }
    }
    text
}

/// The page at [`PATH`].
pub fn html() -> String {
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>Error codes</title>\n\
         <style>{STYLE}</style>\n<h1>Error codes</h1>\n"
    );
    for paragraph in INTRODUCTION {
        let _ = writeln!(page, "<p>{}</p>", inline(paragraph));
    }
    for section in sections() {
        let name = section[0].as_str();
        let _ = writeln!(page, "<section id=\"{name}\">\n<h2><a href=\"#{name}\">{name}</a></h2>\n<dl>");
        for code in section {
            let (place, meaning, advice) =
                (inline(&place(code)), inline(code.meaning()), inline(code.advice()));
            let _ = writeln!(page, "<dt>{place}</dt>\n<dd>{meaning}</dd>\n<dd>What to do: {advice}</dd>");
        }
        page.push_str("</dl>\n</section>\n");
    }
    page
}

/// The codes by name, in their order: one name may stand on both sides.
fn sections() -> Vec<Vec<ErrorCode>> {
    let mut sections: Vec<Vec<ErrorCode>> = Vec::new();
    for &code in ErrorCode::ALL {
        match sections.iter_mut().find(|section| section[0].as_str() == code.as_str()) {
            Some(section) => section.push(code),
            None => sections.push(vec![code]),
        }
    }
    sections
}

fn place(code: ErrorCode) -> String {
    let status = code.http_status();
    if code.is_user_error() {
        format!("In `userErrors`, {status} on plain HTTP routes")
    } else {
        format!("At top level, {status}")
    }
}

/// HTML of a line of Markdown that has no marks but code spans.
fn inline(line: &str) -> String {
    let escaped = line.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let spans = escaped.split('`').enumerate();
    spans
        .map(|(at, text)| if at % 2 == 1 { format!("<code>{text}</code>") } else { text.to_owned() })
        .collect()
}
