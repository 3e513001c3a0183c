//! A context of any length: the millionth token takes the time and the memory of the first thousand.

mod common;

use std::hint::black_box;
use std::time::Instant;

use common::{engine, models};
use flashlm_core::{Facts, Sampler, SamplerConfig};
use flashlm_host::{Blob, peak_memory};
use trainer::export::write_blob;
use trainer::kernels::Isa;

const TOKENS: usize = 1_000_000;
/// Tokens timed together.
const PART: usize = 10_000;

#[test]
#[ignore = "takes minutes, and an idle machine: bash tests/limits.sh runs it"]
fn a_million_tokens_take_the_time_and_memory_of_the_first() {
    for (name, config) in models() {
        let engine = engine(config, Isa::detect(), 1, 8);
        let bytes = write_blob(&config, &Facts::default(), &[], &|name| engine.params().tensor(name)).expect("packs");
        let blob = Blob::copy(name, &bytes).expect("memory");
        let mut session = blob.session(None).expect("a session");
        let mut sampler = Sampler::new(SamplerConfig::default()).expect("settings");
        let (mut token, mut seconds, mut memory) = (0, Vec::new(), 0);
        for part in 0..TOKENS / PART {
            let started = Instant::now();
            for _ in 0..PART {
                session.step(token).expect("a token");
                // not the story's end, which would begin anew
                token = black_box(session.sample(&mut sampler).expect("a token")).max(1);
            }
            seconds.push(started.elapsed().as_secs_f64());
            if part == 0 {
                memory = peak_memory().unwrap_or(0);
            }
        }
        let grown = peak_memory().unwrap_or(0) - memory;
        let median = |part: &[f64]| {
            let mut part = part.to_vec();
            part.sort_by(f64::total_cmp);
            part[part.len() / 2]
        };
        let (first, last) = (median(&seconds[..10]), median(&seconds[seconds.len() - 10..]));
        println!(
            "{name}: {TOKENS} tokens; the last {PART} took {:.2} of the first's time, {grown} bytes more memory",
            last / first
        );
        assert!(last < 1.5 * first, "{name}: {first} s, then {last} s");
        assert!(grown < 1 << 20, "{name}: {grown} bytes");
    }
}
