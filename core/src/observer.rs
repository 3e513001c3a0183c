//! Looking into a step without slowing down those who do not.

/// Told what the reasoning loop does. Every method does nothing unless overridden, and `()` observes nothing at no
/// cost.
pub trait Observer {
    /// The depth controller's choice for this token: `passes`, and its logits over the three depths; no logits when
    /// the depth is fixed.
    fn depth(&mut self, passes: u8, logits: &[f32]) {
        let _ = (passes, logits);
    }

    /// Pass `index` (from 0) applied operations `ops` with `weights` and read the memory at `address` (S floats of
    /// norm 1).
    fn pass(&mut self, index: u8, ops: [u8; 2], weights: [f32; 2], address: &[f32]) {
        let _ = (index, ops, weights, address);
    }

    /// The token's memory write: gate (0..1) and `address` (S floats of norm 1).
    fn write(&mut self, gate: f32, address: &[f32]) {
        let _ = (gate, address);
    }
}

impl Observer for () {}

impl<O: Observer + ?Sized> Observer for &mut O {
    fn depth(&mut self, passes: u8, logits: &[f32]) {
        (**self).depth(passes, logits);
    }

    fn pass(&mut self, index: u8, ops: [u8; 2], weights: [f32; 2], address: &[f32]) {
        (**self).pass(index, ops, weights, address);
    }

    fn write(&mut self, gate: f32, address: &[f32]) {
        (**self).write(gate, address);
    }
}
