//! The console's loop: reads lines, does what they say.

use core::fmt::{self, Write};

use flashlm_core::{Error, Line};
use heapless::Vec;

use crate::command::{self, Command};
use crate::console::{Console, Input, LINE};
use crate::story::Storyteller;
use crate::{Board, Tick};

/// Tells stories by the model in `blob`, whose state lives in `arena`, until somebody types that it is to end.
///
/// # Errors
/// The model is damaged, or needs a larger arena.
pub fn serve<B: Board>(console: &mut Console<B>, blob: &[u8], arena: &mut [Line]) -> Result<(), Error> {
    let mut teller = Storyteller::new(blob, arena, &console.board)?;
    listen(console, &mut teller);
    Ok(())
}

/// Does what is typed until it is to end.
fn listen<B: Board>(console: &mut Console<B>, teller: &mut Storyteller<'_>) {
    let _ = writeln!(console, "FlashLM {} on {}, kernels {}", teller.name(), B::NAME, teller.level());
    console.print("Type the beginning of a story, or /help.\n");
    let mut line = Vec::new();
    loop {
        console.print("> ");
        match console.read_line(&mut line) {
            Input::Line if line.is_empty() => continue,
            Input::Line => {}
            Input::TooLong => {
                let _ = writeln!(console, "the line is too long: at most {LINE} bytes fit");
                continue;
            }
            Input::End => return,
        }
        let done = match Command::parse(&line) {
            Ok(Command::Quit) => return,
            Ok(command) => obey(command, console, teller),
            Err(expected) => {
                let _ = writeln!(console, "{expected}");
                continue;
            }
        };
        if let Err(error) = done {
            let _ = writeln!(console, "{error}");
        }
    }
}

fn obey<B: Board>(command: Command<'_>, console: &mut Console<B>, teller: &mut Storyteller<'_>) -> Result<(), Error> {
    match command {
        Command::Story(prompt) => teller.tell(prompt, console),
        Command::Depth(depth) => teller.set_depth(depth),
        Command::Reset => teller.reset(),
        Command::Temperature(temperature) => {
            teller.set_temperature(temperature);
            Ok(())
        }
        Command::Seed(seed) => {
            teller.set_seed(seed);
            Ok(())
        }
        Command::Length(length) => {
            teller.set_length(length);
            Ok(())
        }
        Command::Checksum { tokens, seed, prompt } => {
            let hash = teller.checksum(tokens, seed, prompt)?;
            let _ = writeln!(console, "checksum {hash:016x} {tokens}");
            Ok(())
        }
        Command::Stats => {
            let _ = stats(console, teller);
            Ok(())
        }
        Command::Help => {
            console.print(command::HELP);
            Ok(())
        }
        Command::Quit => Ok(()),
    }
}

/// Prints what the last story took, and what of the memories is used.
fn stats<B: Board>(console: &mut Console<B>, teller: &Storyteller<'_>) -> fmt::Result {
    let s = teller.stats;
    let each = |total: u64, n: u32| total / u64::from(n.max(1));
    let (prompt, ticks) = (each(s.prompt_ticks, s.prompt_tokens + 1), each(s.ticks, s.tokens));
    let hundredths = each(u64::from(s.passes) * 100, s.tokens);
    writeln!(console, "prompt: {} tokens and the story's begin, {prompt} ticks each", s.prompt_tokens)?;
    writeln!(console, "story: {} tokens, {ticks} ticks each", s.tokens)?;
    writeln!(console, "passes a token: {}.{:02}", hundredths / 100, hundredths % 100)?;
    match B::TICK {
        Tick::Instructions(n) => {
            writeln!(console, "instructions a token: {}, if counted by qemu -icount shift=0", ticks * n)?;
        }
        Tick::Microseconds(n) => writeln!(console, "microseconds a token: {}", ticks * n)?,
    }
    let (Tick::Instructions(n) | Tick::Microseconds(n)) = B::TICK;
    let unit = match B::TICK {
        Tick::Instructions(_) => "instructions",
        Tick::Microseconds(_) => "microseconds",
    };
    let [checksum, checks] = [teller.start.checksum, teller.start.checks].map(|ticks| ticks * n);
    writeln!(console, "start: {} {unit} to read the model, {checksum} of them its checksum", checksum + checks)?;
    let m = console.board.memory();
    writeln!(console, "flash: {} bytes of code and constants; the model has {}", m.flash, teller.model_bytes)?;
    let arena = teller.arena_bytes;
    writeln!(console, "RAM: {} bytes static, {arena} of them for the model's state and scratch", m.statics)?;
    writeln!(console, "stack: at most {} bytes so far, room for {}", m.stack, m.stack_room)
}
