//! In which order a backward pass finishes the gradients: what can be sent away while the rest is still computed.

use std::ops::Range;

use flashlm_core::config::ModelConfig;

use super::params::Layout;

/// Stretches of the flat buffer of gradients in the order in which a backward pass finishes them, every parameter in
/// one of them: the blocks from the last to the first, the engine where it stands among them, the embedding, which is
/// the head too, at the end.
///
/// The last norm, finished before all others, lies behind the engine's tensors, or the last block's where there is no
/// engine, and goes with those.
pub fn stages(config: &ModelConfig, layout: &Layout) -> Vec<Range<usize>> {
    let layers = usize::from(config.layers);
    let begin = |block: usize| {
        let first = layout.tensors.iter().find(|tensor| tensor.block == Some(block));
        first.map_or(layout.len, |tensor| tensor.offset)
    };
    let last = layout.tensors.iter().rfind(|tensor| tensor.block.is_some());
    let behind = last.map_or(layout.len, |tensor| tensor.range().end);
    let mut stages = Vec::with_capacity(layers + 2);
    for block in (0..layers).rev() {
        if config.rcsm.is_some_and(|rcsm| usize::from(rcsm.after) == block + 1) {
            stages.push(behind..layout.len);
        }
        let end = match (block + 1 == layers, config.rcsm) {
            (true, None) => layout.len,
            (true, Some(_)) => behind,
            (false, _) => begin(block + 1),
        };
        stages.push(begin(block)..end);
    }
    stages.push(0..begin(0));
    stages
}

#[cfg(test)]
mod tests {
    use flashlm_core::config::RcsmConfig;

    use super::*;

    #[test]
    fn every_parameter_is_in_one_stage_and_the_embedding_in_the_last() {
        let engine = |after| Some(RcsmConfig { after, ..RcsmConfig::DEFAULT });
        let base = ModelConfig { layers: 4, ..ModelConfig::SUPERNOVA };
        for rcsm in [None, engine(1), engine(3), engine(4)] {
            for base in [base, ModelConfig { layers: 4, ..ModelConfig::NOVA_IGNITION }] {
                let config = ModelConfig { rcsm, ..base };
                let layout = Layout::new(&config);
                let found = stages(&config, &layout);
                assert_eq!(found.len(), 5 + usize::from(rcsm.is_some()));
                let mut sorted = found.clone();
                sorted.sort_by_key(|range| range.start);
                let ends: Vec<usize> = sorted.iter().map(|range| range.end).collect();
                let starts: Vec<usize> = sorted.iter().map(|range| range.start).skip(1).chain([layout.len]).collect();
                assert_eq!((sorted[0].start, ends), (0, starts), "{rcsm:?}");
                let stage_of = |name: &str| {
                    let offset = layout.get(name).unwrap_or_else(|| panic!("no {name}")).offset;
                    found.iter().position(|range| range.contains(&offset))
                };
                let embedding = &layout.tensors[0].name;
                assert_eq!(stage_of(embedding), Some(found.len() - 1));
                if let Some(rcsm) = rcsm {
                    let engine = stage_of("rcsm.deeper.weight");
                    assert_eq!(engine, Some(4 - usize::from(rcsm.after)));
                }
            }
        }
    }
}
