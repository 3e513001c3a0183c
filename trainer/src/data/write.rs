//! Files of the cache.

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::Path;

use flashlm_host::output::{self, OutputError};

use super::DataError;

/// [`output::write`], where making what is written can fail too.
pub fn write(path: &Path, write: impl FnOnce(&mut BufWriter<File>) -> Result<(), DataError>) -> Result<(), DataError> {
    let written = output::write(path, &[], |file| {
        write(file).map_err(|error| match error {
            // so that a full disk is named as one
            DataError::Io { source, .. } => source,
            error => io::Error::other(error),
        })
    });
    written.map_err(|error| match error {
        OutputError::Write { path, source } => match source.downcast::<DataError>() {
            Ok(error) => error,
            Err(source) => OutputError::Write { path, source }.into(),
        },
        error => error.into(),
    })
}
