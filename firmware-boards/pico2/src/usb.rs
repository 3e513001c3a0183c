//! The console's serial line: a USB device of the class CDC-ACM, which every system has a driver for. Bytes wait in two
//! pipes between its task, which an interrupt runs, and the main thread.
#![expect(unsafe_code, reason = "the executor asks to be told from the interrupt that it was started with")]

use embassy_executor::InterruptExecutor;
use embassy_futures::join::join3;
use embassy_rp::interrupt;
use embassy_rp::interrupt::{InterruptExt, Priority};
use embassy_rp::peripherals::USB;
use embassy_rp::usb::{Driver, InterruptHandler};
use embassy_rp::{Peri, bind_interrupts};
use embassy_sync::blocking_mutex::raw::CriticalSectionRawMutex;
use embassy_sync::pipe::Pipe;
use embassy_usb::class::cdc_acm::{CdcAcmClass, State};
use embassy_usb::{Builder, Config};

/// An identifier for tests (pid.codes): who hands devices out needs one of their own.
const VENDOR: u16 = 0x1209;
const PRODUCT: u16 = 0x0001;

/// Bytes of a packet.
const PACKET: usize = 64;

static INCOMING: Pipe<CriticalSectionRawMutex, 256> = Pipe::new();
static OUTGOING: Pipe<CriticalSectionRawMutex, 256> = Pipe::new();

static EXECUTOR: InterruptExecutor = InterruptExecutor::new();

bind_interrupts!(struct Interrupts {
    USBCTRL_IRQ => InterruptHandler<USB>;
});

/// Starts the device, in an interrupt that no peripheral uses. To be called once.
pub fn start(usb: Peri<'static, USB>) {
    interrupt::SWI_IRQ_0.set_priority(Priority::P2);
    let spawner = EXECUTOR.start(interrupt::SWI_IRQ_0);
    spawner.spawn(serve(usb).expect("the task was not started before"));
}

/// The executor's interrupt.
///
/// # Safety
/// Only the processor calls it.
#[interrupt]
unsafe fn SWI_IRQ_0() {
    // SAFETY: this is the interrupt that the executor was started with.
    unsafe { EXECUTOR.on_interrupt() }
}

/// The byte that came in, if one did since the last call.
pub fn read() -> Option<u8> {
    let mut byte = [0];
    INCOMING.try_read(&mut byte).is_ok().then_some(byte[0])
}

/// Sends a byte as soon as there is room; as long as no host reads, that is never.
pub fn write(byte: u8) {
    while OUTGOING.try_write(&[byte]).is_err() {
        core::hint::spin_loop();
    }
}

/// The device.
#[embassy_executor::task]
async fn serve(usb: Peri<'static, USB>) {
    let mut config = Config::new(VENDOR, PRODUCT);
    config.manufacturer = Some("FlashLM");
    config.product = Some("FlashLM console");
    let (mut configuration, mut bos, mut microsoft, mut control) = ([0; 256], [0; 256], [0; 256], [0; 64]);
    let mut state = State::new();
    let driver = Driver::new(usb, Interrupts);
    let mut builder = Builder::new(driver, config, &mut configuration, &mut bos, &mut microsoft, &mut control);
    let (mut sender, mut receiver) = CdcAcmClass::new(&mut builder, &mut state, PACKET as u16).split();
    let mut device = builder.build();

    let output = async {
        // a packet shorter than the longest, so that the host waits for no other
        let mut packet = [0; PACKET - 1];
        loop {
            sender.wait_connection().await;
            let n = OUTGOING.read(&mut packet).await;
            // an error is an unplugged cable: what was to be shown is lost
            let _ = sender.write_packet(&packet[..n]).await;
        }
    };
    let input = async {
        let mut packet = [0; PACKET];
        loop {
            receiver.wait_connection().await;
            while let Ok(n) = receiver.read_packet(&mut packet).await {
                INCOMING.write_all(&packet[..n]).await;
            }
        }
    };
    join3(device.run(), output, input).await;
}
