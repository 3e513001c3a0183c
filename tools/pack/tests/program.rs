//! The program from checkpoint to verified blob.

#[cfg(target_os = "linux")]
#[path = "../../../tests/common/limits.rs"]
mod limits;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use flashlm_core::config::{Depth, ModelConfig, RcsmConfig, Writes};
use flashlm_core::tokenizer;
use safetensors::tensor::{Dtype, TensorView, serialize_to_file};
use serde_json::{Value, json};
use tempfile::TempDir;
use trainer::nn::Params;

const TEXT: &str = "Tom had a red ball.\n<|endoftext|>\nLily saw the cat. \"Come here!\" she said.\n<|endoftext|>\n";

fn small() -> ModelConfig {
    let rcsm = RcsmConfig {
        width: 32,
        ops: 4,
        slots: 4,
        taps: 3,
        after: 1,
        depths: [1, 3, 8],
        default_depth: Depth::Adaptive,
        writes: Writes::Both,
    };
    ModelConfig { vocab: 257, d_model: 64, layers: 2, d_ffn: 96, rcsm: Some(rcsm), ..ModelConfig::SUPERNOVA }
}

/// Writes an untrained model of byte tokens as a checkpoint.
fn checkpoint(folder: &Path, name: &str, seed: u64) -> String {
    checkpoint_that_says(folder, name, seed, &serde_json::to_value(small()).unwrap())
}

/// The same with another configuration in its metadata.
fn checkpoint_that_says(folder: &Path, name: &str, seed: u64, said: &Value) -> String {
    let config = small();
    let params = Params::init(&config, seed);
    // magic, version 1, no merges
    let table = [&tokenizer::MAGIC[..], &[1, 0, 0, 0]].concat();
    let bytes: Vec<u8> = params.data.iter().flat_map(|v| v.to_le_bytes()).collect();
    let view = |dtype, shape: &[usize], data| TensorView::new(dtype, shape.to_vec(), data).unwrap();
    let mut tensors: Vec<(String, TensorView)> = params
        .layout
        .tensors
        .iter()
        .map(|t| (t.name.clone(), view(Dtype::F32, &t.shape, &bytes[t.offset * 4..(t.offset + t.len()) * 4])))
        .collect();
    tensors.push(("tokenizer".into(), view(Dtype::U8, &[table.len()], &table)));
    let metadata = HashMap::from([("config".into(), said.to_string())]);
    let path = folder.join(name);
    serialize_to_file(tensors, Some(metadata), &path).unwrap();
    text(path)
}

fn text(path: PathBuf) -> String {
    path.into_os_string().into_string().unwrap()
}

fn pack(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_pack")).args(args).output().expect("pack starts")
}

fn stdout(args: &[&str]) -> String {
    let output = pack(args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn failure(args: &[&str]) -> String {
    let output = pack(args);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{args:?}: {error}");
    error
}

/// A folder with a packed model: (folder, checkpoint, blob, what packing printed).
fn packed() -> (TempDir, String, String, String) {
    let folder = tempfile::tempdir().unwrap();
    let checkpoint = checkpoint(folder.path(), "small.safetensors", 1);
    let blob = text(folder.path().join("small.flm"));
    let printed = stdout(&[&checkpoint, "-o", &blob]);
    (folder, checkpoint, blob, printed)
}

#[test]
fn a_page_is_written_of_a_model_and_of_nothing_else() {
    let (folder, checkpoint, blob, _) = packed();
    let page = text(folder.path().join("small.html"));
    assert!(stdout(&["page", &blob]).contains("small.html"));
    let html = std::fs::read_to_string(&page).unwrap();
    assert!(html.starts_with("<!doctype html>") && html.contains("<title>small</title>"), "{}", &html[..500]);
    stdout(&["page", &blob, "--title", "Tom & Lily", "-o", &page]);
    assert!(std::fs::read_to_string(&page).unwrap().contains("<title>Tom &amp; Lily</title>"));

    assert!(failure(&["page", &checkpoint]).contains("expected a packed model"));
    assert!(failure(&["page", &blob, "-o", &blob]).contains("which is read here"));
    assert!(failure(&["page", &blob, "--module", &checkpoint]).contains("expected a WebAssembly module"));
    let none = text(folder.path().join("none.wasm"));
    assert!(failure(&["page", &blob, "--module", &none]).contains("none.wasm"));
}

/// An ELF file of 32 bits for Arm with one segment: `code`, stored at `address`.
fn elf(address: u32, code: &[u8]) -> Vec<u8> {
    let mut file = vec![0x7F, b'E', b'L', b'F', 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let halves = |values: &[u16]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    let words = |values: &[u32]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
    // executable, Arm; version, entry, program headers, sections, flags; sizes and counts of the headers
    file.extend([halves(&[2, 40]), words(&[1, address, 52, 0, 0]), halves(&[52, 32, 1, 40, 0, 0])].concat());
    // load, offset, both addresses, both lengths, readable and executable, alignment
    let length = code.len() as u32;
    file.extend(words(&[1, 84, address, address, length, length, 5, 4]));
    file.extend_from_slice(code);
    file
}

#[test]
fn firmware_goes_to_the_beginning_of_flash_behind_a_block_against_an_erratum() {
    let folder = tempfile::tempdir().unwrap();
    let [from, to] = ["firmware.elf", "firmware.uf2"].map(|name| text(folder.path().join(name)));
    let code: Vec<u8> = (0..1000u32).map(|i| (i * 7) as u8).collect();
    std::fs::write(&from, elf(0x1000_0000, &code)).unwrap();
    let args = ["flash", &from, "--board", "pico2", "-o", &to];
    stdout(&args);
    let file = std::fs::read(&to).unwrap();
    let word = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap());
    let header = |block: usize| -> Vec<u32> { (0..8).map(|i| word(512 * block + 4 * i)).collect() };
    // the last page of 4 MB, to be ignored, of the family "absolute"
    assert_eq!(header(0), [0x0A32_4655, 0x9E5D_5157, 0xA000, 0x103F_FF00, 256, 0, 2, 0xE48B_FF57]);
    assert!(file[32..288].iter().all(|&byte| byte == 0xEF));
    assert_eq!([word(288), word(508)], [0x9957_E304, 0x0AB1_6F30]);
    assert_eq!(file.len(), 5 * 512);
    for block in 1..5 {
        let (number, address) = (block as u32 - 1, 0x1000_0000 + 256 * (block as u32 - 1));
        assert_eq!(header(block), [0x0A32_4655, 0x9E5D_5157, 0x2000, address, 256, number, 4, 0xE48B_FF59]);
    }
    let told: Vec<u8> = file.chunks(512).skip(1).flat_map(|block| &block[32..288]).copied().collect();
    assert_eq!(told[..1000], code);

    // before flash, into the model's place, in RAM
    for stored in [0x0FFF_FF00, 0x1007_FF00, 0x2000_0000] {
        std::fs::write(&from, elf(stored, &code)).unwrap();
        assert!(failure(&args).contains("expected 524288 bytes from 0x10000000"), "{stored:#x}");
    }
    assert_eq!(std::fs::read(&to).unwrap(), file);
}

#[test]
fn a_model_goes_to_its_place_in_a_boards_flash() {
    let (folder, checkpoint, blob, _) = packed();
    let model = std::fs::read(&blob).unwrap();
    let said = stdout(&["flash", &blob, "--board", "pico2"]);
    assert!(said.contains("0x10080000") && said.contains("BOOTSEL"), "{said}");
    let file = std::fs::read(folder.path().join("small.uf2")).unwrap();
    let payload: Vec<u8> = file.chunks(512).flat_map(|block| block[32..288].to_vec()).collect();
    assert_eq!(payload[..model.len()], model);
    assert!(payload.len().is_multiple_of(4096) && payload[model.len()..].iter().all(|&b| b == 0xFF));

    let bin = text(folder.path().join("other.bin"));
    let said = stdout(&["flash", &blob, "--board", "nucleo-h743", "-o", &bin]);
    assert!(said.contains("--base-address 0x08060000 --chip STM32H743ZITx"), "{said}");
    assert_eq!(std::fs::read(&bin).unwrap(), model);

    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models/supernova.flm");
    let large = failure(&["flash", default, "--board", "nucleo-h743", "-o", &bin]);
    assert!(large.contains("expected at most 1703936 bytes") && large.contains("found 2939968"), "{large}");
    assert!(failure(&["flash", &checkpoint, "--board", "pico2"]).contains("expected a packed model"));
    assert!(failure(&["flash", &blob, "--board", "pico2", "-o", &blob]).contains("which is read here"));
    let unknown = pack(&["flash", &blob, "--board", "uno"]);
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("expected a board of: pico2, nucleo-h743"));
}

#[test]
fn packing_prints_every_section_and_a_total_that_is_the_files_length() {
    let (_folder, _, blob, printed) = packed();
    for section in ["embedding", "mixer.in", "ffn.out", "rcsm.ops", "norm"] {
        assert!(printed.contains(section), "{section}: {printed}");
    }
    let number = |line: &str| line.split_whitespace().rev().nth(1).unwrap().parse::<u64>().unwrap();
    let total = printed.lines().find(|l| l.starts_with("total")).map(number).unwrap();
    assert_eq!(total, std::fs::metadata(&blob).unwrap().len());
    let rows = printed.lines().skip(2).filter(|l| !l.starts_with("total"));
    assert_eq!(rows.map(number).sum::<u64>(), total);
}

#[test]
fn without_an_output_the_blob_lies_beside_the_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    stdout(&[&checkpoint(folder.path(), "a.safetensors", 1)]);
    assert!(folder.path().join("a.flm").is_file());
}

#[test]
fn inspecting_reports_configuration_facts_sections_and_arenas() {
    let (_folder, _, blob, _) = packed();
    let report: Value = serde_json::from_str(&stdout(&["inspect", &blob, "--json"])).unwrap();
    assert_eq!(report["config"]["d_model"], 64);
    assert_eq!(report["facts"]["name"], "small");
    assert_eq!(report["sections"].as_array().unwrap().len(), 13);
    let arena = |name: &str| report["arena_bytes"][name].as_u64().unwrap();
    assert!(0 < arena("decode") && arena("decode") < arena("prefill"));
    let plain = stdout(&["inspect", &blob]);
    assert!(plain.contains("width 64") && plain.contains(&arena("decode").to_string()), "{plain}");
}

#[test]
fn a_blob_is_verified_against_its_own_checkpoint_at_every_depth_and_against_no_other() {
    let (folder, own, blob, _) = packed();
    let data = text(folder.path().join("data.txt"));
    std::fs::write(&data, TEXT).unwrap();
    for depth in ["1", "3", "8", "auto"] {
        let args = ["verify", &own, &blob, "--data", &data, "--depth", depth, "--json"];
        let report: Value = serde_json::from_str(&stdout(&args)).unwrap();
        assert_eq!(report["ok"], true);
        assert_eq!(report["bytes"], TEXT.len());
        assert!(report["largest_logit_difference"].as_f64().unwrap() < 0.05, "{report}");
    }
    let other = checkpoint(folder.path(), "other.safetensors", 2);
    assert!(failure(&["verify", &other, &blob, "--data", &data]).contains("expected the same likeliest token"));
}

#[test]
fn what_cannot_be_packed_or_read_is_named() {
    let (folder, own, blob, _) = packed();
    assert!(failure(&["/nowhere.safetensors"]).contains("/nowhere.safetensors"));
    assert!(failure(&["inspect", "/nowhere.flm"]).contains("/nowhere.flm: expected"));
    assert!(failure(&["inspect", &own]).contains("FLM1"));
    assert!(failure(&[&blob]).contains("small.flm"));
    let link = text(folder.path().join("link.flm"));
    std::os::unix::fs::symlink(&own, &link).unwrap();
    let before = std::fs::read(&own).unwrap();
    let beside = own.replace("small.safetensors", "./small.safetensors");
    for same in [&own, &beside, &link] {
        assert!(failure(&[&own, "-o", same]).contains("which is read here"), "{same}");
    }
    assert_eq!(std::fs::read(&own).unwrap(), before);
    assert!(failure(&["verify", &own, &blob, "--data", "/nowhere.txt"]).contains("/nowhere.txt: expected"));
    let cut = text(folder.path().join("cut.safetensors"));
    let whole = std::fs::read(&own).unwrap();
    std::fs::write(&cut, &whole[..whole.len() / 2]).unwrap();
    assert!(failure(&[&cut]).contains("cut.safetensors"));
    let mut damaged = std::fs::read(&blob).unwrap();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    let path = text(folder.path().join("damaged.flm"));
    std::fs::write(&path, damaged).unwrap();
    assert!(failure(&["inspect", &path]).contains("damaged.flm: damaged model"));
}

#[test]
fn a_checkpoint_that_asks_for_more_than_it_has_is_refused_before_memory_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let says = |edit: &dyn Fn(&mut Value), words: &str| {
        let mut config = serde_json::to_value(small()).unwrap();
        edit(&mut config);
        let path = checkpoint_that_says(folder.path(), "large.safetensors", 1, &config);
        let begun = Instant::now();
        let error = failure(&[&path]);
        assert!(error.contains("large.safetensors: not a checkpoint") && error.contains(words), "{error}");
        assert!(begun.elapsed() < Duration::from_secs(5), "{error}");
    };
    for vocab in [4_000_000_000u64, 65_537, 1, 0] {
        says(&|config| config["vocab"] = vocab.into(), "vocab must be within 2..=65536");
    }
    says(&|config| config["vocab"] = (1u64 << 40).into(), "not understood");
    says(&|config| config["vocab"] = 65_536.into(), "its config expects F32 [65536, 64]");
    says(&|config| config["d_model"] = 65_520.into(), "d_model must be");
    says(&|config| config["layers"] = 65_535.into(), "layers must be within");
    says(&|config| config["layers"] = 64.into(), "it has no tensor");
    says(&|config| config["d_ffn"] = 8192.into(), "its config expects");
    says(&|config| config["rcsm"]["ops"] = 255.into(), "rcsm.ops must be");
    says(&|config| config["rcsm"]["depths"] = json!([1, 3, 200]), "rcsm.depths must");
    says(&|config| config["mixer"] = json!({ "parallel": { "count": 65535, "width": 65520 } }), "heads must be");
}

#[test]
fn git_lfs_pointers_and_endless_devices_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935\nsize 12345\n";
    for (name, args) in [("p.safetensors", &[][..]), ("p.flm", &["inspect"])] {
        let path = text(folder.path().join(name));
        std::fs::write(&path, pointer).unwrap();
        let error = failure(&[args, &[&path]].concat());
        assert!(error.contains(&format!("{name}: ")) && error.contains("a git-LFS pointer"), "{error}");
        assert!(error.contains("git lfs pull"), "{error}");
    }
    #[cfg(target_os = "linux")]
    {
        assert!(failure(&["/dev/zero"]).contains("/dev/zero: "));
        assert!(failure(&["size", "/dev/zero"]).contains("expected at most"));
        // of 4 TB, of which none is on the disk
        let sparse = text(folder.path().join("sparse.safetensors"));
        std::fs::File::create(&sparse).unwrap().set_len(1 << 42).unwrap();
        let error = failure(&[&sparse]);
        assert!(error.contains("needs 4.40 TB of memory, and there are"), "{error}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_limit_on_addresses_is_met_with_a_message() {
    let (folder, own, blob, _) = packed();
    let data = text(folder.path().join("data.txt"));
    std::fs::write(&data, TEXT).unwrap();
    let verify = ["verify", &own, &blob, "--data", &data];
    for args in [&[own.as_str(), "-o", "again.flm"][..], &["inspect", &blob], &verify] {
        limits::with_little_memory(env!("CARGO_BIN_EXE_pack"), args, folder.path());
    }
    for processes in 1..3 {
        let ended = limits::run(&format!("-u {processes}"), env!("CARGO_BIN_EXE_pack"), &verify, folder.path());
        ended.assert_orderly(&format!("ulimit -u {processes}"));
    }
}
