//! A training step allocates nothing after the first, on any thread.
#![expect(unsafe_code, reason = "a global allocator is an unsafe trait")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::SeqCst};

use flashlm_core::config::{Heads, Mixer, ModelConfig, RcsmConfig};
use trainer::kernels::{Isa, Kernels, Precision};
use trainer::nn::{self, BatchShape, EmbeddingMode, Engine, Footprint, Params, Rng, StepOptions, TrainDepth};
use trainer::optim::{self, Kind, Optimizer};

/// The system's allocator, counting while told to.
struct Counting;

static COUNTING: AtomicBool = AtomicBool::new(false);
static CALLS: AtomicU64 = AtomicU64::new(0);
static LIVE_BYTES: AtomicI64 = AtomicI64::new(0);

// SAFETY: every call goes to the system's allocator as it came; `realloc` and `alloc_zeroed` are the trait's own, made
// of these two.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if COUNTING.load(SeqCst) {
            CALLS.fetch_add(1, SeqCst);
            LIVE_BYTES.fetch_add(layout.size() as i64, SeqCst);
        }
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        if COUNTING.load(SeqCst) {
            LIVE_BYTES.fetch_sub(layout.size() as i64, SeqCst);
        }
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations of all threads while `f` runs, and the bytes it left allocated.
fn count(f: impl FnOnce()) -> (u64, i64) {
    CALLS.store(0, SeqCst);
    LIVE_BYTES.store(0, SeqCst);
    COUNTING.store(true, SeqCst);
    f();
    COUNTING.store(false, SeqCst);
    (CALLS.load(SeqCst), LIVE_BYTES.load(SeqCst))
}

const SMALL: ModelConfig = ModelConfig {
    vocab: 320,
    d_model: 64,
    layers: 2,
    d_ffn: 96,
    rcsm: Some(RcsmConfig { width: 32, ops: 8, slots: 6, after: 1, ..RcsmConfig::DEFAULT }),
    ..ModelConfig::SUPERNOVA
};

/// Every mixer, with token-shifted channel mixers and with routing in turn.
fn mixers() -> impl Iterator<Item = ModelConfig> {
    let small = |base| ModelConfig { vocab: 320, d_model: 64, layers: 3, d_ffn: 96, ..base };
    let bases = [ModelConfig::NOVA_IGNITION, ModelConfig::THUNDERBOLT].map(small);
    let mixers = Mixer::all(Heads { count: 2, width: 32 }, 24).into_iter();
    mixers.zip(bases.into_iter().cycle()).map(|(mixer, base)| ModelConfig { mixer, ..base })
}

/// An engine with its optimiser and the tokens it is fed.
struct Training {
    engine: Engine,
    optimizer: Optimizer,
    rng: Rng,
}

impl Training {
    fn new(config: ModelConfig, kernels: Kernels, kind: Kind, threads: usize, accumulate: usize) -> Self {
        Self::shaped(config, kernels, kind, BatchShape { threads, sequences: 3, tokens: 40, accumulate })
    }

    fn shaped(config: ModelConfig, kernels: Kernels, kind: Kind, shape: BatchShape) -> Self {
        let params = Params::init(&config, 1);
        let settings = optim::Settings { kind, ..optim::Settings::default() };
        let optimizer = Optimizer::new(kernels, &params.layout, settings);
        let engine = Engine::new(config, kernels, params, shape, EmbeddingMode::Int8).expect("there is room");
        Self { engine, optimizer, rng: Rng::new(5) }
    }

    /// One whole step on other tokens than before, ends of stories among them.
    fn step(&mut self, depth: TrainDepth) {
        let options = StepOptions { depth, balance: 0.01, z_loss: 1e-4, answer_weight: 5.0, answer_smoothing: 0.0 };
        let Self { engine, optimizer, rng } = self;
        let stats = engine.step(
            |_, rows| {
                for id in rows.ids.iter_mut().chain(rows.targets) {
                    *id = (rng.next_u64() % u64::from(SMALL.vocab)) as u16;
                }
                // depths mixed within a batch, and fewer rows that go deep in one step than in the next
                rows.depths.fill_with(|| [1, 1, 3, 8][(rng.next_u64() % 4) as usize]);
                rows.facts.fill_with(|| (rng.next_u64() % 3) as u8);
            },
            &options,
        );
        assert!(stats.loss.is_finite());
        let outcome = engine.update(|params, grads, _| optimizer.update(params, grads, 1e-2));
        assert!(matches!(outcome, optim::Outcome::Applied { .. }));
    }
}

/// What was said to be needed is most of what is taken, and no more than that: nothing is refused that would fit.
fn what_training_needs_is_known_before_it_begins() {
    let larger = |config| ModelConfig { vocab: 2048, d_model: 128, layers: 2, d_ffn: 320, ..config };
    let engine = ModelConfig { rcsm: SMALL.rcsm, ..larger(ModelConfig::SUPERNOVA) };
    let every = Isa::available().into_iter().flat_map(|isa| [(isa, Precision::Bf16), (isa, Precision::F32)]);
    for kernels in every.filter_map(|(isa, precision)| Kernels::new(isa, precision).ok()) {
        for config in mixers().map(larger).chain([engine]) {
            for kind in [Kind::Muon, Kind::Adamw] {
                let shape = BatchShape { threads: 2, sequences: 8, tokens: 128, accumulate: 1 };
                let settings = optim::Settings { kind, ..optim::Settings::default() };
                let optimizer = Optimizer::memory(kernels, &nn::Layout::new(&config), settings);
                let need = Footprint::of(&config, kernels, shape, EmbeddingMode::Int8).total() + optimizer;
                let mut kept = None;
                let (_, taken) = count(|| {
                    let mut training = Training::shaped(config, kernels, kind, shape);
                    training.step(TrainDepth::Rows);
                    kept = Some(training);
                });
                let share = need as f64 / taken as f64;
                assert!((0.8..=1.0).contains(&share), "{config:?}, {kernels:?}, {kind:?}: {need} of {taken}, {share}");
            }
        }
    }
}

const BLEND: TrainDepth = TrainDepth::Blend { tau: 0.7, noise_seed: Some(9) };

/// One test, as the counter is the process's.
#[test]
fn a_training_step_allocates_nothing_after_the_first() {
    let (calls, bytes) = count(|| {
        let other = std::thread::spawn(|| std::hint::black_box(vec![1u8; 1000]).len());
        assert_eq!(other.join().expect("the thread runs"), 1000);
    });
    assert!(calls >= 2 && bytes < 1000, "the counter sees {calls} allocations of another thread, {bytes} bytes left");

    // kept to the end: threads of an engine that is gone would give their memory back while the next one is counted
    let mut kept = Vec::new();
    let every = Isa::available().into_iter().flat_map(|isa| [(isa, Precision::Bf16), (isa, Precision::F32)]);
    for kernels in every.filter_map(|(isa, precision)| Kernels::new(isa, precision).ok()) {
        for (kind, threads, accumulate) in
            [(Kind::Muon, 2, 1), (Kind::Muon, 1, 1), (Kind::Adamw, 2, 3), (Kind::Adamw, 1, 1)]
        {
            let what = format!("{kernels:?}, {kind:?}, {threads} threads, {accumulate} micro-batches a step");
            // the `gemm` crate, which multiplies in f32, takes and gives back scratch memory in every product, and
            // keeps some for each thread that ever multiplied; all else must be as frugal
            let gemm = kernels.precision() == Precision::F32;
            if gemm && threads > 1 {
                continue;
            }
            let mut training = Training::new(SMALL, kernels, kind, threads, accumulate);
            let (calls, bytes) = training.engine.pool().install(|| {
                training.step(TrainDepth::Rows);
                // other depths read the same memory
                count(|| {
                    [TrainDepth::Rows, BLEND, TrainDepth::Fixed(8), TrainDepth::Rows]
                        .into_iter()
                        .for_each(|d| training.step(d))
                })
            });
            assert_eq!(bytes, 0, "{what}: bytes left after four steps");
            assert!(gemm || calls == 0, "{what}: {calls} allocations in four steps");
            kept.push(training);
        }
    }

    for config in mixers() {
        let kernels = Kernels::detect();
        let gemm = kernels.precision() == Precision::F32;
        let mut training = Training::new(config, kernels, Kind::Muon, 1, 1);
        let (calls, bytes) = training.engine.pool().install(|| {
            training.step(TrainDepth::Rows);
            count(|| (0..4).for_each(|_| training.step(TrainDepth::Rows)))
        });
        assert_eq!(bytes, 0, "{config:?}: bytes left after four steps");
        assert!(gemm || calls == 0, "{config:?}: {calls} allocations in four steps");
        kept.push(training);
    }

    what_training_needs_is_known_before_it_begins();

    let mut training = Training::new(SMALL, Kernels::detect(), Kind::Muon, 1, 1);
    if training.engine.kernels().precision() == Precision::Bf16 {
        training.step(TrainDepth::Rows);
        let (calls, _) = count(|| (0..10).for_each(|_| training.step(TrainDepth::Rows)));
        // three hand-overs a step, and a block of the pool's queue for 63
        assert!(calls <= 1, "driven from outside the pool: {calls} allocations in ten steps");
    }
}
