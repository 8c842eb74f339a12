//! The closed list of codes. What each means and what a client does about it is said here and nowhere else.

macro_rules! codes {
    ($($(#[doc = $meaning:literal])+ $name:ident = $text:literal, $side:ident, $status:literal, $advice:literal;)*) => {
        /// Reason of a failure, for programs. The list is closed within a release.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ErrorCode { $($(#[doc = $meaning])+ $name),* }

        impl ErrorCode {
            /// Every code, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The code as clients see it.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text),* }
            }

            /// True when it belongs into `userErrors`, false when it is a top-level error.
            pub fn is_user_error(self) -> bool {
                match self { $(Self::$name => matches!(Side::$side, Side::User)),* }
            }

            /// HTTP status when nothing was executed; plain HTTP routes answer with it too.
            pub fn http_status(self) -> u16 {
                match self { $(Self::$name => $status),* }
            }

            /// What it means, in a sentence of Markdown.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$name => concat!($($meaning),+).trim_ascii()),* }
            }

            /// What a client should do about it, in sentences of Markdown.
            pub fn advice(self) -> &'static str {
                match self { $(Self::$name => $advice),* }
            }
        }
    };
}

enum Side {
    User,
    Request,
}

// What stands here is what clients are told: docs/ERRORS.md and `/docs/errors` are made of it.
codes! {
    /// The document is not GraphQL.
    ParseFailed = "GRAPHQL_PARSE_FAILED", Request, 400,
        "Correct the document at the place that `locations` names. Sending it again changes nothing.";
    /// The document does not fit the schema.
    ValidationFailed = "GRAPHQL_VALIDATION_FAILED", Request, 400,
        "Check the document against the schema of this server, `GET /graphql/schema.graphql`. Sending it again changes nothing.";
    /// A variable, argument, id or cursor is malformed, or the request itself is.
    BadUserInput = "BAD_USER_INPUT", Request, 400,
        "Correct what the message names. A cursor is only good for the list, account and filter that it came from; begin that list anew.";
    /// No document is known by this hash.
    PersistedQueryNotFound = "PERSISTED_QUERY_NOT_FOUND", Request, 400,
        "Send the same request again with the document in `query`; libraries for persisted queries do so by themselves.";
    /// The document asks for more than one operation may.
    QueryTooExpensive = "QUERY_TOO_EXPENSIVE", Request, 400,
        "Ask for fewer fields or shorter pages, or split the operation; the message names the limit.";
    /// The document is nested too deeply.
    QueryTooDeep = "QUERY_TOO_DEEP", Request, 400,
        "Nest fewer levels; read an object by its id and go on from there in a second operation.";
    /// A credential is missing or wrong.
    Unauthenticated = "UNAUTHENTICATED", Request, 401,
        "Sign in and send `Authorization: Bearer <access token>`. Do not repeat with the same credential.";
    /// The access token has expired.
    TokenExpired = "TOKEN_EXPIRED", Request, 401,
        "Renew the tokens with `refreshSession` and repeat the request with the new one.";
    /// The caller lacks the level or the right for this.
    Forbidden = "FORBIDDEN", Request, 403,
        "Do not repeat; the field is for callers with more rights, which its `@access` in the schema names.";
    /// Too many requests, operations or attempts in a short time, or too many at once.
    RateLimited = "RATE_LIMITED", Request, 429,
        "Wait as long as `Retry-After` or `retryAfterSeconds` says, then repeat; send fewer at a time.";
    /// The operation took longer than allowed.
    Timeout = "TIMEOUT", Request, 504,
        "Ask for less at a time. A mutation may have taken effect: repeat it with the same idempotency key.";
    /// The server cannot answer now.
    ServiceUnavailable = "SERVICE_UNAVAILABLE", Request, 503,
        "Wait as long as `Retry-After` says, or a second, and repeat; a mutation with the same idempotency key.";
    /// A fault of the server; its log has the cause under the request id.
    Internal = "INTERNAL_SERVER_ERROR", Request, 500,
        "Report `requestId` to whoever runs the server. Repeating once is harmless; a mutation with the same idempotency key.";

    /// A value is malformed, out of range or contradicts another.
    InvalidInput = "INVALID_INPUT", User, 400,
        "Show `message` beside the value that `field` names and let the person correct it.";
    /// A referenced object does not exist or may not be seen by the caller.
    NotFound = "NOT_FOUND", User, 404,
        "Forget the id that `field` names; the two cases cannot be told apart.";
    /// The caller sees the object but the role in the account does not allow this.
    RoleForbids = "FORBIDDEN", User, 403,
        "Say so, or ask for a higher role with an owner of the account. `signUp` answers so while nobody may join.";
    /// The object is not in a state that allows this, or was changed meanwhile.
    Conflict = "CONFLICT", User, 409,
        "Read the object again, and decide again.";
    /// The idempotency key was used before with another input.
    IdempotencyKeyReused = "IDEMPOTENCY_KEY_REUSED", User, 409,
        "Make a new key for each intent; keep the key only for repeats of the very same input.";
    /// E-mail or password is wrong; which one is never said.
    InvalidCredentials = "INVALID_CREDENTIALS", User, 401,
        "Ask the person for both again.";
    /// A one-time code, link, invitation or refresh token is wrong, used or expired.
    InvalidCode = "INVALID_CODE", User, 400,
        "Ask for a new one; after a refresh token, ask the person to sign in.";
    /// The person is suspended or banned.
    Suspended = "SUSPENDED", User, 403,
        "Show `message`. Repeating does not help.";
    /// The balance does not cover the least that this would cost.
    InsufficientCredits = "INSUFFICIENT_CREDITS", User, 402,
        "Show `required` and `available` of `InsufficientCreditsError`; a cheaper model or a shorter text may fit.";
    /// A limit of the plan for the hour, day, month or period is used up.
    QuotaExceeded = "QUOTA_EXCEEDED", User, 402,
        "Show `message` and `quota` of `QuotaExceededError`. The same call passes after `retryAfterSeconds`, or on one of `upgradePlans`. With the window `NONE` it is answers at once that are limited: the call passes when one of them has ended.";
    /// A limit of the plan for the minute is used up.
    CallsLimited = "RATE_LIMITED", User, 429,
        "Wait for `retryAfterSeconds` of `QuotaExceededError`, which `Retry-After` says too, then repeat; send fewer at a time.";
    /// The plan does not include the model or feature.
    PlanRequired = "PLAN_REQUIRED", User, 402,
        "Show `message`; `requires` of `PlanRequiredError` names what is missing and `upgradePlans` the plans that have it.";
    /// No provider of the model answers at the moment and no fallback is left.
    ProviderUnavailable = "PROVIDER_UNAVAILABLE", User, 503,
        "Wait for `retryAfterSeconds` of `ProviderUnavailableError`, or offer another model.";
    /// Moderation refused the content.
    ContentBlocked = "CONTENT_BLOCKED", User, 422,
        "Show `message` beside the text that `field` names; without one, what was said before in the conversation is refused. The same text is refused again.";
    /// The conversation is longer than the model or the plan can take.
    ContextTooLong = "CONTEXT_TOO_LONG", User, 422,
        "Shorten the message, or choose a model with a larger `contextTokens`.";
    /// The provider failed after the work had begun.
    GenerationFailed = "GENERATION_FAILED", User, 502,
        "What was written is kept. Offer to send again, with a new idempotency key.";
    /// The work was cut off and may be started again.
    Interrupted = "INTERRUPTED", User, 503,
        "What was written is kept. Send again, with a new idempotency key.";
    /// The work took longer than allowed.
    TimedOut = "TIMED_OUT", User, 504,
        "What was written is kept. Offer to send again, with a new idempotency key, for a shorter answer.";
}

impl ErrorCode {
    /// The code of a stored name; `None` for a name no release has had.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.as_str() == text)
    }
}
