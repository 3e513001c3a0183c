//! Time in ticks of the processor's clock. SysTick counts 24 bits down; its interrupt counts how often that ran out.

use core::sync::atomic::{AtomicU32, Ordering};

use cortex_m::peripheral::{SYST, syst::SystClkSource};
use cortex_m_rt::exception;

const PERIOD: u32 = 1 << 24;

static PERIODS: AtomicU32 = AtomicU32::new(0);

#[exception]
fn SysTick() {
    PERIODS.store(PERIODS.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
}

/// Starts the count.
pub fn start(mut systick: SYST) {
    systick.set_clock_source(SystClkSource::Core);
    systick.set_reload(PERIOD - 1);
    systick.clear_current();
    systick.enable_interrupt();
    systick.enable_counter();
    // cleared, it stands at 0, as if a period were over, until its first tick
    while SYST::get_current() == 0 {}
}

/// Ticks since the start.
pub fn ticks() -> u64 {
    loop {
        let periods = PERIODS.load(Ordering::Relaxed);
        let current = SYST::get_current();
        // the counter may have run out between the two
        if periods == PERIODS.load(Ordering::Relaxed) {
            return u64::from(periods) * u64::from(PERIOD) + u64::from(PERIOD - 1 - current);
        }
    }
}
