//! What the work is done on, and how much of it at a time.

use clap::Args;

use crate::kernels;

#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Machine")]
pub struct MachineArgs {
    /// Threads, one model replica each [default: all cores]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
    /// Instruction set of the kernels [default: the best this CPU has]
    #[arg(long, value_name = "ISA")]
    pub isa: Option<kernels::Isa>,
    /// Factors of float products: bf16 or f32 [default: bf16 where this CPU multiplies it faster]
    #[arg(long)]
    pub precision: Option<kernels::Precision>,
    /// Factors of the ternary layers' gradients: int8, bf16 or f32 [default: the precision, if it is given; else
    /// int8, with AMX bf16, and f32 at --isa portable]
    #[arg(long, value_name = "FORMAT")]
    pub backward: Option<kernels::Backward>,
}

impl MachineArgs {
    /// The number of threads, all cores unless given.
    pub fn threads(&self) -> usize {
        let all = || std::thread::available_parallelism().map_or(1, |n| n.get());
        self.threads.map_or_else(all, |n| n as usize)
    }

    /// The kernels asked for, or why this CPU cannot run them.
    pub fn kernels(&self) -> anyhow::Result<kernels::Kernels> {
        let isa = self.isa.unwrap_or_else(kernels::Isa::detect);
        let kernels = kernels::Kernels::new(isa, self.precision.unwrap_or(isa.default_precision()))?;
        let default = self.precision.map_or(isa.default_backward(), kernels::Backward::from);
        Ok(kernels.with_backward(self.backward.unwrap_or(default))?)
    }
}

#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Batch")]
pub struct BatchArgs {
    /// Sequences each thread trains side by side
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub sequences: u16,
    /// Length of each sequence per micro-batch; gradients reach back this far [tokens]
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u16).range(2..=4096))]
    pub tokens: u16,
}
