//! Reading a request: from JSON to an operation that the guard has passed. The same for both transports.

use async_graphql::{Request, Variables};
use axum::http::StatusCode;
use serde_json::{Map, Value};
use url::form_urlencoded;

use super::{
    answer::Refusal,
    measure,
    persisted::{DocumentHash, Documents},
};
use crate::{
    error::ErrorCode,
    graphql::guard::{self, OperationKind},
};

/// An operation that may be run.
pub struct Operation {
    pub request: Request,
    pub kind: OperationKind,
    /// Its name in the document, for the log and the metrics.
    pub name: Option<String>,
    /// The client wants the document to be remembered under this hash.
    pub hash: Option<DocumentHash>,
}

/// Reads the bytes of an HTTP body: UTF-8, JSON, one object.
pub fn parse(body: &[u8]) -> Result<Map<String, Value>, Refusal> {
    let text = std::str::from_utf8(body).map_err(|_| malformed("The request is not valid UTF-8."))?;
    match serde_json::from_str(text) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(Value::Array(_)) => Err(malformed("Send one operation at a time: batches are not accepted.")),
        Ok(_) => Err(malformed("The request must be a JSON object.")),
        Err(_) => Err(malformed("The request is not valid JSON.")),
    }
}

/// The fields of a request that an address may carry.
const FIELDS: [&str; 4] = ["query", "operationName", "variables", "extensions"];

/// Reads the query of an address, without its `?`: the same fields, the latter two in JSON. An empty field is one that is
/// not there; other parameters are ignored.
pub fn parse_url(query: &str) -> Result<Map<String, Value>, Refusal> {
    let mut fields = Map::new();
    for (name, text) in form_urlencoded::parse(query.as_bytes()) {
        if !FIELDS.contains(&name.as_ref()) {
            continue;
        }
        let value = match name.as_ref() {
            "query" => Value::String(text.into_owned()),
            _ if text.is_empty() => Value::Null,
            "operationName" => Value::String(text.into_owned()),
            _ => {
                serde_json::from_str(&text).map_err(|_| malformed(&format!("`{name}` is not valid JSON.")))?
            }
        };
        if fields.insert(name.to_string(), value).is_some() {
            return Err(malformed(&format!("`{name}` is in the address twice.")));
        }
    }
    Ok(fields)
}

/// Checks the shape of a request and lets the guard look at it. Unknown fields are ignored, as the specification
/// asks.
pub fn admit(
    fields: Map<String, Value>,
    limits: &guard::Limits,
    documents: &Documents,
) -> Result<Operation, Refusal> {
    check(fields, limits, documents).inspect_err(|refusal| measure::count_refusal(refusal.code()))
}

fn check(
    mut fields: Map<String, Value>,
    limits: &guard::Limits,
    documents: &Documents,
) -> Result<Operation, Refusal> {
    let query = match fields.remove("query") {
        None | Some(Value::Null) => None,
        Some(Value::String(query)) => Some(query),
        Some(_) => return Err(malformed("`query` must be a string with the document.")),
    };
    let name = match fields.remove("operationName") {
        None | Some(Value::Null) => None,
        Some(Value::String(name)) => Some(name),
        Some(_) => return Err(malformed("`operationName` must be a string.")),
    };
    let variables = fields.remove("variables").unwrap_or_default();
    if !matches!(variables, Value::Null | Value::Object(_)) {
        return Err(malformed("`variables` must be an object."));
    }
    let extensions = match fields.remove("extensions") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(extensions)) => extensions,
        Some(_) => return Err(malformed("`extensions` must be an object.")),
    };
    let (query, hash) = documents.resolve(query, &extensions)?;
    let passed = guard::check(&query, name.as_deref(), limits)?;
    guard::check_variables(&variables, passed.variable_uses, limits)?;
    let mut request = Request::new(query).variables(Variables::from_json(variables));
    request.operation_name = name;
    Ok(Operation { request, kind: passed.operation, name: passed.name, hash })
}

/// The refusal of a request that is not well-formed; `message` is a finished sentence.
pub(super) fn malformed(message: &str) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, ErrorCode::BadUserInput, message)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refusal(body: &[u8]) -> Refusal {
        let admit = |fields| admit(fields, &guard::Limits::default(), &Documents::default());
        parse(body).and_then(|fields| admit(fields).map(drop)).unwrap_err()
    }

    #[test]
    fn malformed_requests_are_the_fault_of_the_caller() {
        for body in [
            "",
            "{",
            "null",
            "\"{a}\"",
            "[]",
            r#"["{a}"]"#,
            r#"[{"query":"{a}"}]"#,
            "{}",
            r#"{"query":null}"#,
            r#"{"query":["{a}"]}"#,
            r#"{"query":"{a}","variables":[]}"#,
            r#"{"query":"{a}","variables":"{}"}"#,
            r#"{"query":"{a}","operationName":1}"#,
            r#"{"query":"{a}","extensions":[]}"#,
        ] {
            assert_eq!(refusal(body.as_bytes()).code(), ErrorCode::BadUserInput, "{body}");
        }
        assert_eq!(refusal(b"{\"query\":\"\xff\"}").code(), ErrorCode::BadUserInput);
        let deep = format!("{{\"query\":\"{{a}}\",\"variables\":{}1{}}}", "[".repeat(1000), "]".repeat(1000));
        assert_eq!(refusal(deep.as_bytes()).code(), ErrorCode::BadUserInput);
    }

    #[test]
    fn what_is_optional_may_be_null_or_absent() {
        for body in [
            r#"{"query":"{a}"}"#,
            r#"{"query":"{a}","variables":null,"operationName":null,"extensions":null,"id":7}"#,
            r#"{"query":"query N($v:Int){a}","variables":{"v":1},"operationName":"N","extensions":{}}"#,
        ] {
            let fields = parse(body.as_bytes()).unwrap();
            assert!(admit(fields, &guard::Limits::default(), &Documents::default()).is_ok(), "{body}");
        }
    }

    #[test]
    fn an_address_has_the_same_fields() {
        let read = |query| parse_url(query).map(Value::Object).map_err(|refusal| refusal.code());
        let all = "query=%7Ba%2Bb+c%7D&operationName=N&variables=%7B%22v%22:1%7D&extensions=null&query2=x";
        let fields =
            json!({ "query": "{a+b c}", "operationName": "N", "variables": { "v": 1 }, "extensions": null });
        assert_eq!(read(all), Ok(fields));
        assert_eq!(read(""), Ok(json!({})));
        let empty = json!({ "query": "", "operationName": null, "variables": null });
        assert_eq!(read("query=&operationName=&variables="), Ok(empty));
        // A name, not the absence of one.
        assert_eq!(read("operationName=null"), Ok(json!({ "operationName": "null" })));
        for wrong in
            ["query=a&query=a", "operationName=&operationName=N", "variables={&query=a", "extensions=x"]
        {
            assert_eq!(read(wrong), Err(ErrorCode::BadUserInput), "{wrong}");
        }
    }
}
