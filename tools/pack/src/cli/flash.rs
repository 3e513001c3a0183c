//! `pack flash model.flm --board pico2`: a model as the file that a board takes it as; the board's firmware, too.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use flashlm_host::{Blob, output};
use object::elf::ELFMAG;

use crate::boards::{self, Board, Format};
use crate::elf::{self, arena_bytes};
use crate::uf2;

#[derive(clap::Args)]
pub struct Args {
    /// What to put into a board's flash: a model (.flm), or the board's firmware (ELF)
    file: PathBuf,
    /// The board: pico2 or nucleo-h743
    #[arg(long, value_name = "NAME", value_parser = boards::named)]
    board: Board,
    /// Where the file goes [default: FILE's name with .uf2 or .bin]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// What goes where.
struct Contents {
    bytes: Vec<u8>,
    address: u32,
    /// The file for the board's boot loader.
    uf2: Vec<u8>,
}

pub fn run(args: &Args) -> Result<()> {
    let (board, file) = (args.board, &args.file);
    let Contents { bytes, address, uf2 } = if is_elf(file) { firmware(file, board)? } else { model(file, board)? };
    let (extension, written) = match board.format {
        Format::Uf2 => ("uf2", &uf2),
        Format::Binary { .. } => ("bin", &bytes),
    };
    let path = args.output.clone().unwrap_or_else(|| file.with_extension(extension));
    let inputs: [&Path; 1] = [file];
    output::write(&path, &inputs, |out| out.write_all(written))?;

    let mut out = io::stdout().lock();
    let (path, name) = (path.display(), file.display());
    writeln!(out, "{name} -> {path}: {} bytes, which go to {address:#010x} of a {}", bytes.len(), board.title)?;
    if !is_elf(file) {
        writeln!(out, "a session takes {} bytes of RAM", arena_bytes(&bytes, 1))?;
    }
    match board.format {
        Format::Uf2 => {
            writeln!(out, "hold BOOTSEL while the board is plugged in, and copy {path} to the drive that appears")?;
        }
        Format::Binary { chip } => {
            writeln!(out, "probe-rs download {path} --binary-format bin --base-address {address:#010x} --chip {chip}")?;
        }
    }
    Ok(())
}

/// Whether the file begins as linked firmware does.
fn is_elf(path: &Path) -> bool {
    let mut begin = [0; 4];
    File::open(path).and_then(|mut file| file.read_exact(&mut begin)).is_ok() && begin == ELFMAG
}

/// A model, at its place behind the firmware. What the firmware would refuse is better refused here.
fn model(path: &Path, board: Board) -> Result<Contents> {
    let blob = Blob::open(path)?;
    blob.model()?;
    blob.tokenizer()?;
    let (bytes, name) = (blob.bytes(), blob.name());
    let room = board.room() as usize;
    ensure!(
        bytes.len() <= room,
        "{name}: expected at most {room} bytes, what {} has behind its firmware, found {}; pack fit says which models \
         fit",
        board.title,
        bytes.len()
    );
    let arena = arena_bytes(bytes, 1);
    ensure!(
        arena <= board.arena as u64,
        "{name}: expected a session of at most {} bytes of RAM, what the firmware of {} has, found {arena}",
        board.arena,
        board.title
    );
    let uf2 = uf2::blocks(&whole_sectors(bytes, board), board.model, uf2::ABSOLUTE);
    Ok(Contents { bytes: bytes.to_vec(), address: board.model, uf2 })
}

/// The board's firmware, at the beginning of flash.
fn firmware(path: &Path, board: Board) -> Result<Contents> {
    let bytes = elf::image(path, board.flash.into(), (board.model - board.flash) as usize)?;
    let last_page = board.flash + board.flash_bytes - uf2::PAYLOAD as u32;
    let uf2 = [uf2::guard(last_page), uf2::blocks(&bytes, board.flash, uf2::ARM)].concat();
    Ok(Contents { bytes, address: board.flash, uf2 })
}

/// `bytes` filled up to whole sectors, which are erased anyway: nothing of another model is left behind it.
fn whole_sectors(bytes: &[u8], board: Board) -> Vec<u8> {
    let mut all = bytes.to_vec();
    all.resize(bytes.len().next_multiple_of(board.sector as usize), 0xFF);
    all
}
