//! `pack flash model.flm --board pico2`.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use flashlm_core::arena_lines;
use flashlm_host::{Blob, output};

use crate::boards::{self, Board, Format};
use crate::uf2;

#[derive(clap::Args)]
pub struct Args {
    /// Model to put into a board's flash (.flm)
    model: PathBuf,
    /// The board: pico2 or nucleo-h743
    #[arg(long, value_name = "NAME", value_parser = boards::named)]
    board: Board,
    /// Where the file goes [default: the model's name with .uf2 or .bin]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub fn run(args: &Args) -> Result<()> {
    let blob = Blob::open(&args.model)?;
    // what the firmware would refuse is better refused here
    blob.model()?;
    blob.tokenizer()?;
    let (board, bytes, name) = (args.board, blob.bytes(), blob.name());
    let room = board.room() as usize;
    ensure!(
        bytes.len() <= room,
        "{name}: expected at most {room} bytes, what {} has behind its firmware, found {}; pack fit says what fits",
        board.title,
        bytes.len()
    );
    let (extension, file) = match board.format {
        Format::Uf2 { family } => ("uf2", uf2::blocks(&whole_sectors(bytes, board), board.model, family)),
        Format::Binary { .. } => ("bin", bytes.to_vec()),
    };
    let path = args.output.clone().unwrap_or_else(|| args.model.with_extension(extension));
    let inputs: [&Path; 1] = [&args.model];
    output::write(&path, &inputs, |out| out.write_all(&file))?;

    let mut out = io::stdout().lock();
    let (path, address) = (path.display(), board.model);
    writeln!(out, "{name} -> {path}: {} bytes, which go to {address:#010x} of a {}", bytes.len(), board.title)?;
    writeln!(out, "a session takes {} bytes of RAM", arena_lines(bytes, 1) * 64)?;
    match board.format {
        Format::Uf2 { .. } => {
            writeln!(out, "hold BOOTSEL while the board is plugged in, and copy {path} to the drive that appears")?;
        }
        Format::Binary { chip } => {
            writeln!(out, "probe-rs download {path} --binary-format bin --base-address {address:#010x} --chip {chip}")?;
        }
    }
    Ok(())
}

/// `bytes` filled up to whole sectors, which are erased anyway: nothing of another model is left behind it.
fn whole_sectors(bytes: &[u8], board: Board) -> Vec<u8> {
    let mut all = bytes.to_vec();
    all.resize(bytes.len().next_multiple_of(board.sector as usize), 0xFF);
    all
}
