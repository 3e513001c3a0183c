//! Promises of ranks, kept by threads of one process in MPI's place.

use flashlm_core::config::{ModelConfig, RcsmConfig};

use super::gradients::Gradients;
use super::testing::together;
use super::*;
use crate::kernels::Kernels;
use crate::nn::{
    BatchShape, EmbeddingMode, Engine, Exchange, Params, Rng, Rows, StepOptions, StepStats, TrainDepth, stages,
};

/// Not a multiple of anything, and longer than two pieces.
const NUMBERS: usize = 2 * PIECE + 777;

/// Gradients of a replica, by its place among all.
fn part(replica: usize) -> Vec<f32> {
    let mut rng = Rng::new(100 + replica as u64);
    (0..NUMBERS).map(|_| rng.normal() * 10f32.powi((rng.next_u64() % 6) as i32 - 3)).collect()
}

/// What every rank makes of the gradients of `threads` replicas on each of `count` ranks, two stretches one after the
/// other as an engine sends them.
fn exchanged(reduce: Reduce, count: usize, threads: usize, steps: usize) -> Vec<Vec<f32>> {
    together(count, |ranks| {
        let mut gradients = Gradients::new(&ranks, reduce, NUMBERS).unwrap();
        let own: Vec<_> = (0..threads).map(|i| part(ranks.rank() * threads + i)).collect();
        let (mut total, mut sum) = (vec![f32::NAN; NUMBERS], vec![0.0; NUMBERS]);
        for _ in 0..steps {
            let both = [1000..NUMBERS, 0..1000];
            for range in both.clone() {
                let parts: Vec<&[f32]> = own.iter().map(|part| &part[range.clone()]).collect();
                gradients.add_up(range.clone(), &parts, &mut total[range.clone()]);
            }
            for range in both {
                gradients.spread(range.clone(), &mut total[range.clone()]);
            }
            sum.iter_mut().zip(&total).for_each(|(sum, value)| *sum += value / steps as f32);
        }
        sum
    })
}

/// The sum over `replicas` replicas, one after the other.
fn added(replicas: usize) -> Vec<f32> {
    let mut sum = part(0);
    for replica in 1..replicas {
        sum.iter_mut().zip(part(replica)).for_each(|(sum, value)| *sum += value);
    }
    sum
}

#[test]
fn sums_in_f32_have_the_bits_of_one_process_that_has_all_replicas() {
    for (count, threads) in [(2, 1), (2, 3), (3, 2), (5, 1)] {
        let want = added(count * threads);
        for total in exchanged(Reduce::F32, count, threads, 1) {
            assert!(total == want, "{count} ranks of {threads} threads");
        }
    }
}

#[test]
fn rounded_sums_are_near_the_exact_ones_and_the_same_on_every_rank() {
    for (reduce, error) in [(Reduce::Bf16, 0.005), (Reduce::Int8, 0.02)] {
        for (count, threads) in [(2, 1), (3, 2), (7, 1)] {
            let want = added(count * threads);
            let norm = |values: &[f32]| values.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
            let all = exchanged(reduce, count, threads, 1);
            assert!(all.iter().all(|total| *total == all[0]), "{reduce:?}, {count} ranks");
            let off: Vec<f32> = all[0].iter().zip(&want).map(|(a, b)| a - b).collect();
            let share = norm(&off) / norm(&want);
            assert!(share > 0.0 && share < error, "{reduce:?}, {count} ranks of {threads}: {share}");
        }
    }
}

#[test]
fn what_rounding_to_eight_bits_leaves_over_comes_with_later_steps() {
    let want = added(3);
    let off = |steps| {
        let total = &exchanged(Reduce::Int8, 3, 1, steps)[0];
        total.iter().zip(&want).map(|(a, b)| f64::from((a - b).abs())).sum::<f64>()
    };
    // rounding alone would stay as far off however many steps there are
    let (one, many) = (off(1), off(40));
    assert!(many < one / 10.0, "{one} after one step, {many} after forty");
}

#[test]
fn bytes_are_shared_and_gathered_in_the_ranks_order() {
    let all = together(3, |ranks| {
        let own = vec![ranks.rank() as u8; 2 + ranks.rank()];
        assert_eq!(ranks.share(own.clone()), [0, 0]);
        assert_eq!(ranks.share(Vec::new()), [0; 0]);
        assert_eq!((ranks.agree(7.5 + ranks.rank() as f64), ranks.agree_whether(ranks.leads())), (7.5, true));
        assert_eq!(ranks.decide(|| 41 + ranks.rank() as u64), 41);
        let mut floats = [ranks.rank() as f32; 3];
        ranks.share_floats(&mut floats);
        assert_eq!(floats, [0.0; 3]);
        assert_eq!((ranks.all(true), ranks.all(ranks.rank() != 1)), (true, false));
        (ranks.gather(vec![ranks.rank() as u8; 2]), ranks.gather_each(own))
    });
    assert_eq!(all[0], (vec![0, 0, 1, 1, 2, 2], vec![vec![0, 0], vec![1, 1, 1], vec![2, 2, 2, 2]]));
    assert!(all[1..].iter().all(|(all, each)| all.is_empty() && each.is_empty()));
}

#[test]
fn every_rank_has_everyones_part_whatever_parts_there_are() {
    // parts of several lengths, one of none; numbers between them are nobody's
    let parts = [2..5, 0..0, 5..6, 8..20];
    let want: Vec<_> =
        (0..22).map(|i| parts.iter().position(|part| part.contains(&i)).map_or(-1.0, |r| r as f32)).collect();
    for values in together(4, |ranks| {
        let mut values = vec![-1.0; 22];
        values[parts[ranks.rank()].clone()].fill(ranks.rank() as f32);
        ranks.exchange_parts(&mut values, |rank| parts[rank].clone());
        values
    }) {
        assert_eq!(values, want);
    }
    let mut alone = [1.0, 2.0];
    Ranks::alone().exchange_parts(&mut alone, |_| 0..2);
    assert_eq!(alone, [1.0, 2.0]);
}

#[test]
fn what_is_not_the_same_on_all_ranks_is_named_on_every_one() {
    let all = together(3, |ranks| {
        assert_eq!(ranks.same("the texts", 5).map_err(|e| e.to_string()), Ok(()));
        ranks.same("the texts", if ranks.rank() == 2 { 6 } else { 5 }).unwrap_err().to_string()
    });
    let want = "the texts: rank 2 of 3 has others than rank 0: expected the same on every rank";
    assert_eq!(all, [want; 3]);
}

#[test]
fn the_first_rank_goes_first() {
    let order = std::sync::Mutex::new(Vec::new());
    let note = |ranks: &Ranks| {
        ranks.in_turn(|| {
            order.lock().unwrap().push(ranks.rank());
            Ok::<_, ()>(())
        })
    };
    together(3, |ranks| note(&ranks)).into_iter().for_each(|result| result.unwrap());
    assert_eq!(order.into_inner().unwrap()[0], 0);
}

#[test]
fn a_process_by_itself_needs_nobody() {
    let ranks = Ranks::alone();
    assert_eq!((ranks.rank(), ranks.count(), ranks.leads()), (0, 1, true));
    assert_eq!(
        (ranks.share(vec![1]), ranks.gather(vec![2]), ranks.gather_each(vec![3])),
        (vec![1], vec![2], vec![vec![3]])
    );
    assert!(ranks.same("anything", 1).is_ok() && !ranks.all(false));
    assert!(Gradients::new(&ranks, Reduce::Int8, 10).is_none());
}

const CONFIG: ModelConfig = ModelConfig {
    vocab: 320,
    d_model: 64,
    layers: 3,
    d_ffn: 96,
    rcsm: Some(RcsmConfig { width: 32, ops: 8, slots: 6, after: 2, ..RcsmConfig::DEFAULT }),
    ..ModelConfig::SUPERNOVA
};

/// Two steps of an engine of `threads` replicas, and the gradients after each.
fn steps(
    ranks: &Ranks,
    config: ModelConfig,
    threads: usize,
    reduce: Reduce,
    depth: TrainDepth,
) -> Vec<(StepStats, Vec<f32>)> {
    let params = Params::init(&config, 1);
    let parameters = params.layout.len;
    let shape = BatchShape { threads, sequences: 2, tokens: 24, accumulate: 2 };
    let mut engine = Engine::new(config, Kernels::detect(), params, shape, EmbeddingMode::Int8).unwrap();
    if let Some(gradients) = Gradients::new(ranks, reduce, parameters) {
        engine.join(Box::new(gradients)).unwrap();
    }
    let first = ranks.rank() * threads;
    let mut calls = vec![0; threads];
    let options = StepOptions { depth, balance: 0.01, z_loss: 1e-4, answer_weight: 5.0, answer_smoothing: 0.1 };
    let mut step = || {
        let fill = |replica: usize, rows: Rows<'_>| {
            calls[replica] += 1;
            let mut rng = Rng::new((1000 * calls[replica] + first + replica) as u64);
            for id in rows.ids.iter_mut().chain(rows.targets) {
                *id = (rng.next_u64() % u64::from(config.vocab)) as u16;
            }
            rows.depths.fill_with(|| [1, 1, 3, 8][(rng.next_u64() % 4) as usize]);
            rows.facts.fill_with(|| (rng.next_u64() % 3) as u8);
        };
        let stats = engine.step(fill, &options);
        (stats, engine.grads().to_vec())
    };
    (0..2).map(|_| step()).collect()
}

#[test]
fn a_step_of_two_ranks_has_the_bits_of_one_with_as_many_threads() {
    let blend = TrainDepth::Blend { tau: 0.7, noise_seed: Some(9) };
    let plain = ModelConfig { rcsm: None, ..CONFIG };
    let routed = ModelConfig { vocab: 320, d_model: 64, layers: 3, d_ffn: 96, ..ModelConfig::NOVA_IGNITION };
    for (config, depth) in [(CONFIG, TrainDepth::Rows), (CONFIG, blend), (plain, TrainDepth::Rows), (routed, blend)] {
        for (count, threads) in [(2, 1), (2, 2)] {
            let want = steps(&Ranks::alone(), config, count * threads, Reduce::F32, depth);
            for found in together(count, |ranks| steps(&ranks, config, threads, Reduce::F32, depth)) {
                for (found, want) in found.iter().zip(&want) {
                    assert_eq!(found.0, want.0, "{count} ranks of {threads} threads");
                    assert!(found.1 == want.1, "gradients, {count} ranks of {threads} threads");
                }
            }
        }
    }
}

#[test]
fn every_gradient_is_exchanged_whatever_it_is_rounded_to() {
    let want = steps(&Ranks::alone(), CONFIG, 2, Reduce::F32, TrainDepth::Rows);
    for reduce in [Reduce::Bf16, Reduce::Int8] {
        let all = together(2, |ranks| steps(&ranks, CONFIG, 1, reduce, TrainDepth::Rows));
        assert!(all[0] == all[1], "{reduce:?}");
        let (stats, grads) = &all[0][0];
        assert_eq!(*stats, want[0].0, "figures are never rounded");
        let layout = Params::init(&CONFIG, 1).layout;
        for range in stages(&CONFIG, &layout) {
            let norm = |values: &[f32]| values.iter().map(|v| v * v).sum::<f32>().sqrt();
            let (grads, exact) = (&grads[range.clone()], &want[0].1[range.clone()]);
            let off: Vec<f32> = grads.iter().zip(exact).map(|(a, b)| a - b).collect();
            assert!(norm(&off) < 0.05 * norm(exact), "{reduce:?}, {range:?}: {} of {}", norm(&off), norm(exact));
        }
    }
}
