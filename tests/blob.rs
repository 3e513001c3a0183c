//! A model file that was committed once loads and tells the same text for as long as its version is supported.
//!
//! `golden/version-N.flm` are small trained models; `golden/README.md` says how they were made. What is expected of
//! them here was written down when they were committed and does not change: where it has to, the format's version does.

use flashlm_core::blob::VERSION;
use flashlm_core::text::Prompt;
use flashlm_core::{
    Depth, Facts, Generation, Kernels, Line, ModelConfig, Observer, RcsmConfig, Sampler, SamplerConfig, Session,
    fingerprint,
};
use flashlm_host::Blob;

static GOLDEN: &[u8] = include_bytes!("golden/version-4.flm");

/// What the golden model gives at one depth.
struct Told {
    depth: Depth,
    /// [`fingerprint`] of 200 tokens after "Once upon a time", as `flashlm fingerprint` draws them.
    fingerprint: u64,
    /// Passes that the 50 tokens of `greedy` took together, with those of the prompt.
    passes: u64,
    greedy: &'static str,
    /// Drawn with the seed 7 after a prompt that ends in a space and has symbols that no training text had.
    drawn: &'static str,
}

const TOLD: [Told; 4] = [
    Told {
        depth: Depth::Fixed(1),
        fingerprint: 0x7234_4b6b_3f2f_5f22,
        passes: 57,
        greedy: "Tom saw a cath is a busy. The farm was Pogy. The pretty is in the pond. The pretty is the \
            pocy. The palty",
        drawn: "Lily gave 日本 🙂 to the pond. The hurtle was a cole little sharol. The picked was very happy. \
            In the ealy was too away, and he was a little girl named",
    },
    Told {
        depth: Depth::Fixed(3),
        fingerprint: 0x5d3c_a740_4d55_90d2,
        passes: 171,
        greedy: "Tom saw a cath is a busy. The farm was Pogy. The farm was Pogy. \"I have downown?\" asked On \
            the pond. \"It is a big",
        drawn: "Lily gave 日本 🙂 to the pog. The loved a polin small sounding at the beach. One day, the foot \
            was his friend Finnie told Lati. \"Let us play h",
    },
    Told {
        depth: Depth::Fixed(8),
        fingerprint: 0x4b1a_85bd_cb7d_92ab,
        passes: 456,
        greedy: "Tom saw a cath. It was a busy. Her name was Mom. \"I havething,, I wee you can not stive you \
            give it.\" So they went to the better",
        drawn: "Lily gave 日本 🙂 to the pog. The loved a poline radday. The day, Amy was very cople. His \
            friend Noppy was very knowy. One day Peter was",
    },
    Told {
        depth: Depth::Adaptive,
        fingerprint: 0x9e21_5196_a18f_ebcc,
        passes: 63,
        greedy: "Tom saw a cath. It was a girl. Her name was Mom mying. \"If the book is a big smile. \"I \
            lost my new made, then",
        drawn: "Lily gave 日本 🙂 to the pond. The hurtle was a coleb. Dan was very surtle. One day, he took a \
            puckle and counted toget. \"Do you kneice.\"",
    },
];

#[derive(Default)]
struct Passes(u64);

impl Observer for Passes {
    fn depth(&mut self, passes: u8, _: &[f32]) {
        self.0 += u64::from(passes);
    }
}

/// 50 tokens after `prompt`, the prompt included, and the passes they took.
fn told(session: &mut Session<'_, Vec<Line>>, prompt: &str, config: SamplerConfig) -> (String, u64) {
    let tokenizer = *session.model().tokenizer().expect("a tokenizer");
    let mut sampler = Sampler::new(config).expect("settings");
    let (prompt, mut passes) = (Prompt::new(prompt.as_bytes()), Passes::default());
    let tokens = tokenizer.encoded(prompt.text);
    let mut story = Generation::begin(session, &mut sampler, &tokens, &mut passes).expect("a story");
    if prompt.space {
        story.owe_space();
    }
    let mut text = prompt.text.to_vec();
    for _ in 0..50 {
        let Some(token) = story.next(session, &mut sampler, &mut passes).expect("a token") else { break };
        tokenizer.for_each_byte(token, |byte| text.push(byte));
    }
    (String::from_utf8_lossy(&text).into_owned(), passes.0)
}

#[test]
fn the_version_that_is_written_has_a_golden_model() {
    let version = u32::from_le_bytes([GOLDEN[4], GOLDEN[5], GOLDEN[6], GOLDEN[7]]);
    assert_eq!(version, VERSION, "a new version needs a golden model of its own: see tests/golden/README.md");
    assert!(GOLDEN.len() < 300_000, "{} bytes are many for a file that stays for good", GOLDEN.len());
}

#[test]
fn the_golden_model_has_the_configuration_and_facts_it_was_packed_with() {
    let blob = Blob::copy("golden", GOLDEN).expect("memory");
    let model = blob.model().expect("a model");
    let rcsm =
        RcsmConfig { width: 32, ops: 8, slots: 16, after: 2, default_depth: Depth::Adaptive, ..RcsmConfig::DEFAULT };
    let config =
        ModelConfig { vocab: 512, d_model: 64, layers: 3, d_ffn: 160, rcsm: Some(rcsm), ..ModelConfig::SUPERNOVA };
    assert_eq!(*model.config(), config);
    let facts = Facts {
        name: "supernova",
        data: "builtin",
        tokens: 1_228_800,
        steps: 600,
        phase: 4,
        held_out_bpc: Some(1.002_842_936_597_776_5),
    };
    assert_eq!(*model.facts(), facts);
    assert_eq!(model.checksum(), 0x0e9a_6289);
}

#[test]
fn the_golden_model_tells_the_same_text_at_every_depth_and_level() {
    let blob = Blob::copy("golden", GOLDEN).expect("memory");
    let model = blob.model().expect("a model");
    for kernels in Kernels::available() {
        for want in &TOLD {
            let which = format!("{:?}, depth {}", kernels.level(), want.depth);
            let mut session = Session::on_heap(model, kernels);
            session.set_depth(want.depth).expect("a depth");
            let greedy = SamplerConfig { temperature: 0.0, ..SamplerConfig::default() };
            let (text, passes) = told(&mut session, "Tom saw a cat", greedy);
            assert_eq!((text.as_str(), passes), (want.greedy, want.passes), "{which}");
            let config = SamplerConfig { seed: 7, ..SamplerConfig::default() };
            assert_eq!(told(&mut session, "Lily gave 日本 🙂 to the ", config).0, want.drawn, "{which}");
            let config = SamplerConfig { top_k: 40, seed: 1, ..SamplerConfig::default() };
            let prompt = model.tokenizer().expect("a tokenizer").encoded(b"Once upon a time");
            let mut sampler = Sampler::new(config).expect("settings");
            let hash = fingerprint(&mut session, &mut sampler, &prompt, 200).expect("a story");
            assert_eq!(hash, want.fingerprint, "{which}: {hash:016x}");
        }
    }
}
