//! criterion benches of the kernels, the training step and decoding.
