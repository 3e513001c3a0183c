//! flashlm-core as a WebAssembly module without bindings, for `flashlm.js` beside it. Host and module exchange bytes
//! through one buffer in the module's memory; numbers go through the calls. The functions that can fail return -1 and
//! leave the reason in the buffer.
//!
//! Compiled with `-C target-feature=+simd128` it runs on 128-bit vectors, without on any engine.

mod exports;
mod follow;
pub mod teller;
