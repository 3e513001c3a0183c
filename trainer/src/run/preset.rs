//! The presets ([DESIGN section 2](flashlm_core::design::models)) and the sizes they come in.

use clap::ValueEnum;
use flashlm_core::config::ModelConfig;

/// What a model is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Preset {
    /// Gated recurrence, GLU and the RCSM engine; 7.69 M parameters.
    Supernova,
    /// Parallel gated recurrence and token-shifted squared rectifier; 29.7 M parameters.
    Thunderbolt,
    /// Differential attention, squared rectifier and mixture of depths; 4.99 M parameters.
    NovaIgnition,
    /// Supernova's blocks, smaller, without the RCSM engine; 4.36 M parameters.
    Bolt,
    /// Plain causal attention and GLU at supernova's size, to compare with; 7.67 M parameters.
    Transformer,
}

/// How large a model of a preset is. Packed sizes include the tokenizer; with a smaller vocabulary (a small corpus
/// gives one) a model is smaller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Size {
    /// 0.56 M parameters, 0.26 MB packed: chips with 512 KB of flash
    Nano,
    /// 1.44 M parameters, 0.59 MB packed: chips with 1 MB of flash
    Micro,
    /// 3.66 M parameters, 1.35 MB packed: chips with 2 MB of flash
    Mini,
    /// The preset's own dimensions; supernova's are 7.69 M parameters, 2.94 MB packed
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
pub static TABLE: [Named; 8] = [
    named(Preset::Supernova, Size::Nano, "supernova-nano", ModelConfig::SUPERNOVA_NANO),
    named(Preset::Supernova, Size::Micro, "supernova-micro", ModelConfig::SUPERNOVA_MICRO),
    named(Preset::Supernova, Size::Mini, "supernova-mini", ModelConfig::SUPERNOVA_MINI),
    named(Preset::Supernova, Size::Full, "supernova", ModelConfig::SUPERNOVA),
    named(Preset::Thunderbolt, Size::Full, "thunderbolt", ModelConfig::THUNDERBOLT),
    named(Preset::NovaIgnition, Size::Full, "nova-ignition", ModelConfig::NOVA_IGNITION),
    named(Preset::Bolt, Size::Full, "bolt", ModelConfig::BOLT),
    named(Preset::Transformer, Size::Full, "transformer", ModelConfig::TRANSFORMER),
];

const fn named(preset: Preset, size: Size, name: &'static str, config: ModelConfig) -> Named {
    Named { preset, size, name, config }
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

/// What a model of these dimensions is called, if they are a preset's. What training itself sets (depth, the end
/// of story) and the size of the vocabulary make no other model.
pub fn name_of(config: &ModelConfig) -> Option<&'static str> {
    let same = |named: &&Named| {
        let mut preset = named.config;
        (preset.vocab, preset.eot) = (config.vocab, config.eot);
        if let (Some(preset), Some(own)) = (&mut preset.rcsm, &config.rcsm) {
            preset.default_depth = own.default_depth;
        }
        preset == *config
    };
    TABLE.iter().find(same).map(|named| named.name)
}

#[cfg(test)]
mod tests {
    use flashlm_core::blob::Facts;
    use flashlm_core::config::Depth;

    use super::*;
    use crate::data::bpe;
    use crate::export::write_blob;
    use crate::nn::{Layout, Params};

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
        let sizes = TABLE.iter().filter(|named| named.preset == Preset::Supernova);
        for (named, most) in sizes.zip(most) {
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

    /// DESIGN's table, of which the parameters are in `--help`.
    #[test]
    fn every_preset_has_the_parameters_and_the_ternary_share_of_the_design() {
        let design = [
            (Preset::Supernova, 7.69, 86),
            (Preset::Thunderbolt, 29.7, 89),
            (Preset::NovaIgnition, 4.99, 79),
            (Preset::Bolt, 4.36, 56),
            (Preset::Transformer, 7.67, 86),
        ];
        assert_eq!(design.map(|(preset, ..)| preset), Preset::value_variants());
        for (preset, millions, share) in design {
            let named = find(&TABLE, preset, Size::Full).unwrap();
            assert_eq!((named.config.validate(), named.name), (Ok(()), word(preset).as_str()));
            let (all, ternary) = Layout::new(&named.config).counts();
            let digits = if millions < 10.0 { 1e4 } else { 1e5 };
            assert_eq!((all as f64 / digits).round() * digits, (millions * 1e6_f64).round(), "{}", named.name);
            assert_eq!((100.0 * ternary as f64 / all as f64).round(), f64::from(share), "{}", named.name);
            let help = preset.to_possible_value().unwrap().get_help().unwrap().to_string();
            assert!(help.contains(&format!("; {millions} M parameters")), "{help}");
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
            if let Some(rcsm) = &mut config.rcsm {
                rcsm.default_depth = Depth::Fixed(1);
            }
            assert_eq!(name_of(&config), Some(named.name));
            config.layers += 1;
            assert_eq!(name_of(&config), None);
        }
    }
}
