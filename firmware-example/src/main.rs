//! Tells stories on a microcontroller, over its serial line.
//!
//! The model stays in flash. Everything that changes lives in one static buffer whose size the model itself says at
//! compile time: what does not fit does not link. There is no heap, and no panic: the handler below refers to a
//! function that does not exist, so the program links only if the optimiser proved every panic unreachable.
#![no_std]
#![no_main]

mod command;
mod story;

use core::fmt::{self, Write};

use cortex_m_rt::entry;
use cortex_m_semihosting::debug;
use firmware_example::console::{self, Console, Input};
use firmware_example::uart::Uart;
use firmware_example::{board, clock, memory};
use flashlm_core::{Error, Line, arena_lines, include_blob};
use heapless::Vec;

use self::command::Command;
use self::story::Storyteller;

static BLOB: &[u8] = include_blob!(env!("FLASHLM_MODEL"));
const ARENA: usize = arena_lines(BLOB, 1);

#[entry]
fn main() -> ! {
    static mut MEMORY: [Line; ARENA] = [Line::ZERO; ARENA];

    if let Some(core) = cortex_m::Peripherals::take() {
        clock::start(core.SYST);
    }
    let mut console = Console::new(Uart::start());
    match Storyteller::new(BLOB, MEMORY) {
        Ok(mut teller) => {
            serve(&mut console, &mut teller);
            debug::exit(debug::EXIT_SUCCESS);
        }
        Err(error) => {
            let _ = writeln!(console, "no model: {error}");
            debug::exit(debug::EXIT_FAILURE);
        }
    }
    // Only under a debugger or an emulator does exit return no more.
    loop {
        cortex_m::asm::wfi();
    }
}

/// Does what is typed until it is to end.
fn serve(console: &mut Console, teller: &mut Storyteller<'_>) {
    let _ = writeln!(console, "FlashLM {} on {}, kernels {}", teller.name(), board::NAME, teller.level());
    console.print("Type the beginning of a story, or /help.\n");
    let mut line = Vec::new();
    loop {
        console.print("> ");
        match console.read_line(&mut line) {
            Input::Line if line.is_empty() => continue,
            Input::Line => {}
            Input::TooLong => {
                let _ = writeln!(console, "the line is too long: at most {} bytes fit", console::LINE);
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

fn obey(command: Command<'_>, console: &mut Console, teller: &mut Storyteller<'_>) -> Result<(), Error> {
    match command {
        Command::Story(prompt) => teller.tell(prompt, console),
        Command::Temperature(temperature) => teller.set_temperature(temperature),
        Command::Seed(seed) => teller.set_seed(seed),
        Command::Depth(depth) => teller.set_depth(depth),
        Command::Length(length) => {
            teller.set_length(length);
            Ok(())
        }
        Command::Reset => teller.reset(),
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
fn stats(console: &mut Console, teller: &Storyteller<'_>) -> fmt::Result {
    let s = teller.stats;
    let each = |total: u64, n: u32| total / u64::from(n.max(1));
    let (prompt, ticks) = (each(s.prompt_ticks, s.prompt_tokens + 1), each(s.ticks, s.tokens));
    let hundredths = each(u64::from(s.passes) * 100, s.tokens);
    writeln!(console, "prompt: {} tokens and the story's begin, {prompt} ticks each", s.prompt_tokens)?;
    writeln!(console, "story: {} tokens, {ticks} ticks each", s.tokens)?;
    writeln!(console, "passes a token: {}.{:02}", hundredths / 100, hundredths % 100)?;
    let instructions = ticks * board::INSTRUCTIONS_PER_TICK;
    writeln!(console, "instructions a token: {instructions}, if counted by qemu -icount shift=0")?;
    let [checksum, checks] = [teller.start.checksum, teller.start.checks].map(|t| t * board::INSTRUCTIONS_PER_TICK);
    writeln!(console, "start: {} instructions to read the model, {checksum} of them its checksum", checksum + checks)?;
    let m = memory::usage();
    writeln!(console, "flash: {} bytes, {} of them the model", m.flash, BLOB.len())?;
    writeln!(console, "RAM: {} bytes static, {} of them the model's state and scratch", m.statics, ARENA * 64)?;
    writeln!(console, "stack: at most {} bytes so far, room for {}", m.stack, m.stack_room)
}

#[cfg(not(debug_assertions))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    #[expect(unsafe_code, reason = "a function of elsewhere is declared; it is safe, being nowhere")]
    unsafe extern "C" {
        /// Defined nowhere: linking fails, naming it, if a panic is reachable.
        safe fn a_panic_is_reachable() -> !;
    }
    a_panic_is_reachable()
}

#[cfg(debug_assertions)]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    debug::exit(debug::EXIT_FAILURE);
    cortex_m::asm::udf()
}
