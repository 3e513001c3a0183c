//! The sections of `docs/DESIGN.md`, which says what is computed, and why. Documentation cites a section by its name
//! here, so that rustdoc finds citations that lead nowhere; there is no code.
//!
//! The page itself follows where this was built by `bash .ci/run doc` in the repository.
#![cfg_attr(flashlm_design, doc = include_str!("../../docs/DESIGN.md"))]

/// 1. The house
pub mod house {}

/// 2. Models
pub mod models {}

/// 3. Core and the blob
pub mod core {}

/// 4. Trainer
pub mod trainer {}

/// 5. Measures
pub mod measures {}

/// 6. Where this departs from where it came from
pub mod origin {}
