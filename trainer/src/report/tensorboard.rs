//! TensorBoard's event files: records of a run as scalars and texts.
//!
//! A file is a row of [TFRecords](https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details),
//! each an `Event` of TensorFlow's `event.proto` in Protocol Buffers' encoding. `tests/tensorboard_events.py` reads one
//! with the `tensorboard` package and compares it with `metrics.jsonl`.

use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;
use crc::{CRC_32_ISCSI, Crc};

use crate::run::metrics::Record;

/// CRC-32C, as iSCSI has it.
const CASTAGNOLI: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);
/// What the names of our event files end with.
const OURS: &str = ".flashlm";

/// An event file that grows.
#[derive(Debug)]
pub struct Writer {
    path: PathBuf,
    out: BufWriter<File>,
    /// Records up to this step stand in an earlier file of the directory.
    before: u64,
}

impl Writer {
    /// A new file in `dir`, for a run that goes on after `step`. Where an earlier session left a file, this one goes on
    /// after it, and what that one had of later steps TensorBoard drops; otherwise this one takes all of the run.
    ///
    /// # Errors
    /// It cannot be made or written.
    pub fn new(dir: &Path, step: u64) -> anyhow::Result<Self> {
        let name = || format!("{}: cannot be written", dir.display());
        fs::create_dir_all(dir).with_context(name)?;
        let goes_on = step > 0 && has_ours(dir).with_context(name)?;
        let now = seconds(SystemTime::now());
        let (time, process) = (now as u64, std::process::id());
        let mut number = 0;
        let (path, file) = loop {
            let path = dir.join(format!("events.out.tfevents.{time:010}.{process}.{number}{OURS}"));
            match OpenOptions::new().write(true).create_new(true).open(&path) {
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => number += 1,
                file => break (path, file.with_context(name)?),
            }
        };
        let before = if goes_on { step } else { 0 };
        let mut writer = Self { path, out: BufWriter::new(file), before };
        let mut first = Event::at(now, 0);
        first.message.bytes(3, b"brain.Event:2");
        writer.put(&first)?;
        if step == 0 || goes_on {
            // the start of a session: what stands in earlier files from this step on does not count
            let mut start = Event::at(now, before + u64::from(goes_on));
            let mut log = Message::default();
            log.varint(1, 1);
            start.message.bytes(7, &log.0);
            writer.put(&start)?;
        }
        writer.flush()?;
        Ok(writer)
    }

    /// Adds a record; `now` is the time on the clock when the run was `elapsed` seconds old.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn add(&mut self, record: &Record, now: SystemTime, elapsed: f64) -> anyhow::Result<()> {
        let time = |at: f64| seconds(now) - (elapsed - at);
        let event = match record {
            Record::Step(r) if r.step > self.before => {
                let mut event = Event::at(time(r.elapsed), r.step);
                event.scalar("training/loss", r.loss);
                event.scalar("training/learning_rate", r.lr.into());
                event.scalar("training/tokens_per_second", r.tokens_per_second);
                event.scalar("training/mean_passes", r.mean_passes);
                if let Some(norm) = r.grad_norm {
                    event.scalar("training/grad_norm", norm);
                }
                if let Some(answers) = &r.answers {
                    for (facts, (right, total)) in answers.right.iter().zip(answers.total).enumerate() {
                        let [right, total] = [right.iter().sum::<u32>(), total.iter().sum()];
                        if total > 0 {
                            let share = f64::from(right) / f64::from(total);
                            event.scalar(&format!("answers/right_of_{}_facts", facts + 1), share);
                        }
                    }
                }
                event
            }
            Record::Eval(r) if r.step > self.before => {
                let mut event = Event::at(time(r.elapsed), r.step);
                event.scalar("held_out/bits_per_byte", r.bpc);
                event.scalar("held_out/mean_passes", r.mean_passes);
                if let Some(reasoning) = &r.reasoning {
                    event.scalar("reasoning/use_entropy", reasoning.use_entropy);
                    event.scalar("reasoning/pass_entropy", reasoning.pass_entropy);
                    event.scalar("reasoning/write_gate_after", reasoning.write[0]);
                    event.scalar("reasoning/write_gate_before", reasoning.write[1]);
                    for (name, gate) in [("hop", reasoning.hop), ("hold", reasoning.hold)] {
                        if let Some(gate) = gate {
                            event.scalar(&format!("reasoning/{name}_gate"), gate);
                        }
                    }
                }
                event
            }
            Record::Sample(r) if r.step > self.before => {
                let mut event = Event::at(time(elapsed), r.step);
                event.text(&format!("stories/seed_{}", r.seed), &r.text);
                event
            }
            _ => return Ok(()),
        };
        self.put(&event)
    }

    /// Hands what was added to the system.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn flush(&mut self) -> anyhow::Result<()> {
        self.out.flush().with_context(|| format!("{}: cannot be written", self.path.display()))
    }

    fn put(&mut self, event: &Event) -> anyhow::Result<()> {
        let name = || format!("{}: cannot be written", self.path.display());
        write_record(&mut self.out, &event.message.0).with_context(name)
    }
}

fn has_ours(dir: &Path) -> std::io::Result<bool> {
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("events.out.tfevents.") && name.ends_with(OURS) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn seconds(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

/// A TFRecord: the length (8 bytes), its checksum, the bytes, theirs; all little-endian.
fn write_record(out: &mut impl Write, bytes: &[u8]) -> std::io::Result<()> {
    let length = (bytes.len() as u64).to_le_bytes();
    out.write_all(&length)?;
    out.write_all(&masked(&length).to_le_bytes())?;
    out.write_all(bytes)?;
    out.write_all(&masked(bytes).to_le_bytes())
}

/// The checksum that TFRecords store.
fn masked(bytes: &[u8]) -> u32 {
    CASTAGNOLI.checksum(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// An `Event`; its fields by number are wall time (1, a double), step (2), file version (3), summary (5), session log
/// (7).
struct Event {
    message: Message,
}

impl Event {
    fn at(seconds: f64, step: u64) -> Self {
        let mut message = Message::default();
        message.double(1, seconds);
        message.varint(2, step);
        Self { message }
    }

    /// A `Summary.Value` with a tag (1) and a simple value (2).
    fn scalar(&mut self, tag: &str, value: f64) {
        let mut named = Message::default();
        named.bytes(1, tag.as_bytes());
        named.float(2, value as f32);
        self.value(&named);
    }

    /// A `Summary.Value` with a tag, a string tensor (8) and the metadata (9) of the text plugin.
    fn text(&mut self, tag: &str, text: &str) {
        let [mut named, mut tensor, mut shape, mut one, mut metadata, mut plugin] =
            [(); 6].map(|()| Message::default());
        one.varint(1, 1);
        shape.bytes(2, &one.0);
        const STRING: u64 = 7;
        tensor.varint(1, STRING);
        tensor.bytes(2, &shape.0);
        tensor.bytes(8, text.as_bytes());
        plugin.bytes(1, b"text");
        metadata.bytes(1, &plugin.0);
        named.bytes(1, tag.as_bytes());
        named.bytes(8, &tensor.0);
        named.bytes(9, &metadata.0);
        self.value(&named);
    }

    /// Adds to the summary: a message that comes in parts is all of them together.
    fn value(&mut self, value: &Message) {
        let mut summary = Message::default();
        summary.bytes(1, &value.0);
        self.message.bytes(5, &summary.0);
    }
}

/// A message in Protocol Buffers' encoding, field after field.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn number(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn varint(&mut self, field: u64, value: u64) {
        self.number(field << 3);
        self.number(value);
    }

    fn double(&mut self, field: u64, value: f64) {
        self.number(field << 3 | 1);
        self.0.extend(value.to_le_bytes());
    }

    fn bytes(&mut self, field: u64, bytes: &[u8]) {
        self.number(field << 3 | 2);
        self.number(bytes.len() as u64);
        self.0.extend(bytes);
    }

    fn float(&mut self, field: u64, value: f32) {
        self.number(field << 3 | 5);
        self.0.extend(value.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::testing::{evaluation, sample, step};

    #[test]
    fn checksums_are_those_of_rfc_3720_and_of_a_file_that_tensorflow_wrote() {
        assert_eq!(CASTAGNOLI.checksum(&[0; 32]), 0x8a91_36aa);
        assert_eq!(CASTAGNOLI.checksum(&[0xff; 32]), 0x62a8_ab43);
        // the header of every event file of 24 bytes' first event: 18 00 .. 00, then a3 7f 4b 22
        assert_eq!(masked(&24u64.to_le_bytes()).to_le_bytes(), [0xa3, 0x7f, 0x4b, 0x22]);
    }

    #[test]
    fn fields_are_encoded_as_protocol_buffers_say() {
        let mut message = Message::default();
        message.varint(1, 150);
        message.bytes(2, b"testing");
        message.float(4, 1.0);
        let want = [b"\x08\x96\x01\x12\x07testing\x25".as_slice(), &1f32.to_le_bytes()].concat();
        assert_eq!(message.0, want);
    }

    /// The records of a file, whose checksums are right.
    fn records(path: &Path) -> Vec<Vec<u8>> {
        let bytes = fs::read(path).unwrap();
        let (mut rest, mut all) = (&bytes[..], Vec::new());
        while !rest.is_empty() {
            let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
            assert_eq!(rest[8..12], masked(&rest[..8]).to_le_bytes());
            let record = &rest[12..][..length];
            assert_eq!(rest[12 + length..][..4], masked(record).to_le_bytes());
            all.push(record.to_vec());
            rest = &rest[16 + length..];
        }
        all
    }

    fn has(record: &[u8], text: &str) -> bool {
        record.windows(text.len()).any(|window| window == text.as_bytes())
    }

    #[test]
    fn a_session_goes_on_after_an_earlier_ones_file_and_otherwise_takes_all() {
        let dir = tempfile::tempdir().unwrap();
        let all = [step(1), step(2), evaluation(2), sample(2), step(3)];
        let write = |after: u64| {
            let mut writer = Writer::new(dir.path(), after).unwrap();
            all.iter().for_each(|record| writer.add(record, SystemTime::now(), 6.0).unwrap());
            writer.flush().unwrap();
            records(&writer.path)
        };
        // resumed, but there is no earlier file: the version and everything
        let first = write(2);
        assert_eq!(first.len(), 1 + all.len());
        assert!(has(&first[0], "brain.Event:2") && has(&first[3], "held_out/bits_per_byte"));
        assert!(has(&first[4], "Once there was <b>Tom</b>"));
        // the version, the session's start at the step after, and the last step
        let second = write(2);
        assert_eq!(second.len(), 3);
        assert_eq!(second[1][9..], [0x10, 3, 0x3a, 2, 8, 1]);
        assert!(has(&second[2], "training/loss"));
    }
}
