//! A story on a Cortex-M, by the lines that the README shows, in a program as small as it can be: a debug build fits
//! 64 KB of RAM, too. `firmware-example` is a whole program.
#![no_std]
#![no_main]

use cortex_m_rt::{STACK_PAINT_VALUE, entry};
use cortex_m_semihosting::debug::{self, EXIT_FAILURE, EXIT_SUCCESS};
use cortex_m_semihosting::hio;

// What stands between the two lines is the README's, which tests/house.rs compares.
// README {
use flashlm_core::*;
use static_cell::ConstStaticCell;

static BLOB: &[u8] = include_blob!("../model.flm"); // stays in flash
const N: usize = arena_lines(BLOB, 1); // what it needs, known when compiling
static ARENA: ConstStaticCell<[Line; N]> = ConstStaticCell::new([Line::ZERO; N]); // or any other &mut [Line]

fn tell(mut print: impl FnMut(u8)) -> Result<(), Error> {
    let model = Model::from_bytes(BLOB)?; // checks everything once, copies nothing
    let mut session = Session::new(model, Kernels::detect(), &mut ARENA.take()[..])?;
    let mut sampler = Sampler::new(SamplerConfig { temperature: 0.8, seed: 1, ..Default::default() })?;
    let mut story = Generation::begin(&mut session, &mut sampler, &[], &mut ())?; // &[]: a prompt's tokens
    while let Some(token) = story.next(&mut session, &mut sampler, &mut ())? {
        model.tokenizer().ok_or(Error::NoTokenizer)?.for_each_byte(token, &mut print);
    }
    Ok(())
}
// }

#[entry]
fn main() -> ! {
    let Ok(mut host) = hio::hstdout() else { stop(EXIT_FAILURE) };
    let told = tell(|byte| _ = host.write_all(&[byte]));
    stop(if told.is_ok() && stack_held() { EXIT_SUCCESS } else { EXIT_FAILURE })
}

/// Whether the stack kept within its memory: below it a chip has nothing and faults, but the emulated board has what
/// takes everything in silence. The lowest words should be as they were painted before `main`.
#[expect(unsafe_code, reason = "a stack is read as memory, whose bounds the linker knows")]
fn stack_held() -> bool {
    unsafe extern "C" {
        static _stack_end: [u32; 16];
    }
    // SAFETY: words of RAM, which were written by the painter; nothing else refers to them.
    let lowest = unsafe { (&raw const _stack_end).read_volatile() };
    lowest == [STACK_PAINT_VALUE; 16]
}

/// Ends the emulator.
fn stop(status: debug::ExitStatus) -> ! {
    debug::exit(status);
    cortex_m::asm::udf()
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    stop(EXIT_FAILURE)
}
