//! Every code has one side, and both sides are written as clients are told.

use std::collections::HashSet;

use loquent::{
    error::{AppError, ErrorCode},
    graphql::errors::{UserErrorCode, sides, top_level},
};

#[test]
fn every_code_has_exactly_one_side() {
    for &code in ErrorCode::ALL {
        let error = AppError::new(code, "A sentence.");
        match sides::<()>(Err(error.clone())) {
            Ok(Err(user_errors)) => {
                assert!(code.is_user_error(), "{code:?} is shown to people");
                assert_eq!(user_errors.len(), 1);
                assert!(UserErrorCode::of(code).is_some(), "{code:?} has no value in UserErrorCode");
            }
            Ok(Ok(())) => panic!("an error became a success"),
            Err(error) => {
                assert!(!code.is_user_error(), "{code:?} is hidden from people");
                assert!(UserErrorCode::of(code).is_none(), "{code:?} is in UserErrorCode but never there");
                let shown = error.extensions.unwrap();
                assert_eq!(shown.get("code"), Some(&async_graphql::Value::from(code.as_str())));
            }
        }
    }
    assert!(!ErrorCode::ALL.is_empty());
}

#[test]
fn codes_are_unique_on_their_side() {
    for is_user_error in [true, false] {
        let mut seen = HashSet::new();
        for code in ErrorCode::ALL.iter().filter(|code| code.is_user_error() == is_user_error) {
            assert!(seen.insert(code.as_str()), "{} stands twice", code.as_str());
        }
    }
}

#[test]
fn the_source_of_a_failure_stays_inside() {
    let error = AppError::internal(anyhow::anyhow!("password=hunter2"));
    let shown = format!("{:?}", top_level(&error));
    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(!error.to_string().contains("hunter2"));
}
