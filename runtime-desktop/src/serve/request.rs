//! What a body of `/v1/completions` asks for.

use std::ops::RangeInclusive;
use std::sync::Arc;

use axum::http::StatusCode;
use flashlm_core::config::Depth;
use flashlm_core::text::Prompt;
use flashlm_core::{Model, SamplerConfig, Tokenizer};
use flashlm_host::{Seed, check_depth};
use serde_json::{Map, Value};
use tokio::sync::Notify;

use super::error::ApiError;
use super::limits::Limits;
use super::task::{Notice, Output, Task};
use crate::settings;

/// The most candidates told beside a token, as OpenAI has it.
pub const MOST_LOGPROBS: usize = 5;
/// The most stop words, as OpenAI has it.
const MOST_STOPS: usize = 4;
/// The longest stop word, bytes: every token is looked at for how much of it may have come.
const LONGEST_STOP: usize = 256;

/// What all requests are about.
#[derive(Clone, Copy, Debug)]
pub struct Subject {
    pub model: Model<'static>,
    pub tokenizer: Tokenizer<'static>,
    /// What the model is called.
    pub name: &'static str,
    /// Where a request asks for none.
    pub depth: Depth,
}

/// How an answer comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    Whole,
    /// In events as it is told, the last of which may be the usage.
    Stream {
        usage: bool,
    },
}

/// A request for completions.
#[derive(Debug)]
pub struct Completions {
    /// The choices: those of the first prompt, those of the second...
    pub tasks: Vec<Task>,
    /// Of every prompt, once.
    pub prompt_tokens: usize,
    /// Told of all of them.
    pub news: Arc<Notify>,
    pub delivery: Delivery,
}

impl Completions {
    /// Reads a body.
    ///
    /// # Errors
    /// It is no JSON object, or a parameter is unknown, of a wrong type or out of its range.
    pub fn parse(body: &[u8], subject: &Subject, limits: &Limits) -> Result<Self, ApiError> {
        let value: Value = serde_json::from_slice(body)
            .map_err(|e| ApiError::new(StatusCode::BAD_REQUEST, format!("expected a body of JSON: {e}")))?;
        let Value::Object(map) = value else {
            return Err(ApiError::new(
                StatusCode::BAD_REQUEST,
                format!("expected a JSON object, found {}", kind(&value)),
            ));
        };
        let mut fields = Fields(map);
        check_model(&mut fields, subject)?;
        let prompts = prompts(fields.take("prompt"), subject, limits.prompt)?;
        let choices = fields.whole("n", 1..=limits.choices as u64)?.unwrap_or(1);
        if choices * prompts.len() as u64 > limits.choices as u64 {
            let (prompts, most) = (prompts.len(), limits.choices);
            return Err(ApiError::parameter(
                "n",
                format!("{choices} of {prompts} prompts, expected at most {most} in all"),
            ));
        }
        let length = fields.whole("max_tokens", 0..=limits.length as u64)?.unwrap_or(16) as usize;
        let sampler = sampler(&mut fields)?;
        let depth = depth(&mut fields, subject)?;
        let stop = stop(fields.take("stop"))?;
        let echo = fields.switch("echo")?.unwrap_or(false);
        let logprobs = fields.whole("logprobs", 0..=MOST_LOGPROBS as u64)?.map(|n| n as usize);
        let delivery = delivery(&mut fields)?;
        refuse_others(fields, choices)?;

        let news = Arc::new(Notify::new());
        let notice = if delivery == Delivery::Whole { Notice::TheEnd } else { Notice::EveryPart };
        let prompt_tokens = prompts.iter().map(|(tokens, _)| tokens.len()).sum();
        let mut tasks = Vec::new();
        for (prompt, owes_space) in prompts {
            for choice in 0..choices {
                // a story of its own each, that can be had again alone
                let sampler = SamplerConfig { seed: sampler.seed.wrapping_add(choice), ..sampler };
                let (prompt, stop) = (prompt.clone(), stop.clone());
                let output = Arc::new(Output::new(Arc::clone(&news), notice));
                tasks.push(Task { prompt, owes_space, sampler, depth, length, stop, echo, logprobs, output });
            }
        }
        Ok(Self { tasks, prompt_tokens, news, delivery })
    }
}

/// A request's parameters, of which those that were looked at are gone.
struct Fields(Map<String, Value>);

impl Fields {
    /// A value; none counts as not given, as does `null`.
    fn take(&mut self, name: &str) -> Option<Value> {
        self.0.remove(name).filter(|value| !value.is_null())
    }

    fn switch(&mut self, name: &str) -> Result<Option<bool>, ApiError> {
        self.take(name).map(|value| value.as_bool().ok_or_else(|| expected(name, "true or false", &value))).transpose()
    }

    fn whole(&mut self, name: &str, range: RangeInclusive<u64>) -> Result<Option<u64>, ApiError> {
        let check = |value: Value| {
            let what = || format!("a whole number from {} to {}", range.start(), range.end());
            value.as_u64().filter(|n| range.contains(n)).ok_or_else(|| expected(name, &what(), &value))
        };
        self.take(name).map(check).transpose()
    }

    /// A number that a flag of `flashlm` is, too: by that flag's parser.
    fn number<T>(&mut self, name: &str, parse: fn(&str) -> Result<T, String>) -> Result<Option<T>, ApiError> {
        let check = |value: Value| match &value {
            Value::Number(number) => parse(&number.to_string()).map_err(|e| ApiError::parameter(name, e)),
            other => Err(expected(name, "a number", other)),
        };
        self.take(name).map(check).transpose()
    }
}

/// What a value is, in a few words.
fn kind(value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::String(_) => "a string".into(),
        Value::Array(_) => "an array".into(),
        Value::Object(_) => "an object".into(),
    }
}

fn expected(name: &str, what: &str, found: &Value) -> ApiError {
    ApiError::parameter(name, format!("expected {what}, found {}", kind(found)))
}

/// The model asked for is the one there is. It need not be named.
fn check_model(fields: &mut Fields, subject: &Subject) -> Result<(), ApiError> {
    match fields.take("model") {
        None => Ok(()),
        Some(Value::String(name)) if name == subject.name => Ok(()),
        Some(Value::String(name)) => Err(unknown_model(&name, subject.name)),
        Some(other) => Err(expected("model", "a string", &other)),
    }
}

/// There is no model `name`.
pub fn unknown_model(name: &str, own: &str) -> ApiError {
    let name: String = name.chars().take(80).collect();
    let message = format!("there is no model {name:?} here: expected {own:?}");
    ApiError::new(StatusCode::NOT_FOUND, message).about("model").code("model_not_found")
}

/// The prompts' tokens, each with whether a space is owed behind them.
fn prompts(value: Option<Value>, subject: &Subject, longest: usize) -> Result<Vec<(Vec<u16>, bool)>, ApiError> {
    const WHAT: &str = "a string, an array of strings, an array of tokens or an array of such";
    let of_text = |text: &str| {
        let prompt = Prompt::new(text.as_bytes());
        checked(subject.tokenizer.encoded(prompt.text), longest).map(|tokens| (tokens, prompt.space))
    };
    let of_tokens = |tokens: &[Value]| {
        let tokens = tokens.iter().map(|token| one_token(token, subject)).collect::<Result<_, _>>()?;
        checked(tokens, longest).map(|tokens| (tokens, false))
    };
    match value {
        // a story from its beginning
        None => Ok(vec![(Vec::new(), false)]),
        Some(Value::String(text)) => Ok(vec![of_text(&text)?]),
        Some(Value::Array(values)) => match values.first() {
            Some(Value::Number(_)) => Ok(vec![of_tokens(&values)?]),
            Some(Value::String(_) | Value::Array(_)) => {
                let one = |value: &Value| match value {
                    Value::String(text) => of_text(text),
                    Value::Array(tokens) => of_tokens(tokens),
                    other => Err(expected("prompt", WHAT, other)),
                };
                values.iter().map(one).collect()
            }
            Some(other) => Err(expected("prompt", WHAT, other)),
            None => Err(ApiError::parameter("prompt", format!("expected {WHAT}, found an empty array"))),
        },
        Some(other) => Err(expected("prompt", WHAT, &other)),
    }
}

fn one_token(value: &Value, subject: &Subject) -> Result<u16, ApiError> {
    let vocab = u64::from(subject.model.config().vocab);
    let token = value.as_u64().filter(|&token| token < vocab);
    let token = token.ok_or_else(|| expected("prompt", &format!("tokens from 0 to {}", vocab - 1), value))?;
    Ok(token as u16)
}

fn checked(tokens: Vec<u16>, longest: usize) -> Result<Vec<u16>, ApiError> {
    if tokens.len() > longest {
        let message = format!("expected at most {longest} tokens, found {}", tokens.len());
        return Err(ApiError::parameter("prompt", message).code("context_length_exceeded"));
    }
    Ok(tokens)
}

fn sampler(fields: &mut Fields) -> Result<SamplerConfig, ApiError> {
    let seed = match fields.take("seed") {
        // "random" is how a seed is drawn
        None => "random".parse().map(|seed: Seed| seed.value).unwrap_or_default(),
        Some(value) => match (value.as_u64(), value.as_i64()) {
            (Some(seed), _) => seed,
            // OpenAI's are signed
            (None, Some(seed)) => seed.cast_unsigned(),
            (None, None) => return Err(expected("seed", "a whole number of at most 64 bits", &value)),
        },
    };
    Ok(SamplerConfig {
        temperature: fields.number("temperature", settings::temperature)?.unwrap_or(1.0),
        top_p: fields.number("top_p", settings::top_p)?.unwrap_or(1.0),
        top_k: fields.number("top_k", settings::top_k)?.unwrap_or(0),
        min_p: fields.number("min_p", settings::min_p)?.unwrap_or(0.0),
        repetition_penalty: fields.number("repetition_penalty", settings::repeat)?.unwrap_or(1.0),
        seed,
    })
}

fn depth(fields: &mut Fields, subject: &Subject) -> Result<Depth, ApiError> {
    let text = match fields.take("depth") {
        None => return Ok(subject.depth),
        Some(Value::Number(number)) => number.to_string(),
        Some(Value::String(text)) => text,
        Some(other) => return Err(expected("depth", "a number of passes or \"auto\"", &other)),
    };
    let depth = settings::depth(&text).map_err(|e| ApiError::parameter("depth", e))?;
    check_depth(depth, subject.model.config().rcsm.as_ref()).map_err(|e| ApiError::parameter("depth", e))?;
    Ok(depth)
}

fn stop(value: Option<Value>) -> Result<Vec<String>, ApiError> {
    let what = format!("a string or an array of at most {MOST_STOPS}");
    let words = match value {
        None => return Ok(Vec::new()),
        Some(Value::String(word)) => vec![word],
        Some(Value::Array(values)) if values.len() <= MOST_STOPS => {
            let word = |value| match value {
                Value::String(word) => Ok(word),
                other => Err(expected("stop", &what, &other)),
            };
            values.into_iter().map(word).collect::<Result<_, _>>()?
        }
        Some(Value::Array(values)) => {
            return Err(ApiError::parameter("stop", format!("expected {what}, found {}", values.len())));
        }
        Some(other) => return Err(expected("stop", &what, &other)),
    };
    let check = |word: &String| match word.len() {
        0..=LONGEST_STOP => settings::stop(word),
        length => Err(format!("expected texts of at most {LONGEST_STOP} bytes, found {length}")),
    };
    words.iter().map(|word| check(word).map_err(|e| ApiError::parameter("stop", e))).collect()
}

fn delivery(fields: &mut Fields) -> Result<Delivery, ApiError> {
    let stream = fields.switch("stream")?.unwrap_or(false);
    let usage = match fields.take("stream_options") {
        None => false,
        Some(_) if !stream => return Err(ApiError::parameter("stream_options", "expected only with stream")),
        Some(Value::Object(options)) => {
            let mut options = Fields(options);
            let usage = options.switch("include_usage")?.unwrap_or(false);
            if let Some(name) = options.0.keys().next() {
                return Err(unknown(&format!("stream_options.{name}")));
            }
            usage
        }
        Some(other) => return Err(expected("stream_options", "an object", &other)),
    };
    Ok(if stream { Delivery::Stream { usage } } else { Delivery::Whole })
}

fn unknown(name: &str) -> ApiError {
    let name: String = name.chars().take(80).collect();
    ApiError::new(StatusCode::BAD_REQUEST, format!("Unrecognized request argument supplied: {name}")).about(&name)
}

/// Refuses what is asked for and not done here. What asks for nothing is let pass: programs send defaults along.
fn refuse_others(mut fields: Fields, choices: u64) -> Result<(), ApiError> {
    for name in ["frequency_penalty", "presence_penalty"] {
        if let Some(value) = fields.take(name).filter(|value| value.as_f64() != Some(0.0)) {
            return Err(expected(name, "0: there is repetition_penalty instead", &value));
        }
    }
    if let Some(value) = fields.take("best_of").filter(|value| value.as_u64() != Some(choices)) {
        return Err(expected("best_of", "as many as n: none is better here", &value));
    }
    if let Some(value) = fields.take("logit_bias").filter(|value| value.as_object().is_none_or(|map| !map.is_empty())) {
        return Err(expected("logit_bias", "none", &value));
    }
    if let Some(value) = fields.take("suffix").filter(|value| value.as_str() != Some("")) {
        return Err(expected("suffix", "none: models here only go on", &value));
    }
    // who asks makes no difference
    fields.take("user");
    fields.0.retain(|_, value| !value.is_null());
    fields.0.keys().next().map_or(Ok(()), |name| Err(unknown(name)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model;

    fn subject() -> Subject {
        let blob = Box::leak(Box::new(model::open(None).unwrap()));
        let model = blob.model().unwrap();
        let tokenizer = *model.tokenizer().unwrap();
        Subject { model, tokenizer, name: "flashlm", depth: model.default_depth() }
    }

    fn limits() -> Limits {
        let second = std::time::Duration::from_secs(1);
        Limits {
            threads: 1,
            streams: 1,
            queue: 1,
            connections: 1,
            prompt: 20,
            length: 100,
            choices: 4,
            body: 1000,
            receive: second,
            write: second,
            answer: second,
            grace: second,
        }
    }

    #[test]
    fn what_is_not_given_is_as_openai_has_it() {
        let subject = subject();
        let request = Completions::parse(b"{}", &subject, &limits()).unwrap();
        let [task] = &request.tasks[..] else { panic!("{request:?}") };
        assert_eq!((task.length, task.prompt.len(), task.echo, task.logprobs), (16, 0, false, None));
        assert_eq!((task.sampler.temperature, task.sampler.top_p), (1.0, 1.0));
        assert_eq!((request.delivery, task.depth), (Delivery::Whole, subject.depth));
        let seed = |body: &[u8]| Completions::parse(body, &subject, &limits()).unwrap().tasks[0].sampler.seed;
        assert!((0..8).any(|_| seed(b"{}") != task.sampler.seed), "seeds are drawn");
        assert_eq!(seed(br#"{"seed": -1}"#), u64::MAX);
        assert_eq!(seed(br#"{"seed": 18446744073709551615}"#), u64::MAX);
    }

    #[test]
    fn numbers_are_those_that_flags_have() {
        for text in ["0.7", "0.1", "1e-3", "0.30000001192092896", "9.999999"] {
            let body = format!("{{\"temperature\": {text}}}");
            let request = Completions::parse(body.as_bytes(), &subject(), &limits()).unwrap();
            assert_eq!(Ok(request.tasks[0].sampler.temperature), settings::temperature(text));
        }
    }

    #[test]
    fn prompts_have_every_form_that_openai_has() {
        let subject = subject();
        let tokens = subject.tokenizer.encoded(b"The cat");
        let of = |prompt: Value| {
            let body = json!({ "prompt": prompt, "n": 2, "seed": 5 }).to_string();
            let tasks = Completions::parse(body.as_bytes(), &subject, &limits()).unwrap().tasks;
            tasks.into_iter().map(|task| (task.prompt, task.owes_space, task.sampler.seed)).collect::<Vec<_>>()
        };
        let two = |tokens: &[u16], space| vec![(tokens.to_vec(), space, 5), (tokens.to_vec(), space, 6)];
        assert_eq!(of(json!("The cat")), two(&tokens, false));
        assert_eq!(of(json!("The cat ")), two(&tokens, true));
        assert_eq!(of(json!(tokens)), two(&tokens, false));
        assert_eq!(of(json!(["", "The cat"])), [two(&[], false), two(&tokens, false)].concat());
        assert_eq!(of(json!([[1], tokens])), [two(&[1], false), two(&tokens, false)].concat());
    }

    #[test]
    fn what_cannot_be_done_is_refused_with_the_parameter() {
        let subject = subject();
        for (body, param, message) in [
            (json!({ "prompt": 1 }), "prompt", "expected a string"),
            (json!({ "prompt": [] }), "prompt", "empty array"),
            (json!({ "prompt": [1, "a"] }), "prompt", "expected tokens from 0 to"),
            (json!({ "prompt": [65535] }), "prompt", "expected tokens from 0 to"),
            (json!({ "prompt": "a ".repeat(50) }), "prompt", "at most 20 tokens"),
            (json!({ "prompt": ["a", "b", "c"], "n": 2 }), "n", "at most 4"),
            (json!({ "n": 0 }), "n", "from 1 to 4"),
            (json!({ "max_tokens": 101 }), "max_tokens", "from 0 to 100"),
            (json!({ "max_tokens": -1 }), "max_tokens", "from 0 to 100"),
            (json!({ "temperature": 11 }), "temperature", "from 0 to 10"),
            (json!({ "temperature": "hot" }), "temperature", "a number"),
            (json!({ "top_p": 0 }), "top_p", "above 0"),
            (json!({ "seed": 1.5 }), "seed", "a whole number"),
            (json!({ "depth": 99 }), "depth", "depths are"),
            (json!({ "depth": "deep" }), "depth", "found \"deep\""),
            (json!({ "stop": "" }), "stop", "a text to stop at"),
            (json!({ "stop": ["a", "b", "c", "d", "e"] }), "stop", "at most 4, found 5"),
            (json!({ "stop": "a".repeat(257) }), "stop", "at most 256 bytes, found 257"),
            (json!({ "logprobs": 6 }), "logprobs", "from 0 to 5"),
            (json!({ "stream": "yes" }), "stream", "true or false"),
            (json!({ "stream_options": {} }), "stream_options", "only with stream"),
            (json!({ "frequency_penalty": 0.5 }), "frequency_penalty", "repetition_penalty"),
            (json!({ "presence_penalty": -1 }), "presence_penalty", "repetition_penalty"),
            (json!({ "best_of": 3 }), "best_of", "as many as n"),
            (json!({ "logit_bias": { "5": 1 } }), "logit_bias", "none"),
            (json!({ "suffix": "end" }), "suffix", "none"),
            (json!({ "wombat": 1 }), "wombat", "Unrecognized request argument supplied: wombat"),
        ] {
            let error = Completions::parse(body.to_string().as_bytes(), &subject, &limits()).unwrap_err().json();
            let found = error["error"]["message"].as_str().unwrap();
            assert!(error["error"]["param"] == param && found.contains(message), "{body}: {error}");
        }
        let defaults = json!({
            "frequency_penalty": 0, "presence_penalty": 0.0, "best_of": 1, "logit_bias": {}, "suffix": null,
            "user": "me", "model": "flashlm", "stop": null, "logprobs": null, "wombat": null,
        });
        assert!(Completions::parse(defaults.to_string().as_bytes(), &subject, &limits()).is_ok());
        let error = Completions::parse(br#"{"model": "gpt"}"#, &subject, &limits()).unwrap_err().json();
        assert_eq!(error["error"]["code"], "model_not_found");
        for bad in [&b""[..], b"[]", b"{", b"\xff", b"{\"a\":1}}"] {
            assert!(Completions::parse(bad, &subject, &limits()).is_err());
        }
        // as deep as a body can be
        assert!(Completions::parse("[".repeat(500_000).as_bytes(), &subject, &limits()).is_err());
    }
}
