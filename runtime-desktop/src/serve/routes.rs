//! What the server answers.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use futures_util::stream::unfold;
use http_body_util::BodyExt;
use serde_json::json;
use tokio::sync::Notify;
use tokio::time::timeout_at;

use super::answer::{Teller, fingerprint};
use super::connections::{Late, Timer};
use super::error::{ApiError, json_response};
use super::limits::{BUFFER, Limits};
use super::metrics::{Gauges, Metrics};
use super::queue::{Admission, Queue};
use super::request::{Completions, Delivery, Subject, unknown_model};
use super::task::{End, Part};

/// How many times what it may be a body that is too long is read to its end, so that its sender hears why.
const PATIENCE: usize = 16;

/// What answers are made of.
pub struct Server {
    pub subject: Subject,
    pub limits: Limits,
    pub queue: Arc<Queue>,
    pub metrics: Metrics,
    /// Who does not tell it is not served.
    pub api_key: Option<String>,
    /// Whether only this machine can ask.
    pub loopback: bool,
    /// When the program began, as answers tell time.
    pub created: u64,
}

/// The routes.
pub fn router(server: Arc<Server>) -> Router {
    Router::new()
        .route("/v1/completions", post(completions))
        .route("/v1/models", get(models))
        .route("/v1/models/{*name}", get(model))
        .route("/health", get(health))
        .route("/metrics", get(metrics))
        .method_not_allowed_fallback(async || ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "expected another method"))
        .fallback(async |request: Request| {
            let path: String = request.uri().path().chars().take(80).collect();
            let message = format!("there is no {path}: expected /v1/completions, /v1/models, /health or /metrics");
            ApiError::new(StatusCode::NOT_FOUND, message)
        })
        .layer(from_fn_with_state(Arc::clone(&server), admitted))
        .with_state(server)
}

/// Lets requests through that may ask, and counts all answers.
async fn admitted(State(server): State<Arc<Server>>, request: Request, next: Next) -> Response {
    let response = match server.check(&request) {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    };
    server.metrics.answered(response.status().as_u16());
    response
}

impl Server {
    fn check(&self, request: &Request) -> Result<(), ApiError> {
        // a name that another server gave this address (DNS rebinding) would make a page of its own ours
        if self.loopback && !host(request).is_some_and(is_this_machine) {
            return Err(ApiError::new(StatusCode::FORBIDDEN, "expected the host localhost or 127.0.0.1"));
        }
        let Some(key) = self.api_key.as_ref().filter(|_| request.uri().path() != "/health") else { return Ok(()) };
        let given =
            request.headers().get(header::AUTHORIZATION).and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
        if given.is_some_and(|given| same(given, key.as_bytes())) {
            return Ok(());
        }
        let message = "expected the server's API key, as Authorization: Bearer KEY";
        Err(ApiError::new(StatusCode::UNAUTHORIZED, message).code("invalid_api_key"))
    }

    fn gauges(&self) -> Gauges {
        let &Limits { threads, streams, queue, connections, .. } = &self.limits;
        let memory = self.limits.memory(&self.subject.model, &self.subject.tokenizer);
        Gauges { streams: threads * streams, queued: self.queue.waiting(), queue, connections, memory }
    }
}

/// The host that a request is for, without the port.
fn host(request: &Request) -> Option<&str> {
    let named = request.headers().get(header::HOST).and_then(|value| value.to_str().ok());
    let host = request.uri().authority().map_or(named, |authority| Some(authority.as_str()))?;
    let end = host.rfind(':').filter(|&at| host[at + 1..].bytes().all(|b| b.is_ascii_digit())).unwrap_or(host.len());
    Some(&host[..end])
}

fn is_this_machine(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

/// Whether two secrets are the same, in a time that does not tell where they differ.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
}

async fn health() -> Response {
    json_response(StatusCode::OK, json!({ "status": "ok" }).to_string())
}

async fn metrics(State(server): State<Arc<Server>>) -> Response {
    let text = server.metrics.text(&server.gauges());
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}

async fn models(State(server): State<Arc<Server>>) -> Response {
    json_response(StatusCode::OK, json!({ "object": "list", "data": [server.model()] }).to_string())
}

async fn model(State(server): State<Arc<Server>>, Path(name): Path<String>) -> Result<Response, ApiError> {
    if name != server.subject.name {
        return Err(unknown_model(&name, server.subject.name));
    }
    Ok(json_response(StatusCode::OK, server.model().to_string()))
}

impl Server {
    /// The model as a list of models has it.
    fn model(&self) -> serde_json::Value {
        let Subject { model, name, depth, .. } = &self.subject;
        json!({
            "id": name,
            "object": "model",
            "created": self.created,
            "owned_by": "flashlm",
            "system_fingerprint": fingerprint(&self.subject),
            "vocab": model.config().vocab,
            "depths": model.config().rcsm.map(|rcsm| rcsm.depths),
            "default_depth": depth.to_string(),
            "max_prompt_tokens": self.limits.prompt,
            "max_tokens": self.limits.length,
        })
    }
}

async fn completions(
    State(server): State<Arc<Server>>,
    Extension(late): Extension<Late>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    // what a form of a web page can send without asking first is no JSON
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json") {
        let message = "expected the content type application/json";
        return Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message));
    }
    let body = read(body, &server.limits).await?;
    let mut request = Completions::parse(&body, &server.subject, &server.limits)?;
    drop(body);
    let admission = server.queue.admit(request.tasks.len()).ok_or_else(|| {
        let message = format!("{} stories are told or wait: expected fewer at a time", server.queue.limit());
        ApiError::new(StatusCode::TOO_MANY_REQUESTS, message).code("rate_limit_exceeded")
    })?;
    let teller = Teller::new(&request, &server.subject);
    let delivery = request.delivery;
    let mut telling = Telling::start(server, admission, &mut request, teller, &late);
    let kind = match delivery {
        Delivery::Whole => "application/json",
        Delivery::Stream { .. } => "text/event-stream",
    };
    let sent = match delivery {
        Delivery::Whole => Sent { text: telling.whole().await?, at: 0, over: true, usage: false, telling },
        Delivery::Stream { usage } => Sent { text: String::new(), at: 0, over: false, usage, telling },
    };
    let body = Body::from_stream(unfold(sent, async |mut sent| Some((Ok::<_, Infallible>(sent.next().await?), sent))));
    Ok(([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-store")], body).into_response())
}

/// A body of bounded length within a bounded time. Of one that is too long more is read, and thrown away, for who only
/// listens when all is sent.
async fn read(mut body: Body, limits: &Limits) -> Result<Vec<u8>, ApiError> {
    let deadline = tokio::time::Instant::now() + limits.receive;
    let most = limits.body.saturating_mul(PATIENCE);
    let too_long = || {
        let message = format!("expected a body of at most {} bytes", limits.body);
        ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, message)
    };
    if body.size_hint().lower() > most as u64 {
        return Err(too_long());
    }
    let (mut bytes, mut length) = (Vec::new(), 0);
    loop {
        let slow = |_| ApiError::new(StatusCode::REQUEST_TIMEOUT, "the body of the request took too long");
        let frame = match timeout_at(deadline, body.frame()).await.map_err(slow)? {
            None => break,
            Some(Ok(frame)) => frame,
            Some(Err(_)) => return Err(ApiError::new(StatusCode::BAD_REQUEST, "the body of the request is cut off")),
        };
        let Ok(data) = frame.into_data() else { continue };
        length += data.len();
        if length <= limits.body {
            bytes.extend_from_slice(&data);
        } else if length > most {
            break;
        }
    }
    if length > limits.body { Err(too_long()) } else { Ok(bytes) }
}

/// A request that is being answered. Dropped, its stories are given up.
struct Telling {
    server: Arc<Server>,
    admission: Admission,
    news: Arc<Notify>,
    teller: Teller,
    begun: Instant,
    /// Choices that have not ended.
    open: usize,
    /// Closes the connection where the answer is not taken in time.
    _timer: Timer,
}

impl Telling {
    fn start(
        server: Arc<Server>,
        mut admission: Admission,
        request: &mut Completions,
        teller: Teller,
        late: &Late,
    ) -> Self {
        let (tasks, news) = (std::mem::take(&mut request.tasks), Arc::clone(&request.news));
        let open = tasks.len();
        admission.start(tasks);
        let timer = late.after(server.limits.answer + server.limits.write);
        Self { server, admission, news, teller, begun: Instant::now(), open, _timer: timer }
    }

    /// Waits until a worker told something.
    async fn news(&mut self) -> Result<(), ApiError> {
        let limit = self.server.limits.answer;
        timeout_at((self.begun + limit).into(), self.news.notified()).await.map_err(|_| {
            self.server.metrics.timed_out();
            // nor is it the client who gives them up
            self.open = 0;
            let message = format!("the answer took more than {} seconds", limit.as_secs_f64());
            ApiError::new(StatusCode::GATEWAY_TIMEOUT, message).code("timeout")
        })
    }

    /// All choices, when they have ended.
    async fn whole(&mut self) -> Result<String, ApiError> {
        while !self.admission.outputs().iter().all(|output| output.ended()) {
            self.news().await?;
        }
        let parts: Vec<Part> = self.admission.outputs().iter().filter_map(|output| output.take()).collect();
        for part in &parts {
            self.took(part)?;
        }
        Ok(self.teller.whole(&parts))
    }

    /// Takes account of a part.
    fn took(&mut self, part: &Part) -> Result<(), ApiError> {
        self.teller.count(part);
        self.open -= usize::from(part.end.is_some());
        match &part.end {
            Some(End::Failed(why)) => Err(ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, why)),
            _ => Ok(()),
        }
    }
}

impl Drop for Telling {
    fn drop(&mut self) {
        self.server.metrics.completed(self.begun.elapsed());
        if self.open > 0 {
            self.server.metrics.cancelled();
        }
    }
}

/// An answer that is being sent. Until all of it is, its stories count among those that are told or wait: what clients
/// do not take is part of what the server holds for them.
struct Sent {
    telling: Telling,
    /// What is there to be sent, and how much of it was.
    text: String,
    at: usize,
    /// Whether nothing comes after it.
    over: bool,
    /// Whether the usage comes before the end.
    usage: bool,
}

impl Sent {
    /// The next piece, a copy that holds nothing else in memory; `None` after the last.
    async fn next(&mut self) -> Option<Bytes> {
        if self.at == self.text.len() {
            (self.text, self.at) = (self.events().await?, 0);
        }
        let rest = &self.text.as_bytes()[self.at..];
        let piece = Bytes::copy_from_slice(&rest[..rest.len().min(BUFFER)]);
        self.at += piece.len();
        Some(piece)
    }

    /// The next events of a stream; `None` after its end.
    async fn events(&mut self) -> Option<String> {
        if self.over {
            return None;
        }
        let mut text = String::new();
        let event = |text: &mut String, json: &str| {
            text.push_str("data: ");
            text.push_str(json);
            text.push_str("\n\n");
        };
        loop {
            let told = self.parts(|json| event(&mut text, json));
            if told.is_ok() && self.telling.open == 0 {
                if self.usage {
                    event(&mut text, &self.telling.teller.last());
                }
                event(&mut text, "[DONE]");
                self.over = true;
            }
            if told.is_ok() && !text.is_empty() {
                return Some(text);
            }
            let news = match told {
                Ok(()) => self.telling.news().await,
                failed => failed,
            };
            if let Err(error) = news {
                event(&mut text, &error.json().to_string());
                self.over = true;
                return Some(text);
            }
        }
    }

    /// Tells what there is of all choices.
    fn parts(&mut self, mut tell: impl FnMut(&str)) -> Result<(), ApiError> {
        for choice in 0..self.telling.admission.outputs().len() {
            if let Some(part) = self.telling.admission.outputs()[choice].take() {
                self.telling.took(&part)?;
                tell(&self.telling.teller.part(choice, &part, self.usage));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_its_own() {
        let named = |name: &str| {
            let request = Request::builder().uri("/health").header("Host", name).body(Body::empty()).unwrap();
            host(&request).is_some_and(is_this_machine)
        };
        for own in ["localhost", "LOCALHOST:8080", "127.0.0.1:80", "127.9.9.9", "[::1]:8080", "[::1]"] {
            assert!(named(own), "{own}");
        }
        for other in ["", "evil.example", "localhost.evil.example:80", "127.0.0.1.evil.example", "10.0.0.1", "a:b"] {
            assert!(!named(other), "{other}");
        }
        assert!(host(&Request::new(Body::empty())).is_none());
    }

    #[test]
    fn a_key_is_the_same_only_as_itself() {
        assert!(same(b"key", b"key"));
        assert!(!same(b"key", b"kez") && !same(b"key", b"ke") && !same(b"", b"k"));
    }
}
