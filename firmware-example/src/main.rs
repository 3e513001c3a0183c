//! Tells a story on a Cortex-M7: the model stays in flash, everything else lives in one static buffer.
//!
//! The story goes out on the serial port; semihosting only ends the emulation.
#![no_std]
#![no_main]

use core::ptr::write_volatile;
use cortex_m_rt::entry;
use cortex_m_semihosting::debug;
use flashlm_core::{Kernels, Line, Model, Sampler, SamplerConfig, Session, arena_lines, include_blob};

static BLOB: &[u8] = include_blob!("../../runtime-desktop/models/default.flm");
/// The model's own arithmetic decides the buffer's size, at compile time: what does not fit does not link.
const ARENA: usize = arena_lines(BLOB, 1);
const PROMPT: &str = "Once upon a time";
const TOKENS: usize = 40;

/// Data register of UART0 of the MPS2 boards (Arm CMSDK APB UART).
const UART0_DATA: *mut u32 = 0x4000_4000 as *mut u32;
const UART0_CTRL: *mut u32 = 0x4000_4008 as *mut u32;

fn put(byte: u8) {
    // SAFETY: the board has its UART at this address, and nothing else writes to it.
    unsafe { write_volatile(UART0_DATA, byte as u32) }
}

fn print(text: &str) {
    text.bytes().for_each(put);
}

/// The prompt and what the model makes of it, or why it cannot.
fn tell() -> Result<(), &'static str> {
    let model = Model::from_bytes(BLOB).map_err(|_| "the model in flash is damaged")?;
    let tokenizer = model.tokenizer().ok_or("the model has no tokenizer")?;
    let arena = cortex_m::singleton!(: [Line; ARENA] = [Line::ZERO; ARENA]).ok_or("the arena is taken")?;
    let mut session = Session::new(model, Kernels::detect(), &mut arena[..]).map_err(|_| "the arena is too small")?;
    let mut sampler = Sampler::new(SamplerConfig { temperature: 0.0, ..Default::default() }).map_err(|_| "sampling")?;

    let mut prompt = [0; 64];
    let n = tokenizer.encode(PROMPT.as_bytes(), &mut prompt).map_err(|_| "the prompt is too long")?;
    session.step(tokenizer.eot()).map_err(|_| "no end-of-story token")?;
    session.prefill(&prompt[..n]).map_err(|_| "a token outside the vocabulary")?;
    print(PROMPT);
    for _ in 0..TOKENS {
        let token = session.sample(&mut sampler).map_err(|_| "no logits")?;
        if token == tokenizer.eot() {
            break;
        }
        tokenizer.for_each_byte(token, put);
        session.step(token).map_err(|_| "a token outside the vocabulary")?;
    }
    print("\n");
    Ok(())
}

#[entry]
fn main() -> ! {
    // SAFETY: as in `put`; bit 0 switches the transmitter on.
    unsafe { write_volatile(UART0_CTRL, 1) }
    match tell() {
        Ok(()) => debug::exit(debug::EXIT_SUCCESS),
        Err(why) => {
            print(why);
            debug::exit(debug::EXIT_FAILURE);
        }
    }
    loop {
        cortex_m::asm::wfi();
    }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    debug::exit(debug::EXIT_FAILURE);
    loop {
        cortex_m::asm::udf();
    }
}
