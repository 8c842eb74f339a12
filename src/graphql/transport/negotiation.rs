//! Media types: in which one an answer is written, by the header `Accept`, and which one a body claims to be.
//!
//! Owns [`Format`]. The rules of RFC 9110, 12.5.1: of the ranges that match a type the most specific one says its
//! quality, and quality 0 excludes it. Parameters do not matter, except for a charset that is not UTF-8. Who names neither
//! type of a document gets the older one, as the audits of npm graphql-http want it; who names both, the newer.

use axum::http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{ACCEPT, CONTENT_TYPE},
};

/// Media type of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `application/graphql-response+json`: the status tells a failed request.
    GraphqlResponse,
    /// `application/json`, for older clients: 200 as soon as GraphQL has looked at the request.
    Json,
    /// `text/event-stream`: the results of one operation, one event each. A request that is refused before the stream
    /// begins is answered like one for [`Format::GraphqlResponse`].
    EventStream,
}

impl Format {
    const ALL: [Self; 3] = [Self::GraphqlResponse, Self::Json, Self::EventStream];

    /// The type without parameters.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::GraphqlResponse => "application/graphql-response+json",
            Self::Json => "application/json",
            Self::EventStream => "text/event-stream",
        }
    }

    /// Value of the header `Content-Type`.
    pub fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::GraphqlResponse => "application/graphql-response+json; charset=utf-8",
            Self::Json => "application/json; charset=utf-8",
            Self::EventStream => "text/event-stream; charset=utf-8",
        })
    }

    /// True when who sends a wildcard may get it: a stream is for those who name it.
    fn is_for_anybody(self) -> bool {
        self != Self::EventStream
    }
}

/// The formats that a caller takes. Read once a request, and then an extension of it.
#[derive(Debug, Clone, Copy)]
pub struct Acceptable([Wish; 3]);

/// How much a format is wanted. What is named goes before what a wildcard allows, at the same quality.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Wish {
    quality: u16,
    specificity: Specificity,
}

impl Wish {
    /// Ours, between equals: the highest wins.
    fn preference(self, format: Format) -> u8 {
        match (format, self.specificity) {
            (Format::EventStream, _) => 0,
            (Format::GraphqlResponse, Specificity::Named) => 3,
            (Format::Json, _) => 2,
            (Format::GraphqlResponse, _) => 1,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Specificity {
    Anything,
    Family,
    Named,
}

impl Acceptable {
    /// Reads all lines of `Accept`. A range that cannot be read is passed over; where none is left, anything goes.
    pub fn of(headers: &HeaderMap) -> Self {
        let ranges: Vec<MediaType<'_>> = lines(headers, ACCEPT)
            .flat_map(|line| split_unquoted(line, ','))
            .filter_map(MediaType::parse)
            .collect();
        let anything = [MediaType { essence: "*/*", quality: MediaType::BEST, is_utf8: true }];
        let ranges = if ranges.is_empty() { &anything } else { ranges.as_slice() };
        Self(Format::ALL.map(|format| wish(format, ranges)))
    }

    /// The format that is wanted most; `None` when all are refused.
    pub fn best(&self) -> Option<Format> {
        self.best_of(|_| true)
    }

    /// The format of a refusal, which is also told to who accepts nothing of ours.
    pub fn for_refusal(&self) -> Format {
        self.best_of(|format| format != Format::EventStream).unwrap_or(Format::GraphqlResponse)
    }

    fn best_of(&self, is_offered: impl Fn(Format) -> bool) -> Option<Format> {
        let offers = Format::ALL.into_iter().zip(self.0);
        let wanted = offers.filter(|(format, wish)| wish.quality > 0 && is_offered(*format));
        wanted.max_by_key(|(format, wish)| (*wish, wish.preference(*format))).map(|(format, _)| format)
    }

    /// True when the format is taken, though another one may be wanted more.
    pub fn allows(&self, format: Format) -> bool {
        Format::ALL.into_iter().zip(self.0).any(|(other, wish)| other == format && wish.quality > 0)
    }
}

/// What the most specific ranges say; of several that are equally specific the kindest.
fn wish(format: Format, ranges: &[MediaType<'_>]) -> Wish {
    let matching = ranges.iter().filter(|range| range.is_utf8).filter_map(|range| {
        let specificity = range.covers(format.media_type())?;
        let may_match = specificity == Specificity::Named || format.is_for_anybody();
        may_match.then_some(Wish { quality: range.quality, specificity })
    });
    matching
        .max_by_key(|wish| (wish.specificity, wish.quality))
        .unwrap_or(Wish { quality: 0, specificity: Specificity::Anything })
}

/// The type of a body, or a range of them.
struct MediaType<'a> {
    /// Without parameters.
    essence: &'a str,
    /// Thousandths.
    quality: u16,
    /// No other charset is named.
    is_utf8: bool,
}

impl<'a> MediaType<'a> {
    const BEST: u16 = 1000;

    fn parse(text: &'a str) -> Option<Self> {
        let mut parts = split_unquoted(text, ';').map(str::trim);
        let essence = parts.next().filter(|essence| essence.contains('/'))?;
        let mut parsed = Self { essence, quality: Self::BEST, is_utf8: true };
        for parameter in parts {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let value = value.trim().trim_matches('"');
            match name.trim().to_ascii_lowercase().as_str() {
                "q" => parsed.quality = quality(value)?,
                "charset" => {
                    parsed.is_utf8 &= ["utf-8", "utf8"].iter().any(|name| name.eq_ignore_ascii_case(value))
                }
                _ => {}
            }
        }
        Some(parsed)
    }

    /// How specifically this range means the type, `None` when it does not.
    fn covers(&self, media_type: &str) -> Option<Specificity> {
        if self.essence.eq_ignore_ascii_case(media_type) {
            return Some(Specificity::Named);
        }
        let family = media_type.split('/').next().unwrap_or_default();
        match self.essence.strip_suffix("/*")? {
            "*" => Some(Specificity::Anything),
            own if own.eq_ignore_ascii_case(family) => Some(Specificity::Family),
            _ => None,
        }
    }
}

/// Thousandths of `0`, `0.5`, `1.000`.
fn quality(text: &str) -> Option<u16> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.len() > 3 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let thousandths: u16 = format!("{fraction:0<3}").parse().ok()?;
    match whole {
        "0" => Some(thousandths),
        "1" if thousandths == 0 => Some(MediaType::BEST),
        _ => None,
    }
}

/// True when the body claims to be JSON in UTF-8, in one header line.
pub(super) fn is_json(headers: &HeaderMap) -> bool {
    let mut types = lines(headers, CONTENT_TYPE).map(MediaType::parse);
    let is_json = types
        .next()
        .flatten()
        .is_some_and(|body| body.is_utf8 && body.essence.eq_ignore_ascii_case(Format::Json.media_type()));
    is_json && types.next().is_none()
}

fn lines(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    headers.get_all(name).into_iter().filter_map(|line| line.to_str().ok())
}

/// Splits at a separator that is not part of a quoted string.
fn split_unquoted(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    text.split(move |character| {
        let was_escaped = std::mem::take(&mut is_escaped);
        match character {
            _ if was_escaped => {}
            '\\' => is_escaped = is_quoted,
            '"' => is_quoted = !is_quoted,
            _ => {}
        }
        character == separator && !is_quoted
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acceptable(lines: &[&'static str]) -> Acceptable {
        Acceptable::of(&lines.iter().map(|line| (ACCEPT, HeaderValue::from_static(line))).collect())
    }

    #[test]
    fn the_best_format_follows_quality_then_name_then_our_preference() {
        let (newer, older, stream) =
            (Some(Format::GraphqlResponse), Some(Format::Json), Some(Format::EventStream));
        for (accept, expected) in [
            ("", older),
            (" , ,", older),
            ("*/*", older),
            ("application/*", older),
            ("application/json", older),
            ("Application/JSON; charset=UTF-8", older),
            ("application/json;charset=utf8", older),
            ("application/json;charset=utf-16", None),
            ("application/json;charset=utf-16, application/*;q=0.1", older),
            ("application/json, text/plain, */*", older),
            ("application/json, application/graphql-response+json", newer),
            ("application/json;q=0.9, application/graphql-response+json", newer),
            ("application/json, application/graphql-response+json;q=0.9", older),
            ("application/graphql-response+json;q=0, */*", older),
            ("application/graphql-response+json ; Q=0.000 , application/*", older),
            ("application/graphql-response+json, */*;q=0", newer),
            ("application/json;q=0, application/graphql-response+json;q=0, */*", None),
            ("*/*;q=0", None),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", older),
            ("text/html", None),
            ("text/*", None),
            ("image/*, text/html", None),
            ("application/jsonp", None),
            ("text/event-stream", stream),
            ("text/event-stream, application/json", older),
            ("text/event-stream, application/json;q=0.5", stream),
            ("text/event-stream, */*", stream),
            ("multipart/mixed, text/event-stream;q=0.9, */*;q=0.1", stream),
            ("text/html;x=\"application/json,\\\",application/json\"", None),
            ("text/html;x=\"a,b;q=0\";q=0.1, application/json;x=\"\\\\\"", older),
        ] {
            assert_eq!(acceptable(&[accept]).best(), expected, "{accept}");
        }
    }

    #[test]
    fn a_range_that_cannot_be_read_is_passed_over() {
        for accept in ["json", "application/json;q=2", "application/json;q=1.001", "application/json;q=x"] {
            assert_eq!(acceptable(&[accept]).best(), Some(Format::Json), "{accept}");
            assert_eq!(acceptable(&[accept, "text/html"]).best(), None, "{accept}");
        }
        for accept in ["application/json;q=0.1234", "application/json;q=-1", "application/json;q="] {
            assert_eq!(
                acceptable(&[accept, "application/json;q=0.5"]).best(),
                Some(Format::Json),
                "{accept}"
            );
        }
    }

    #[test]
    fn several_lines_are_one_list_and_no_line_allows_all_but_streams() {
        let acceptable = acceptable(&["application/json;q=0.5", "text/event-stream;q=0.7"]);
        assert_eq!(acceptable.best(), Some(Format::EventStream));
        assert_eq!(acceptable.for_refusal(), Format::Json);
        assert!(acceptable.allows(Format::Json) && !acceptable.allows(Format::GraphqlResponse));
        let any = Acceptable::of(&HeaderMap::new());
        assert_eq!(any.best(), Some(Format::Json));
        assert!(any.allows(Format::GraphqlResponse) && !any.allows(Format::EventStream));
    }

    #[test]
    fn a_body_is_json_by_its_type_alone() {
        let check = |lines: &[&'static str]| {
            is_json(&lines.iter().map(|line| (CONTENT_TYPE, HeaderValue::from_static(line))).collect())
        };
        for line in ["application/json", "Application/Json;charset=\"UTF-8\"", "application/json ; x=y"] {
            assert!(check(&[line]), "{line}");
        }
        for line in [
            "",
            "text/plain",
            "application/jsonp",
            "application/json, text/plain",
            "text/plain; application/json",
        ] {
            assert!(!check(&[line]), "{line}");
        }
        assert!(!check(&["application/json;charset=utf-8;charset=utf-16"]));
        assert!(!check(&["application/json", "text/plain"]) && !check(&[]));
    }
}
