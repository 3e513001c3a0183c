//! Errors as OpenAI's servers tell them.

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// Why a request is not answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    status: StatusCode,
    message: String,
    /// The parameter that is wrong.
    param: Option<String>,
    /// What programs know it by.
    code: Option<&'static str>,
}

impl ApiError {
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), param: None, code: None }
    }

    /// A parameter is not what it should be.
    pub fn parameter(param: &str, message: impl AsRef<str>) -> Self {
        let message = format!("{param}: {}", message.as_ref());
        Self { param: Some(param.into()), ..Self::new(StatusCode::BAD_REQUEST, message) }
    }

    /// The same, with what programs know it by.
    pub fn code(self, code: &'static str) -> Self {
        Self { code: Some(code), ..self }
    }

    /// The same, with the parameter that it is about.
    pub fn about(self, param: &str) -> Self {
        Self { param: Some(param.into()), ..self }
    }

    /// As it stands in an answer's body.
    pub fn json(&self) -> Value {
        let Self { status, message, param, code } = self;
        let kind = match *status {
            StatusCode::UNAUTHORIZED => "authentication_error",
            StatusCode::FORBIDDEN => "permission_error",
            StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
            status if status.is_server_error() => "server_error",
            _ => "invalid_request_error",
        };
        json!({ "error": { "message": message, "type": kind, "param": param, "code": code } })
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        const NO_HEADER: Option<(HeaderName, HeaderValue)> = None;
        let more = match self.status {
            // a story takes about that
            StatusCode::TOO_MANY_REQUESTS => Some((header::RETRY_AFTER, HeaderValue::from_static("1"))),
            StatusCode::UNAUTHORIZED => Some((header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))),
            _ => NO_HEADER,
        };
        let mut response = json_response(self.status, self.json().to_string());
        response.headers_mut().extend(more);
        response
    }
}

/// An answer whose body is JSON.
pub fn json_response(status: StatusCode, body: String) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}
