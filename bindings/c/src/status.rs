//! What a call came to.

use core::ffi::CStr;

use flashlm_core::{BlobError, SamplerError, SessionError};

/// What a call came to, as `flashlm_status` in the header: errors are below 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Status {
    /// Done.
    Ok = 0,
    /// The story has ended: nothing was written that `written` does not say.
    End = 1,
    /// A pointer is null.
    Null = -1,
    /// A pointer is not on the boundary that it has to be on.
    Alignment = -2,
    /// There is less memory than `flashlm_memory` says.
    Memory = -3,
    /// The bytes are no model, or a damaged one, or of another version of the format.
    Model = -4,
    /// The model has no tokenizer, or no token that ends a story, so it tells none.
    Text = -5,
    /// The handle is none, or was closed.
    Handle = -6,
    /// The model's reasoning loop does not run at this depth.
    Depth = -7,
    /// An option is out of its range.
    Option = -8,
    /// There is less room than `FLASHLM_PIECE` bytes.
    Capacity = -9,
    /// No story was begun.
    NotBegun = -10,
}

impl Status {
    /// Its number.
    pub fn code(self) -> i32 {
        self as i32
    }

    /// What a number means.
    pub fn message(code: i32) -> &'static CStr {
        match code {
            0 => c"done",
            1 => c"the story has ended",
            -1 => c"a pointer is null",
            -2 => c"a pointer is not aligned: memory wants 64 bytes, a model 4",
            -3 => c"too little memory: flashlm_memory says how much is needed",
            -4 => c"expected a packed model (.flm) of this version, found other or damaged bytes",
            -5 => c"the model has no tokenizer or no end-of-story token, so it tells no stories",
            -6 => c"expected a handle from flashlm_open that was not closed",
            -7 => c"the model's reasoning loop does not run at this depth",
            -8 => c"an option is out of its range",
            -9 => c"expected room for FLASHLM_PIECE bytes",
            -10 => c"expected flashlm_begin first",
            _ => c"no status of this library",
        }
    }
}

impl From<BlobError> for Status {
    fn from(error: BlobError) -> Self {
        match error {
            BlobError::Misaligned => Self::Alignment,
            _ => Self::Model,
        }
    }
}

impl From<SessionError> for Status {
    fn from(error: SessionError) -> Self {
        match error {
            SessionError::ArenaTooSmall { .. } => Self::Memory,
            SessionError::Depth(_) => Self::Depth,
            SessionError::NoEndOfStory => Self::Text,
            SessionError::Empty => Self::NotBegun,
            _ => Self::Model,
        }
    }
}

impl From<SamplerError> for Status {
    fn from(_: SamplerError) -> Self {
        Self::Option
    }
}
