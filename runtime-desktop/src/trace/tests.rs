use flashlm_core::config::{ModelConfig, Writes};
use flashlm_core::testing::{Blob, SMALL, random_sections};
use flashlm_core::{Depth, Facts, Kernels, Model, Session, blob, tokenizer};

use super::*;

const EOT: u16 = 256;

/// A tokenizer of bytes: 'a' is token 'a' + 1 in tables where 0 ends a story.
fn bytes() -> Vec<u8> {
    [&tokenizer::MAGIC[..], &[1, 0, 0, 0]].concat()
}

fn engine(writes: Writes) -> RcsmConfig {
    RcsmConfig { taps: 2, writes, ..RcsmConfig::DEFAULT }
}

/// Processes one token by hand: a pass that reads at `address`, then what the token writes.
fn told(trace: &mut Trace, token: u16, address: &[f32], gates: [f32; 2], context: &[f32], own: &[f32]) {
    trace.expect(&[token]);
    trace.pass(Pass { index: 0, ops: [3, 1], weights: [0.75, 0.25], address, hop: 0.0, hold: 1.0, read: &[] });
    trace.depth(1, &[]);
    trace.write(MemoryWrite { gates, context, token: own });
}

fn encoded(tokenizer: &Tokenizer, text: &str) -> Vec<u16> {
    let mut tokens = vec![0; text.len()];
    let used = tokenizer.encode(text.as_bytes(), &mut tokens).unwrap();
    assert_eq!(used, text.len(), "tokens of bytes");
    tokens
}

#[test]
fn a_read_names_what_came_after_a_context_and_what_came_before_a_token() {
    let (table, [x, y, z]) = (bytes(), [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]);
    let tokenizer = Tokenizer::from_bytes(&table).unwrap();
    let eot = tokenizer.eot();
    let [a, b, c] = encoded(&tokenizer, "abc")[..] else { panic!("three tokens") };
    let mut trace = Trace::new(&engine(Writes::Both), eot, 2);
    told(&mut trace, eot, &x, [0.0, 0.0], &z, &z);
    told(&mut trace, a, &x, [0.0, 0.0], &z, &z);
    // b is written at x with a gate of 1, and c too: it takes b's place
    told(&mut trace, b, &x, [1.0, 0.5], &x, &y);
    told(&mut trace, c, &x, [1.0, 0.0], &x, &z);
    told(&mut trace, a, &x, [0.0, 0.0], &z, &z);
    trace.drawn(b);
    let after = Link { writer: 3, direction: Direction::After, share: 1.0, similarity: 1.0 };
    assert_eq!(trace.steps[0].hops[0].reads, [after]);
    told(&mut trace, a, &y, [0.0, 0.0], &z, &z);
    trace.drawn(eot);
    let before = Link { writer: 2, direction: Direction::Before, share: 0.5, similarity: 1.0 };
    assert_eq!(trace.steps[1].hops[0].reads, [before]);
    assert_eq!(
        trace.lines(&tokenizer),
        "\"b\" after \"a\": 1 pass\n  \
         1: operations 3 0.75, 1 0.25; read \"c\" after \"ab\" 1.00 (cosine 1.00)\n\
         \"<|endoftext|>\" after \"a\": 1 pass\n  \
         1: operations 3 0.75, 1 0.25; read \"<|endoftext|>a\" before \"b\" 0.50 (cosine 1.00)\n"
    );
    let json = trace.json(&tokenizer);
    assert_eq!(json[1]["passes"][0]["reads"][0]["context"], "<|endoftext|>a");
    assert_eq!((&json[0]["token"], &json[0]["position"]), (&json!("b"), &json!(5)));
}

#[test]
fn a_new_story_reads_nothing_of_the_one_before() {
    let x = [1.0, 0.0];
    let mut trace = Trace::new(&engine(Writes::Both), EOT, 0);
    told(&mut trace, 5, &x, [1.0, 1.0], &x, &x);
    told(&mut trace, 6, &x, [1.0, 1.0], &x, &x);
    trace.drawn(EOT);
    assert!(!trace.steps[0].hops[0].reads.is_empty());
    told(&mut trace, EOT, &x, [1.0, 1.0], &x, &x);
    trace.drawn(7);
    assert_eq!((trace.steps[1].input, &trace.steps[1].hops[0].reads[..]), (0, &[][..]));
}

/// Counts what the loop tells, beside the trace.
#[derive(Default)]
struct Told {
    trace: Option<Trace>,
    /// Passes of every token, and the logits that decided them.
    depths: Vec<(u8, usize)>,
}

impl Observer for Told {
    fn depth(&mut self, passes: u8, logits: &[f32]) {
        self.depths.push((passes, logits.len()));
        self.trace.iter_mut().for_each(|trace| trace.depth(passes, logits));
    }

    fn pass(&mut self, pass: Pass<'_>) {
        self.trace.iter_mut().for_each(|trace| trace.pass(pass));
    }

    fn write(&mut self, write: MemoryWrite<'_>) {
        self.trace.iter_mut().for_each(|trace| trace.write(write));
    }
}

#[test]
fn every_token_of_a_model_has_its_passes_and_reads_only_what_came_before() {
    for writes in [Writes::None, Writes::Forward, Writes::Both] {
        let rcsm = RcsmConfig { writes, ..SMALL.rcsm.unwrap() };
        let config = ModelConfig { vocab: 257, rcsm: Some(rcsm), ..SMALL };
        let mut sections = random_sections(&config, 4);
        sections[blob::Role::Tokenizer as usize] = bytes();
        let packed = Blob::new(&blob::write(&config, &Facts::default(), &sections).unwrap());
        let model = Model::from_bytes(packed.bytes()).unwrap();
        let tokenizer = *model.tokenizer().unwrap();
        let tokens = [vec![tokenizer.eot()], encoded(&tokenizer, "Tom is in the barn. Tom")].concat();
        for depth in [Depth::Fixed(1), Depth::Fixed(3), Depth::Adaptive] {
            let mut session = Session::on_heap(model, Kernels::detect());
            session.set_depth(depth).unwrap();
            let mut told = Told { trace: Some(Trace::new(&rcsm, tokenizer.eot(), 0)), depths: Vec::new() };
            for &token in &tokens {
                told.trace.as_mut().unwrap().expect(&[token]);
                session.step_observed(token, &mut told).unwrap();
                told.trace.as_mut().unwrap().drawn(1);
            }
            let trace = told.trace.unwrap();
            assert_eq!(trace.steps.len(), tokens.len());
            let mut links = Vec::new();
            for (t, (step, (passes, asked))) in trace.steps.iter().zip(told.depths).enumerate() {
                assert_eq!((step.input, step.hops.len(), step.deeper.len()), (t, passes.into(), asked));
                for link in step.hops.iter().flat_map(|hop| &hop.reads) {
                    assert!(link.writer < t && link.similarity.abs() < 1.001, "{link:?}");
                    links.push(link.direction);
                }
            }
            assert_eq!(links.contains(&Direction::After), writes != Writes::None);
            assert_eq!(links.contains(&Direction::Before), writes == Writes::Both);
            assert_eq!(trace.lines(&tokenizer).lines().filter(|line| !line.starts_with(' ')).count(), tokens.len());
        }
    }
}
