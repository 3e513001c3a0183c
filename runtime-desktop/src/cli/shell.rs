//! `flashlm completions` and `flashlm man`: what shells and `man` want to know of the command line.

use std::fs;
use std::io::{self, Write};

use anyhow::{Context, Result};
use clap::CommandFactory;

use super::args::{Cli, Completions, Man};

pub fn completions(args: &Completions) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "flashlm", &mut script);
    Ok(io::stdout().write_all(&script)?)
}

pub fn manual(args: &Man) -> Result<()> {
    let Some(folder) = &args.folder else {
        let mut page = Vec::new();
        clap_mangen::Man::new(Cli::command()).render(&mut page)?;
        return Ok(io::stdout().write_all(&page)?);
    };
    let unwritable = || format!("{}: expected a folder to write manual pages into", folder.display());
    fs::create_dir_all(folder).with_context(unwritable)?;
    clap_mangen::generate_to(Cli::command(), folder).with_context(unwritable)
}
