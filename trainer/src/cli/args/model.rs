//! What the model is made of.

use clap::builder::{PossibleValue, PossibleValuesParser};
use clap::{Args, ValueEnum};
use flashlm_core::config::{
    ChannelMixer, Heads, MAX_D_FFN, MAX_D_MODEL, MAX_HEAD_WIDTH, MAX_HEADS, MAX_LAYERS, MAX_VOCAB, MAX_WINDOW, Mixer,
    MixtureOfDepths, ModelConfig,
};

use super::engine::EngineArgs;
use super::values::multiple_of_16;
use crate::run::preset::{self, Named, Preset, Size, SizeError};

/// Channel mixers by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FfnKind {
    /// Gated linear unit.
    Glu,
    /// Squared rectifier.
    Relu2,
    /// Squared rectifier with token shift.
    ShiftedRelu2,
}

#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Model")]
pub struct ModelArgs {
    /// Dimensions to start from; each can be overridden below.
    #[arg(long, value_enum, default_value = "supernova")]
    pub preset: Preset,
    /// How large a model of the preset: its own dimensions, or smaller ones for smaller chips
    #[arg(long, value_enum, default_value = "full")]
    pub size: Size,
    /// Model width [channels; a multiple of 16]
    #[arg(long, value_parser = multiple_of_16(16, MAX_D_MODEL))]
    pub d_model: Option<u16>,
    /// Blocks
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=i64::from(MAX_LAYERS)))]
    pub layers: Option<u16>,
    /// Feed-forward width [channels; a multiple of 16]
    #[arg(long, value_parser = multiple_of_16(16, MAX_D_FFN))]
    pub d_ffn: Option<u16>,
    /// Vocabulary [tokens, the end-of-story token and 256 bytes included]
    #[arg(long, value_parser = clap::value_parser!(u32).range(257..=i64::from(MAX_VOCAB) - 1))]
    pub vocab: Option<u32>,
    /// Heads of the mixer, where the preset's has heads
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=i64::from(MAX_HEADS)))]
    pub heads: Option<u16>,
    /// Width of a head [channels; a multiple of 16]
    #[arg(long, value_parser = multiple_of_16(16, MAX_HEAD_WIDTH))]
    pub d_head: Option<u16>,
    /// Tokens that attention looks back over, the token itself included
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=i64::from(MAX_WINDOW)))]
    pub window: Option<u16>,
    /// How tokens exchange information over time [default: the preset's]
    #[arg(long, value_parser = mixers())]
    pub mixer: Option<String>,
    /// How channels exchange information within a token [default: the preset's]
    #[arg(long, value_enum)]
    pub ffn: Option<FfnKind>,
    /// Mixture of depths: tokens a routed block takes in training [percent; 100: no routing]
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(1..=100))]
    pub mod_capacity: Option<u8>,
    /// Mixture of depths: the first routed block, counted from 0
    #[arg(long, value_name = "BLOCK", value_parser = clap::value_parser!(u16).range(0..=i64::from(MAX_LAYERS) - 1))]
    pub mod_from: Option<u16>,
    #[command(flatten)]
    pub engine: EngineArgs,
}

impl ModelArgs {
    /// What the preset is called at its size; an error where it has no such size.
    pub fn named(&self) -> Result<&'static Named, SizeError> {
        preset::find(&preset::TABLE, self.preset, self.size)
    }

    /// The preset at its size, with what the command line overrides.
    pub fn config(&self) -> Result<ModelConfig, SizeError> {
        let base = self.named()?.config;
        let layers = self.layers.unwrap_or(base.layers);
        let rcsm = self.engine.config(&base, layers);
        let routing = base.mixture_of_depths.unwrap_or(MixtureOfDepths { capacity: 100, from: 0 });
        let routing = MixtureOfDepths {
            capacity: self.mod_capacity.unwrap_or(routing.capacity),
            from: self.mod_from.unwrap_or(routing.from),
        };
        let ffn = match self.ffn {
            None => base.ffn,
            Some(FfnKind::Glu) => ChannelMixer::Glu,
            Some(FfnKind::Relu2) => ChannelMixer::Relu2,
            Some(FfnKind::ShiftedRelu2) => ChannelMixer::ShiftedRelu2,
        };
        Ok(ModelConfig {
            vocab: self.vocab.unwrap_or(base.vocab),
            d_model: self.d_model.unwrap_or(base.d_model),
            layers,
            d_ffn: self.d_ffn.unwrap_or(base.d_ffn),
            mixer: self.mixer(&base),
            ffn,
            rcsm,
            mixture_of_depths: Some(routing).filter(|m| m.capacity < 100),
            ..base
        })
    }

    /// The preset's mixer, or another, with what the command line overrides.
    fn mixer(&self, base: &ModelConfig) -> Mixer {
        let heads = base.heads().unwrap_or(USUAL_HEADS);
        let heads = Heads { count: self.heads.unwrap_or(heads.count), width: self.d_head.unwrap_or(heads.width) };
        let window = match base.mixer {
            Mixer::Attention(a) => a.window,
            _ => USUAL_WINDOW,
        };
        let name = self.mixer.as_deref().unwrap_or(base.mixer.name());
        let mut all = Mixer::all(heads, self.window.unwrap_or(window)).into_iter();
        all.find(|mixer| mixer.name() == name).unwrap_or(base.mixer)
    }
}

/// What a mixer gets that the preset's says nothing of.
const USUAL_HEADS: Heads = Heads { count: 4, width: 64 };
const USUAL_WINDOW: u16 = 256;

/// The mixers by name.
fn mixers() -> PossibleValuesParser {
    Mixer::all(USUAL_HEADS, USUAL_WINDOW).map(|mixer| PossibleValue::new(mixer.name()).help(mixer.words())).into()
}
