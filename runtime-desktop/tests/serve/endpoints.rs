//! Every endpoint, parameter and error.

use serde_json::{Value, json};

use super::client::{Server, flashlm, generate, post};

/// Settings as flags of `flashlm generate` and as a request.
fn settings() -> Vec<(Vec<&'static str>, Value)> {
    vec![
        (vec!["-p", "Once upon a time", "-n", "60"], json!({ "prompt": "Once upon a time", "max_tokens": 60 })),
        (
            vec!["-p", "Tom saw a", "-n", "400", "--temp", "0"],
            json!({ "temperature": 0, "prompt": "Tom saw a", "max_tokens": 400 }),
        ),
        (
            vec!["-p", "Tom saw the ", "-n", "30", "--temp", "2"],
            json!({ "temperature": 2, "prompt": "Tom saw the ", "max_tokens": 30 }),
        ),
        (vec!["-p", "", "-n", "25", "--top-k", "3"], json!({ "prompt": "", "top_k": 3, "max_tokens": 25 })),
        (vec!["-p", "", "-n", "25", "--top-p", "0.3"], json!({ "top_p": 0.3, "max_tokens": 25 })),
        (
            vec!["-p", "Lily said,", "-n", "80", "--min-p", "0.1", "--repeat", "1.3", "--depth", "8"],
            json!({ "prompt": "Lily said,", "max_tokens": 80, "min_p": 0.1, "repetition_penalty": 1.3, "depth": 8 }),
        ),
        (
            vec!["-p", "One day", "-n", "40", "--depth", "auto"],
            json!({ "prompt": "One day", "max_tokens": 40, "depth": "auto" }),
        ),
        (
            vec!["-p", "Once", "-n", "300", "--stop", "and the", "--stop", " he "],
            json!({ "prompt": "Once", "max_tokens": 300, "stop": ["and the", " he "] }),
        ),
        (
            vec!["-p", "The \u{e9}t\u{e9} \u{1f642}", "-n", "60", "--temp", "3"],
            json!({ "prompt": "The \u{e9}t\u{e9} \u{1f642}", "max_tokens": 60, "temperature": 3 }),
        ),
    ]
}

/// The same with a seed, and everything that `flashlm` has other defaults for.
fn case(flags: &[&'static str], request: &Value, seed: u64) -> (Value, Value) {
    let seed_text = seed.to_string();
    let mut flags = [flags, &["--seed", &seed_text]].concat();
    let mut request = request.clone();
    request["seed"] = seed.into();
    for (flag, name, value) in [("--temp", "temperature", 0.7), ("--top-p", "top_p", 0.95)] {
        if !flags.contains(&flag) {
            request[name] = value.into();
        }
    }
    flags.extend(["--color", "never"]);
    (generate(&flags), request)
}

#[test]
fn a_request_has_the_text_that_flashlm_tells_whole_and_in_events() {
    let server = Server::start(&[]);
    for (seed, (flags, request)) in (3..).zip(settings()) {
        let (want, mut request) = case(&flags, &request, seed);
        let answer = server.complete(&request);
        assert_eq!(answer.status, 200, "{answer:?}");
        let answer = answer.json();
        let choice = &answer["choices"][0];
        assert_eq!(choice["text"], want["text"], "{request}");
        let reason = if want["ended"] == "length" { "length" } else { "stop" };
        assert_eq!((&choice["finish_reason"], &choice["seed"]), (&json!(reason), &json!(seed)), "{want}");
        assert_eq!(choice["logprobs"], Value::Null);
        let count = |name: &str| want[name].as_u64().unwrap();
        let (read, told) = (count("prompt_tokens"), count("tokens"));
        let usage = json!({ "prompt_tokens": read, "completion_tokens": told, "total_tokens": read + told });
        assert_eq!(answer["usage"], usage);

        request["stream"] = true.into();
        request["stream_options"] = json!({ "include_usage": true });
        let streamed = server.complete(&request);
        assert_eq!(streamed.streamed(0), want["text"].as_str().unwrap(), "{request}");
        let events = streamed.events();
        assert!(events.iter().all(|event| event["id"] == events[0]["id"] && event["object"] == "text_completion"));
        let (last, parts) = events.split_last().unwrap();
        assert_eq!((&last["usage"], &last["choices"]), (&usage, &json!([])));
        assert!(parts.iter().all(|part| part["usage"].is_null() && part.get("usage").is_some()));
        let reasons: Vec<&Value> = parts.iter().map(|part| &part["choices"][0]["finish_reason"]).collect();
        assert!(reasons.split_last().is_some_and(|(last, rest)| *last == reason && rest.iter().all(|r| r.is_null())));
        assert!(!streamed.body.contains('\u{fffd}'));
    }
}

#[test]
fn an_answer_says_what_it_is_of() {
    let server = Server::start(&["--name", "tiny/story"]);
    let answer = server.complete(&json!({ "model": "tiny/story", "prompt": "A", "max_tokens": 1 })).json();
    let model = server.get("/v1/models/tiny/story").json();
    assert!(answer["id"].as_str().unwrap().starts_with("cmpl-") && answer["created"].as_u64().unwrap() > 1_700_000_000);
    assert_eq!((&answer["object"], &answer["model"]), (&json!("text_completion"), &json!("tiny/story")));
    assert_eq!(answer["system_fingerprint"], model["system_fingerprint"]);
    assert_eq!(server.get("/v1/models").json()["data"], json!([model]));
    assert_eq!((&model["id"], &model["object"]), (&json!("tiny/story"), &json!("model")));
    let missing = server.get("/v1/models/gpt-4");
    assert!(missing.status == 404 && missing.json()["error"]["code"] == "model_not_found");
}

#[test]
fn many_choices_are_what_each_is_alone() {
    let server = Server::start(&[]);
    let one = |prompt: &str, seed: u64| server.text(&json!({ "prompt": prompt, "seed": seed, "max_tokens": 30 }));
    let prompts = ["The cat", "Once upon a time there was a big", ""];
    let request = json!({ "prompt": prompts, "n": 3, "seed": 40, "max_tokens": 30 });
    let choices = server.complete(&request).json()["choices"].as_array().unwrap().clone();
    let mut streaming = request.clone();
    streaming["stream"] = true.into();
    let streamed = server.complete(&streaming);
    assert_eq!(choices.len(), 9);
    for (index, choice) in choices.iter().enumerate() {
        let (prompt, seed) = (prompts[index / 3], 40 + index as u64 % 3);
        let (text, reason) = one(prompt, seed);
        assert_eq!((&choice["text"], &choice["finish_reason"]), (&json!(text), &json!(reason)));
        assert_eq!((&choice["index"], &choice["seed"]), (&json!(index), &json!(seed)));
        assert_eq!(streamed.streamed(index), text);
    }
}

#[test]
fn a_seed_that_was_drawn_gives_the_text_again() {
    let server = Server::start(&[]);
    let draw = || server.complete(&json!({ "prompt": "Once", "max_tokens": 40 })).json()["choices"][0].clone();
    let (first, other) = (draw(), draw());
    assert_ne!(first["seed"], other["seed"]);
    let again = server.text(&json!({ "prompt": "Once", "max_tokens": 40, "seed": first["seed"] }));
    assert_eq!(again.0, first["text"].as_str().unwrap());
}

#[test]
fn an_echo_with_probabilities_scores_a_text_as_flashlm_does() {
    let server = Server::start(&[]);
    let text = "Tom saw the cat. The \u{e9}t\u{e9} was long.";
    let request = json!({ "prompt": text, "max_tokens": 0, "echo": true, "logprobs": 2 });
    let answer = server.complete(&request).json();
    let choice = &answer["choices"][0];
    assert_eq!((&choice["text"], &choice["finish_reason"]), (&json!(text), &json!("length")));
    let logprobs = &choice["logprobs"];
    let list = |name: &str| logprobs[name].as_array().unwrap().clone();
    let bits: f64 = list("token_logprobs").iter().map(|p| -p.as_f64().unwrap() / std::f64::consts::LN_2).sum();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("text");
    std::fs::write(&file, text).unwrap();
    let scored = flashlm(&["score", file.to_str().unwrap()]).stdout;
    let want: f64 = str::from_utf8(&scored).unwrap().trim().parse().unwrap();
    assert!((bits - want).abs() < 1e-3, "{bits} {want}");
    assert_eq!(answer["usage"]["prompt_tokens"], list("tokens").len());
    // every token stands where it is said to
    let characters: Vec<char> = text.chars().collect();
    let mut seen = 0;
    for (token, offset) in list("tokens").iter().zip(list("text_offset")) {
        let token = token.as_str().unwrap();
        if !token.starts_with("bytes:") {
            let offset = offset.as_u64().unwrap() as usize;
            let there: String = characters[offset..].iter().take(token.chars().count()).collect();
            assert_eq!(there, token);
            seen += 1;
        }
    }
    assert!(seen > 8, "{logprobs}");
    assert!(list("top_logprobs").iter().all(|top| top.as_object().is_some_and(|top| top.len() == 2)));
}

#[test]
fn the_likeliest_token_is_told_as_such_and_probabilities_change_no_text() {
    let server = Server::start(&[]);
    let mut request = json!({ "prompt": "Once upon", "max_tokens": 20, "temperature": 0 });
    let plain = server.text(&request).0;
    request["logprobs"] = 5.into();
    for stream in [false, true] {
        request["stream"] = stream.into();
        let answer = server.complete(&request);
        let choices: Vec<Value> = if stream {
            answer.events().iter().map(|event| event["choices"][0].clone()).collect()
        } else {
            vec![answer.json()["choices"][0].clone()]
        };
        let mut text = String::new();
        for choice in choices {
            text += choice["text"].as_str().unwrap();
            let logprobs = &choice["logprobs"];
            let tokens = logprobs["tokens"].as_array().unwrap();
            for (i, token) in tokens.iter().enumerate() {
                let top = logprobs["top_logprobs"][i].as_object().unwrap();
                let best = top.values().map(|p| p.as_f64().unwrap()).fold(f64::NEG_INFINITY, f64::max);
                assert_eq!(top[token.as_str().unwrap()].as_f64().unwrap(), best);
                assert_eq!(logprobs["token_logprobs"][i].as_f64().unwrap(), best);
            }
        }
        assert_eq!(text, plain);
    }
}

#[test]
fn tokens_are_a_prompt_too_and_stop_words_are_never_shown_in_part() {
    let server = Server::start(&[]);
    let echo = json!({ "prompt": "The cat sat", "max_tokens": 0, "echo": true, "logprobs": 0 });
    assert_eq!(server.text(&echo).0, "The cat sat");
    // bytes are tokens: 1 + the byte
    let bytes: Vec<u16> = b"The cat".iter().map(|&byte| 1 + u16::from(byte)).collect();
    let told = server.complete(&json!({ "prompt": bytes, "max_tokens": 5, "echo": true, "temperature": 0 }));
    assert!(told.json()["choices"][0]["text"].as_str().unwrap().starts_with("The cat"), "{told:?}");
    assert_eq!(told.json()["usage"]["prompt_tokens"], 7);
    // a character whose first byte is the prompt's is the story's to finish
    let half = json!({ "prompt": [1 + 0xc3], "max_tokens": 1, "temperature": 0 });
    let (text, _) = server.text(&half);
    assert!(text.chars().count() >= 1 && !text.contains('\u{fffd}'), "{text:?}");

    let (whole, _) = server.text(&json!({ "prompt": "Once", "max_tokens": 60, "temperature": 0 }));
    let words: Vec<char> = whole.chars().collect();
    for at in [5, 11, 23] {
        let stop: String = words[at..at + 9].iter().collect();
        let request = json!({ "prompt": "Once", "max_tokens": 60, "temperature": 0, "stop": stop, "stream": true });
        let before = &whole[..whole.find(&stop).unwrap()];
        assert_eq!(server.complete(&request).streamed(0), before);
    }
}

#[test]
fn errors_have_openais_form_and_their_status() {
    let server = Server::start(&["--max-body", "2000", "--max-prompt", "50", "--queue", "0", "--streams", "1"]);
    let mut refused = 0;
    let mut check = |answer: super::client::Answer, status: u16, message: &str| {
        assert_eq!(answer.status, status, "{answer:?}");
        assert!(answer.error().contains(message), "{answer:?}");
        assert!(answer.head.contains("content-type: application/json"));
        refused += 1;
        answer
    };
    check(server.complete(&json!({ "temperature": -1 })), 400, "temperature: expected a number from 0 to 10");
    check(server.complete(&json!({ "model": "gpt-4" })), 404, "expected \"flashlm\"");
    check(server.complete(&json!({ "prompt": "a b ".repeat(60) })), 400, "at most 50 tokens");
    check(server.send(&post("{\"prompt\": ")), 400, "expected a body of JSON");
    check(server.send(&post("\u{0}")), 400, "expected a body of JSON");
    check(server.get("/v1/chat/completions"), 404, "there is no /v1/chat/completions");
    check(server.get("/v1/completions"), 405, "another method");
    check(server.complete(&json!({ "prompt": "a".repeat(4000) })), 413, "at most 2000 bytes");
    // 2 streams, no queue
    let busy = check(server.complete(&json!({ "n": 3 })), 429, "told or wait");
    assert!(busy.head.contains("retry-after: 1") && busy.json()["error"]["code"] == "rate_limit_exceeded");
    let form = String::from_utf8(post("{}")).unwrap().replace("application/json", "text/plain");
    check(server.send(form.as_bytes()), 415, "application/json");
    for host in ["evil.example", "localhost.evil.example"] {
        let request = format!("GET /v1/models HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        check(server.send(request.as_bytes()), 403, "localhost");
    }
    assert_eq!(server.get("/health").json(), json!({ "status": "ok" }));
    let counted: u64 = server
        .get("/metrics")
        .body
        .lines()
        .filter_map(|line| {
            line.strip_prefix("flashlm_requests_total{status=\"4")?.split(' ').nth(1)?.parse::<u64>().ok()
        })
        .sum();
    assert_eq!(counted, refused);
}

#[test]
fn a_key_is_asked_for_everywhere_but_at_the_health() {
    let server = Server::start(&["--api-key", "secret"]);
    let with = |header: &str, path: &str| {
        server.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{header}\r\n").as_bytes())
    };
    for header in
        ["", "Authorization: Bearer wrong\r\n", "Authorization: secret\r\n", "Authorization: Bearer secre\r\n"]
    {
        for path in ["/v1/models", "/metrics", "/nowhere"] {
            let answer = with(header, path);
            assert!(answer.status == 401 && answer.error().contains("API key"), "{answer:?}");
            assert_eq!(answer.json()["error"]["code"], "invalid_api_key");
        }
    }
    assert_eq!(with("Authorization: Bearer secret\r\n", "/v1/models").status, 200);
    assert_eq!(with("", "/health").status, 200);
}

#[test]
fn metrics_count_what_was_told() {
    let server = Server::start(&[]);
    let request = json!({ "prompt": "Once upon a time", "max_tokens": 9, "n": 2, "temperature": 0 });
    let usage = server.complete(&request).json()["usage"].clone();
    assert_eq!(server.metric("flashlm_completion_tokens_total"), usage["completion_tokens"].as_f64().unwrap());
    assert_eq!(server.metric("flashlm_prompt_tokens_total"), 2.0 * usage["prompt_tokens"].as_f64().unwrap());
    assert!(server.metric("flashlm_tokens_per_second") > 0.0);
    assert_eq!(server.metric("flashlm_request_duration_seconds_count"), 1.0);
    assert_eq!(server.metric("flashlm_streams_limit"), 32.0);
    assert_eq!(server.metric("flashlm_queue_length"), 0.0);
    server.wait_for("flashlm_streams_active", 0.0);
    let text = server.get("/metrics").body;
    // every number has its help and its type
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let name = line.split(['{', ' ']).next().unwrap();
        let name = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
        assert!(text.contains(&format!("# TYPE {name} ")) && text.contains(&format!("# HELP {name} ")), "{line}");
    }
}
