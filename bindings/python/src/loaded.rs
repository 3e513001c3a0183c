//! A model together with the bytes it lies in, and a session together with the model it runs.

use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use flashlm_core::config::Depth;
use flashlm_core::{Kernels, Line, Model, Tokenizer};
use flashlm_host::{Blob, check_depth};
use self_cell::self_cell;

/// A session with its memory on the heap.
pub type Session<'m> = flashlm_core::Session<'m, Vec<Line>>;

self_cell!(
    /// A model, checked once, and its bytes.
    pub struct Loaded {
        owner: Blob,
        #[covariant]
        dependent: Model,
    }
);

self_cell!(
    /// A session, and the model that it keeps alive.
    pub struct Running {
        owner: Arc<Loaded>,
        #[covariant]
        dependent: Session,
    }
);

impl Loaded {
    /// Checks all of `blob`.
    pub fn check(blob: Blob) -> Result<Self> {
        Self::try_new(blob, Blob::model)
    }

    /// What the model is called in messages.
    pub fn name(&self) -> &str {
        self.borrow_owner().name()
    }

    pub fn model(&self) -> &Model<'_> {
        self.borrow_dependent()
    }

    /// # Errors
    /// The model has none, so that it reads and writes tokens only.
    pub fn tokenizer(&self) -> Result<&Tokenizer<'_>> {
        let tokenizer = self.model().tokenizer();
        tokenizer.with_context(|| format!("{}: expected a model with a tokenizer, found one without", self.name()))
    }

    /// The token that ends a story and, as input, begins one.
    ///
    /// # Errors
    /// The model has none.
    pub fn end_of_story(&self) -> Result<u16> {
        let eot = self.model().config().eot;
        Ok(eot.with_context(|| format!("{}: expected a model with an end-of-story token", self.name()))? as u16)
    }
}

impl Running {
    /// A session in the reset state on this machine's best kernels, at the depth asked for or else the model's own.
    ///
    /// # Errors
    /// The model does not have that depth, or there is no memory.
    pub fn start(loaded: &Arc<Loaded>, depth: Option<Depth>) -> Result<Self> {
        Self::try_new(Arc::clone(loaded), |loaded| {
            let arena = loaded.borrow_owner().arena()?;
            let mut session = Session::new(*loaded.model(), Kernels::detect(), arena)?;
            if let Some(depth) = depth {
                check_depth(depth, loaded.model().config().rcsm.as_ref())
                    .map_err(|error| anyhow!("{}: {error}", loaded.name()))?;
                session.set_depth(depth)?;
            }
            Ok(session)
        })
    }

    pub fn loaded(&self) -> &Loaded {
        self.borrow_owner()
    }

    pub fn session(&self) -> &Session<'_> {
        self.borrow_dependent()
    }

    /// What `work` makes of the session.
    pub fn with<T>(&mut self, work: impl FnOnce(&mut Session<'_>) -> T) -> T {
        self.with_dependent_mut(|_, session| work(session))
    }
}
