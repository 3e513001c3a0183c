//! One error for programs that do not tell the modules' own apart.

use crate::blob::BlobError;
#[cfg(any(test, feature = "std"))]
use crate::blob::WriteError;
use crate::config::{ConfigError, DepthError};
use crate::sampler::SamplerError;
use crate::session::SessionError;
use crate::tokenizer::TokenizerError;

/// Any error of this crate: what `?` makes of a module's own in a function that returns `Result<_, Error>`.
///
/// Shown, it is the error within, word for word; [`source`](core::error::Error::source) is that error.
///
/// ```
/// use flashlm_core::{BlobError, Error, Model, Sampler, SamplerConfig};
///
/// fn open(blob: &[u8]) -> Result<(Model<'_>, Sampler), Error> {
///     Ok((Model::from_bytes(blob)?, Sampler::new(SamplerConfig::default())?))
/// }
/// let error = open(b"<!doctype html>").err();
/// assert_eq!(error, Some(Error::Blob(BlobError::TooShort)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Error {
    /// Bytes are not a model.
    Blob(BlobError),
    /// The model has no tokenizer.
    NoTokenizer,
    /// A tokenizer's table or a buffer of tokens was refused.
    Tokenizer(TokenizerError),
    /// A session cannot be made or cannot go on.
    Session(SessionError),
    /// A parameter of the sampler is out of its range.
    Sampler(SamplerError),
    /// A configuration breaks a limit.
    Config(ConfigError),
    /// A text is not a depth.
    Depth(DepthError),
    /// Sections do not make a blob.
    #[cfg(any(test, feature = "std"))]
    Write(WriteError),
}

/// [`From`] of each module's error, and a match over all.
macro_rules! wraps {
    ($($(#[$when:meta])? $variant:ident($error:ty)),+ $(,)?) => {
        $($(#[$when])?
        impl From<$error> for Error {
            fn from(error: $error) -> Self {
                Self::$variant(error)
            }
        })+

        impl core::fmt::Display for Error {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                match self {
                    Self::NoTokenizer => f.write_str("the model has no tokenizer"),
                    $($(#[$when])? Self::$variant(error) => error.fmt(f)),+
                }
            }
        }

        impl core::error::Error for Error {
            fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
                match self {
                    Self::NoTokenizer => None,
                    $($(#[$when])? Self::$variant(error) => Some(error)),+
                }
            }
        }
    };
}

wraps!(
    Blob(BlobError),
    Tokenizer(TokenizerError),
    Session(SessionError),
    Sampler(SamplerError),
    Config(ConfigError),
    Depth(DepthError),
    #[cfg(any(test, feature = "std"))]
    Write(WriteError),
);

#[cfg(test)]
mod tests {
    use std::error::Error as _;
    use std::string::ToString;

    use super::*;

    #[test]
    fn every_error_becomes_one_that_says_the_same_and_leads_back() {
        fn holds<E: std::error::Error + PartialEq + Copy + Into<Error> + 'static>(inner: E) {
            let error: Error = inner.into();
            assert_eq!(error.to_string(), inner.to_string());
            let source = error.source().and_then(|source| source.downcast_ref::<E>());
            assert_eq!(source, Some(&inner));
        }
        holds(BlobError::Version(3));
        holds(TokenizerError::BufferTooSmall { needed: 7 });
        holds(SessionError::ArenaTooSmall { needed: 3, found: 2 });
        holds(SamplerError::TopP);
        holds(ConfigError::Window);
        holds("x".parse::<crate::Depth>().unwrap_err());
        holds(WriteError::TooLong);
        assert!(Error::NoTokenizer.source().is_none());
    }
}
