//! Many clients at once.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde_json::{Value, json};

use super::client::{Server, generate};

const CLIENTS: usize = 64;
/// Requests of every client.
const REQUESTS: usize = 6;

/// Memory of a process, bytes.
#[cfg(target_os = "linux")]
fn resident(id: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
}

/// Requests of every kind, and what `flashlm` tells for each by itself.
fn cases() -> Vec<(Value, String)> {
    let prompts = ["Once upon a time", "Tom saw the ", "", "Lily and Ben went to the park. They"];
    let mut cases = Vec::new();
    for (seed, (prompt, depth)) in (1..).zip(prompts.iter().flat_map(|prompt| ["1", "3", "auto"].map(|d| (prompt, d))))
    {
        let temperature = if seed % 4 == 0 { 0.0 } else { 1.0 };
        let (temp, seed_text) = (temperature.to_string(), seed.to_string());
        let flags =
            ["-p", prompt, "--seed", &seed_text, "--temp", &temp, "--top-p", "1", "-n", "120", "--depth", depth];
        let depth = depth.parse::<u8>().map_or(json!(depth), |depth| json!(depth));
        let request =
            json!({ "prompt": prompt, "seed": seed, "temperature": temperature, "max_tokens": 120, "depth": depth });
        cases.push((request, generate(&flags)["text"].as_str().expect("a text").to_owned()));
    }
    cases
}

#[test]
fn of_64_clients_each_gets_its_own_text_and_memory_stays() {
    let cases = cases();
    let server = Server::start(&["--queue", "32"]);
    // once around, so that what is kept for ever is there
    let one_round = || {
        let (next, told) = (AtomicUsize::new(0), Mutex::new(BTreeMap::<&str, usize>::new()));
        thread::scope(|scope| {
            for client in 0..CLIENTS {
                let (server, cases, next, told) = (&server, &cases, &next, &told);
                scope.spawn(move || {
                    for _ in 0..REQUESTS {
                        let (mut request, want) = cases[next.fetch_add(1, Ordering::Relaxed) % cases.len()].clone();
                        let streams = client % 2 == 0;
                        request["stream"] = streams.into();
                        let (text, how) = if streams {
                            (server.complete(&request).streamed(0), "streamed")
                        } else {
                            (server.text(&request).0, "whole")
                        };
                        assert_eq!(text, want, "{request}");
                        *told.lock().unwrap().entry(how).or_default() += 1;
                    }
                });
            }
        });
        let told = told.into_inner().unwrap();
        assert_eq!(told.values().sum::<usize>(), CLIENTS * REQUESTS, "{told:?}");
        assert_eq!(told["whole"], told["streamed"]);
    };
    one_round();
    #[cfg(target_os = "linux")]
    let before = resident(server.child.id());
    one_round();
    #[cfg(target_os = "linux")]
    {
        let after = resident(server.child.id());
        println!("{before} bytes resident before {} requests, {after} after", CLIENTS * REQUESTS);
        assert!(after < before + (8 << 20), "{before} bytes before, {after} after");
        assert!(after < 64 << 20, "{after} bytes");
    }
    let metrics = server.get("/metrics").body;
    assert!(!metrics.contains("status=\"4") && !metrics.contains("status=\"5"), "{metrics}");
}
