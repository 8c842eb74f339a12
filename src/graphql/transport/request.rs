//! Reading a request: from JSON to an operation that the guard has passed. The same for both transports.

use async_graphql::{Request, Variables};
use axum::http::StatusCode;
use serde_json::{Map, Value};

use super::{answer::Refusal, measure};
use crate::{
    error::ErrorCode,
    graphql::guard::{self, OperationKind},
};

/// An operation that may be run.
pub struct Operation {
    pub request: Request,
    pub kind: OperationKind,
    /// The name that the client gave along, for the log.
    pub name: Option<String>,
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

/// Checks the shape of a request and lets the guard look at it. Unknown fields are ignored, as the specification
/// asks.
pub fn admit(fields: Map<String, Value>, limits: &guard::Limits) -> Result<Operation, Refusal> {
    check(fields, limits).inspect_err(|refusal| measure::count_refusal(refusal.code()))
}

fn check(mut fields: Map<String, Value>, limits: &guard::Limits) -> Result<Operation, Refusal> {
    let query = match fields.remove("query") {
        Some(Value::String(query)) => query,
        _ => return Err(malformed("`query` must be a string with the document.")),
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
    if !matches!(fields.get("extensions"), None | Some(Value::Null | Value::Object(_))) {
        return Err(malformed("`extensions` must be an object."));
    }
    let passed = guard::check(&query, name.as_deref(), limits)?;
    guard::check_variables(&variables, limits)?;
    let mut request = Request::new(query).variables(Variables::from_json(variables));
    request.operation_name.clone_from(&name);
    Ok(Operation { request, kind: passed.operation, name })
}

fn malformed(message: &str) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, ErrorCode::BadUserInput, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(body: &[u8]) -> Refusal {
        parse(body).and_then(|fields| admit(fields, &guard::Limits::default()).map(drop)).unwrap_err()
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
            assert!(admit(fields, &guard::Limits::default()).is_ok(), "{body}");
        }
    }
}
