//! The presets (DESIGN section 2) and the sizes they come in.

use clap::ValueEnum;
use flashlm_core::config::ModelConfig;

/// What a model is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Preset {
    /// Gated recurrence, GLU and the RCSM engine; 7.71 M parameters.
    Supernova,
}

/// How large a model of a preset is. Packed sizes include the tokenizer; with a smaller vocabulary (a small corpus gives
/// one) a model is smaller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Size {
    /// 0.56 M parameters, 0.26 MB packed: chips with 512 KB of flash
    Nano,
    /// 1.44 M parameters, 0.60 MB packed: chips with 1 MB of flash
    Micro,
    /// 3.67 M parameters, 1.36 MB packed: chips with 2 MB of flash
    Mini,
    /// The preset's own dimensions; supernova's are 7.71 M parameters, 2.98 MB packed
    Full,
}

/// A preset at one of its sizes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Named {
    pub preset: Preset,
    pub size: Size,
    /// What runs and packed models of it are called.
    pub name: &'static str,
    pub config: ModelConfig,
}

/// Every preset at every size it has.
pub static TABLE: [Named; 4] = [
    supernova(Size::Nano, "supernova-nano", ModelConfig::SUPERNOVA_NANO),
    supernova(Size::Micro, "supernova-micro", ModelConfig::SUPERNOVA_MICRO),
    supernova(Size::Mini, "supernova-mini", ModelConfig::SUPERNOVA_MINI),
    supernova(Size::Full, "supernova", ModelConfig::SUPERNOVA),
];

const fn supernova(size: Size, name: &'static str, config: ModelConfig) -> Named {
    Named { preset: Preset::Supernova, size, name, config }
}

/// A preset was asked for at a size it does not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("--preset {preset} has no --size {size}; expected one of: {available}")]
pub struct SizeError {
    preset: String,
    size: String,
    available: String,
}

/// The entry of `table` for a preset at a size.
pub fn find(table: &[Named], preset: Preset, size: Size) -> Result<&Named, SizeError> {
    let own = || table.iter().filter(|named| named.preset == preset);
    own().find(|named| named.size == size).ok_or_else(|| SizeError {
        preset: word(preset),
        size: word(size),
        available: own().map(|named| word(named.size)).collect::<Vec<_>>().join(", "),
    })
}

/// A value as it is written on the command line.
fn word(value: impl ValueEnum) -> String {
    value.to_possible_value().map_or_else(String::new, |value| value.get_name().into())
}

/// What a model of these dimensions is called, if they are a preset's. What training itself sets (depth, memory writes,
/// the end of story) and the size of the vocabulary make no other model.
pub fn name_of(config: &ModelConfig) -> Option<&'static str> {
    let same = |named: &&Named| {
        let mut preset = named.config;
        (preset.vocab, preset.eot) = (config.vocab, config.eot);
        if let (Some(preset), Some(own)) = (&mut preset.rcsm, &config.rcsm) {
            (preset.default_depth, preset.memory_writes) = (own.default_depth, own.memory_writes);
        }
        preset == *config
    };
    TABLE.iter().find(same).map(|named| named.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::bpe;
    use crate::export::write_blob;
    use crate::nn::Params;
    use flashlm_core::blob::Facts;

    /// A tokenizer as large as `vocab` asks for; what its merges are does not matter here.
    fn tokenizer(vocab: u32) -> Vec<u8> {
        let merges: Vec<(u16, u16)> = (0..vocab as u16 - 257).map(|i| (1 + i % 256, 1 + i / 256)).collect();
        bpe::table(&merges)
    }

    /// The figures in `--help`, against an untrained model really packed.
    #[test]
    fn help_tells_the_parameters_and_the_packed_size_of_every_size() {
        // with 100 KB for the program, in 512 KB, 1 MB, 2 MB and 4 MB of flash, the first even in 256 KB of its own
        let most = [256 << 10, 700 << 10, 1500 << 10, 3 << 20];
        for (named, most) in TABLE.iter().zip(most) {
            let params = Params::init(&named.config, 1);
            let facts = Facts { name: named.name, ..Facts::default() };
            let tensor = |name: &str| params.tensor(name);
            let blob = write_blob(&named.config, &facts, &tokenizer(named.config.vocab), &tensor).unwrap();
            let help = named.size.to_possible_value().unwrap().get_help().unwrap().to_string();
            let figures = format!(
                "{:.2} M parameters, {:.2} MB packed",
                params.layout.counts().0 as f64 / 1e6,
                blob.len() as f64 / 1e6
            );
            assert!(help.contains(&figures), "{}: {figures}; --help says {help}", named.name);
            assert!(blob.len() <= most, "{}: {} bytes", named.name, blob.len());
        }
    }

    #[test]
    fn a_size_that_a_preset_lacks_is_refused_with_those_it_has() {
        let without_micro = [TABLE[0], TABLE[2]];
        let error = find(&without_micro, Preset::Supernova, Size::Micro).unwrap_err().to_string();
        assert_eq!(error, "--preset supernova has no --size micro; expected one of: nano, mini");
        assert_eq!(find(&TABLE, Preset::Supernova, Size::Micro).unwrap().config, ModelConfig::SUPERNOVA_MICRO);
    }

    #[test]
    fn a_preset_is_recognised_whatever_depth_it_was_last_trained_at() {
        for named in &TABLE {
            let mut config = ModelConfig { vocab: 300, ..named.config };
            config.rcsm.as_mut().unwrap().memory_writes = false;
            assert_eq!(name_of(&config), Some(named.name));
            config.layers += 1;
            assert_eq!(name_of(&config), None);
        }
    }
}
