//! Promises of the checkpoint file.

use flashlm_core::config::RcsmConfig;

use super::*;
use crate::data::cut::Reading;
use crate::data::{DepthShares, Mix};
use crate::kernels::Kernels;
use crate::optim::{self, Outcome};
use crate::ranks::Reduce;
use crate::ranks::testing::together;
use crate::run::schedule::{self, Budget, Schedule};
use crate::run::settings::{Batch, Source};

struct Run {
    config: ModelConfig,
    params: Params,
    optimizer: Optimizer,
    state: State,
    tokenizer: Vec<u8>,
    lanes: Vec<f32>,
    generated: Vec<u16>,
}

pub(crate) fn settings() -> Settings {
    Settings {
        seed: 7,
        budget: Budget::Steps(100),
        batch: Batch { threads: 2, sequences: 4, tokens: 32, accumulate: 1, ranks: 1 },
        reduce: Reduce::F32,
        source: Source {
            train: "builtin".into(),
            valid: None,
            reading: Reading::default(),
            texts: Vec::new(),
            mix: Mix::NONE,
        },
        from: None,
        optimizer: optim::Settings::default(),
        schedule: Schedule {
            phases: schedule::four_phases(DepthShares { plain: [0.7, 0.2, 0.1], reasoning: [0.2, 0.4, 0.4] }),
            shape: schedule::Shape::Cosine,
            lr: 3e-3,
            lr_floor: 0.1,
            warmup: 0.02,
            cooldown: 0.5,
            balance: 0.01,
            depth_training: schedule::DepthTraining::Forced,
            tau: (1.0, 0.3),
        },
        z_loss: 1e-4,
        answer_weight: 5.0,
        answer_smoothing: 0.1,
        calibrate: true,
        amplify: None,
        kernels: "scalar f32".into(),
    }
}

fn run(step: u64) -> Run {
    let rcsm = RcsmConfig { width: 16, ops: 2, slots: 4, after: 1, ..RcsmConfig::DEFAULT };
    let config =
        ModelConfig { vocab: 300, d_model: 32, layers: 1, d_ffn: 48, rcsm: Some(rcsm), ..ModelConfig::SUPERNOVA };
    let mut params = Params::init(&config, step);
    let mut optimizer = Optimizer::new(Kernels::detect(), &params.layout, optim::Settings::default());
    let grads: Vec<f32> = params.data.iter().map(|p| p * 0.3 + 0.01).collect();
    for _ in 0..3 {
        assert!(matches!(optimizer.update(&mut params.data, &grads, 0.01), Outcome::Applied { .. }));
    }
    let cursor = json!({ "story": 123, "offset": [1, 2, 3] });
    let state = State::new(step, optimizer.updates(), 12.625, 4096, cursor, settings());
    let lanes = vec![1.5, -2.25, 3e-39, 0.1];
    Run { config, params, optimizer, state, tokenizer: (0..=255).collect(), lanes, generated: vec![17, 299, 0, 4, 0] }
}

impl Run {
    fn snapshot(&self) -> Snapshot<'_> {
        Snapshot {
            config: &self.config,
            state: &self.state,
            tokenizer: &self.tokenizer,
            params: &self.params,
            optimizer: &self.optimizer,
            lanes: &self.lanes,
            generated: &self.generated,
        }
    }
}

fn moments(optimizer: &Optimizer) -> Vec<(String, Vec<f32>)> {
    let mut all = Vec::new();
    let keep = |name: &str, _: &[usize], v: &[f32]| {
        all.push((name.to_string(), v.to_vec()));
        Ok::<(), ()>(())
    };
    optimizer.each_state(keep).unwrap();
    all
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn everything_written_is_read_back_bit_for_bit() {
    let dir = tempfile::tempdir().unwrap();
    let run = run(42);
    let path = save(dir.path(), &run.snapshot()).unwrap();
    assert_eq!(path.file_name().unwrap(), "step-00000042.safetensors");
    let back = read(&path).unwrap();
    assert_eq!((back.config, back.state.as_ref()), (run.config, Some(&run.state)));
    assert_eq!(back.params.data, run.params.data);
    assert_eq!((&back.tokenizer, &back.lanes), (&run.tokenizer, &run.lanes));
    assert_eq!(back.generated, run.generated);
    let mut optimizer = Optimizer::new(Kernels::detect(), &back.params.layout, optim::Settings::default());
    back.restore(&mut optimizer).unwrap();
    assert_eq!(moments(&optimizer), moments(&run.optimizer));
    assert_eq!(optimizer.updates(), 3);
}

#[test]
fn what_the_first_rank_reads_all_have_and_what_it_cannot_none() {
    let dir = tempfile::tempdir().unwrap();
    let run = run(42);
    let path = save(dir.path(), &run.snapshot()).unwrap();
    let all = together(3, |ranks| {
        let read = || if ranks.leads() { read_to_resume(&path).map(Some) } else { panic!("one rank reads") };
        spread(&ranks, read).unwrap().unwrap()
    });
    for found in all {
        assert_eq!((found.path, found.state.as_ref()), (path.clone(), Some(&run.state)));
        assert!(found.params.data == run.params.data && found.lanes == run.lanes);
    }
    let absent = dir.path().join("absent");
    let all = together(3, |ranks| spread(&ranks, || read_to_resume(&absent).map(Some)).map(|found| found.is_some()));
    assert!(all[0].is_err() && all[1..].iter().all(|found| matches!(found, Ok(false))), "{all:?}");
    let none = together(2, |ranks| spread::<CheckpointError>(&ranks, || Ok(None)).unwrap().is_none());
    assert_eq!(none, [true; 2]);
}

#[test]
fn the_file_is_what_other_safetensors_readers_expect() {
    let mut bytes = Vec::new();
    let run = run(1);
    write_to(&run.snapshot(), &mut bytes).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let embed = tensors.tensor("embed").unwrap();
    assert_eq!((embed.dtype(), embed.shape()), (Dtype::F32, &[300, 32][..]));
    assert_eq!(embed.data()[..4], run.params.data[0].to_le_bytes());
    assert!(tensors.tensor("adam.v.rcsm.ops").is_ok());
    let header = u64::from_le_bytes(bytes[..8].try_into().unwrap());
    assert_eq!(header % 8, 0, "tensors must start aligned");
}

#[test]
fn the_last_two_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    for step in [5, 10, 200, 1000] {
        save(dir.path(), &run(step).snapshot()).unwrap();
    }
    assert_eq!(names(dir.path()), ["step-00000200.safetensors", "step-00001000.safetensors"]);
    // a run that began anew in the directory, with lower numbers
    let other = |step| {
        let run = run(step);
        Run { state: State { run: 77, ..run.state.clone() }, ..run }
    };
    for step in [1, 2, 3] {
        save(dir.path(), &other(step).snapshot()).unwrap();
    }
    let steps: Vec<u64> = list(dir.path()).into_iter().map(|(step, _)| step).collect();
    assert_eq!(steps, [1000, 200, 3, 2]);
}

#[test]
fn a_checkpoint_that_is_cut_or_holds_no_numbers_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = save(dir.path(), &run(20).snapshot()).unwrap();
    let whole = fs::read(&path).unwrap();
    for length in [0, 4, 8, 300, whole.len() / 2, whole.len() - 1] {
        fs::write(&path, &whole[..length]).unwrap();
        assert!(matches!(read_to_resume(&path), Err(CheckpointError::Damaged { .. })), "cut at {length}");
    }
    let mut spoilt = run(30);
    spoilt.params.data[17] = f32::NAN;
    let path = save(dir.path(), &spoilt.snapshot()).unwrap();
    let error = read_to_resume(&path).err().unwrap().to_string();
    assert!(error.contains("step-00000030") && error.contains("no numbers"), "{error}");
}

#[test]
fn a_full_disk_leaves_the_earlier_file_whole_and_no_debris() {
    let dir = tempfile::tempdir().unwrap();
    let path = save(dir.path(), &run(10).snapshot()).unwrap();
    let before = fs::read(&path).unwrap();
    let written = output::write(&path, &[], |file| {
        file.write_all(&before[..1000])?;
        Err(io::Error::from(io::ErrorKind::StorageFull))
    });
    let error = CheckpointError::from(written.unwrap_err()).to_string();
    assert!(error.contains("the disk is full"), "{error}");
    assert_eq!(fs::read(&path).unwrap(), before);
    assert_eq!(names(dir.path()), ["step-00000010.safetensors"]);
}

/// A writer with room for so many bytes.
struct Full(usize);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0 == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let n = bytes.len().min(self.0);
        self.0 -= n;
        Ok(n)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_write_that_fails_anywhere_is_reported() {
    let run = run(10);
    let mut whole = Vec::new();
    write_to(&run.snapshot(), &mut whole).unwrap();
    for room in [0, 7, 100, whole.len() / 3, whole.len() - 1] {
        let error = write_to(&run.snapshot(), &mut Full(room)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull, "room for {room}");
    }
    assert!(write_to(&run.snapshot(), &mut Full(whole.len())).is_ok());
}

#[test]
fn foreign_files_are_named_as_such() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("step-00000001.safetensors");
    fs::write(&path, b"Once upon a time there was a checkpoint that was not one").unwrap();
    assert!(matches!(read(&path), Err(CheckpointError::Damaged { .. })));
    assert!(matches!(read(&dir.path().join("absent")), Err(CheckpointError::Read { .. })));
    // a safetensors file without a config
    let header = br#"{"x":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}   "#;
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(header);
    fs::write(&path, bytes).unwrap();
    let Err(error) = read(&path) else { panic!("a file without config must be refused") };
    assert!(error.to_string().contains("no `config`"), "{error}");
}

#[test]
fn settings_are_read_under_their_earlier_names() {
    let text = serde_json::to_string(&settings()).unwrap();
    let earlier = text.replace("\"optimizer\":", "\"optimiser\":");
    assert_ne!(earlier, text);
    assert_eq!(serde_json::from_str::<Settings>(&earlier).unwrap(), settings());
}
