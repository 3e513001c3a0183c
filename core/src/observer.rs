//! Looking into a step without slowing down those who do not.

/// One pass of the reasoning loop.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pass<'a> {
    /// Which, from 0.
    pub index: u8,
    /// The operations applied.
    pub ops: [u8; 2],
    /// Their weights, which add up to 1.
    pub weights: [f32; 2],
    /// Where the memory was read: S floats of norm 1.
    pub address: &'a [f32],
    /// How far the address is that of what the pass before read (0..1); 0 in the first pass.
    pub hop: f32,
    /// How far what was read replaces what was read before (0..1); 1 in the first pass.
    pub hold: f32,
    /// What is held after the read, R floats.
    pub read: &'a [f32],
}

/// What a token writes into the memory after its passes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MemoryWrite<'a> {
    /// Of the link from its context to itself, and of that from itself to its context (0..1).
    pub gates: [f32; 2],
    /// Where the link from its context begins: S floats of norm 1. A pass that reads here gets what this token wrote as
    /// "what came after".
    pub context: &'a [f32],
    /// Where the link from the token itself begins, likewise: a pass gets "what came before".
    pub token: &'a [f32],
}

/// Told what the reasoning loop does. Every method does nothing unless overridden, and `()` observes nothing at no
/// cost.
pub trait Observer {
    /// The passes this token took, told after them, and the logits for going deeper that decided it, as many as were
    /// asked; none when the depth is fixed.
    fn depth(&mut self, passes: u8, logits: &[f32]) {
        let _ = (passes, logits);
    }

    /// A pass was taken.
    fn pass(&mut self, pass: Pass<'_>) {
        let _ = pass;
    }

    /// The token was written into the memory.
    fn write(&mut self, write: MemoryWrite<'_>) {
        let _ = write;
    }
}

impl Observer for () {}

impl<O: Observer + ?Sized> Observer for &mut O {
    fn depth(&mut self, passes: u8, logits: &[f32]) {
        (**self).depth(passes, logits);
    }

    fn pass(&mut self, pass: Pass<'_>) {
        (**self).pass(pass);
    }

    fn write(&mut self, write: MemoryWrite<'_>) {
        (**self).write(write);
    }
}
