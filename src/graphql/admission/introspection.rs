//! Who may read the schema from the running server, by introspection or as a file.

use crate::{
    config,
    error::{AppError, ErrorCode},
    graphql::Credential,
};

/// To whom the schema is shown. It is no protection of data: what a caller may not read is refused whether its name is
/// known or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Introspection {
    /// To everyone.
    Public,
    /// To signed-in callers.
    Authenticated,
    /// To nobody.
    Off,
}

impl From<config::Introspection> for Introspection {
    fn from(setting: config::Introspection) -> Self {
        match setting {
            config::Introspection::Public => Self::Public,
            config::Introspection::Authenticated => Self::Authenticated,
            config::Introspection::Off => Self::Off,
        }
    }
}

impl Introspection {
    /// Whether the bearer of this credential may read the schema. `__typename` is no introspection.
    ///
    /// # Errors
    /// What to answer instead.
    pub fn allows(self, credential: &Credential) -> Result<(), AppError> {
        match (self, credential) {
            (Self::Public, _) | (Self::Authenticated, Credential::Signed(_)) => Ok(()),
            (Self::Authenticated, Credential::Refused(error)) => Err(error.clone()),
            (Self::Authenticated, Credential::Anonymous) => {
                let message = "Introspection needs a signed-in caller here.";
                Err(AppError::new(ErrorCode::Unauthenticated, message))
            }
            (Self::Off, _) => Err(AppError::new(ErrorCode::Forbidden, "Introspection is switched off here.")),
        }
    }
}
