//! x86-64. Both levels read the same tiles; they differ in how many products an instruction forms.

pub(super) mod avx2;
pub(super) mod avx512;
