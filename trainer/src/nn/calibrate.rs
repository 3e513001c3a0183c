//! The choice of depth, fitted to what depth was measured to be worth.
//!
//! The choice is two logistic regressions on the engine's states, which nothing else reads. So they are not trained
//! with the model but fitted to it, on states of batches that are run at every depth: did a deeper depth lower the
//! token's loss by more than a margin? A token weighs as much as it gained beyond the margin, or missed it by: so the
//! choice goes deeper where that is worth it on average, also where a guess at the first depth is often right. Nothing
//! moves but the choice's weights.

use bytemuck::{Pod, Zeroable};
use rayon::prelude::*;

use super::engine::Engine;
use super::rcsm::depth_gradient;
use super::replica::Rows;

/// Newton steps at the most; a dozen converge.
const STEPS: usize = 25;
/// Pull of the weights towards zero, in rows' worth of curvature, a row of the mean weight being one.
const RIDGE: f64 = 1.0;

/// The tensors that the choice of depth is made of, the only ones that a calibration changes.
pub const CHOICE: [&str; 2] = ["rcsm.deeper.weight", "rcsm.deeper.bias"];

/// What a calibration found, for the choices behind the first and the second depth.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
pub struct Calibration {
    /// Tokens looked at.
    pub tokens: u64,
    /// Of them, the share for which going deeper pays, and the share that the fitted choice sends deeper.
    pub pays: [f64; 2],
    pub deeper: [f64; 2],
    /// Binary cross-entropy of the choice, nats: that of always guessing the share that pays, and the fitted one.
    pub guess: [f64; 2],
    pub loss: [f64; 2],
    /// Mean loss of the tokens, nats: at each depth, and as the fitted choice takes them.
    pub depth_nats: [f64; 3],
    pub chosen_nats: f64,
}

/// The rows that a choice is fitted to.
#[derive(Default)]
struct Examples {
    /// (N, R).
    inputs: Vec<f32>,
    /// What going deeper gained beyond the margin, nats, (N): it pays where that is positive.
    gains: Vec<f32>,
}

impl Engine {
    /// Fits the choice of depth to `batches` batches of `fill`, as [`Engine::step`] calls it, read from the initial
    /// state on: going deeper pays where it lowers a token's loss by more than `margin` nats. Training's state and all
    /// other parameters are kept. `None`, and nothing done, without a reasoning loop.
    pub fn calibrate(
        &mut self,
        mut fill: impl FnMut(usize, Rows<'_>),
        batches: usize,
        margin: f32,
    ) -> Option<Calibration> {
        let rcsm = self.config().rcsm?;
        let (r, depths) = (usize::from(rcsm.width), rcsm.depths);
        let kept = self.states();
        let mut examples: [Examples; 2] = Default::default();
        let mut all_nats: Vec<[f32; 3]> = Vec::new();
        self.start_all_afresh();
        for _ in 0..batches {
            let nats = self.depth_nats(&mut fill);
            for (replica, nats) in self.replicas().iter().zip(&nats) {
                for (i, &[first, second, third]) in nats.iter().enumerate() {
                    if replica.targets[i] == super::IGNORE {
                        continue;
                    }
                    all_nats.push([first, second, third]);
                    let gains = [first - second.min(third) - margin, second - third - margin];
                    for (choice, examples) in examples.iter_mut().enumerate() {
                        let at = examples.inputs.len();
                        examples.inputs.resize(at + r, 0.0);
                        replica.choice_input(depths[choice].into(), i, &mut examples.inputs[at..]);
                        examples.gains.push(gains[choice]);
                    }
                }
            }
        }
        // the lengths are our own
        let restored = self.set_states(&kept);
        debug_assert!(restored.is_ok());
        if all_nats.is_empty() {
            return None;
        }
        let fits = self.pool().install(|| [fit(&examples[0], r), fit(&examples[1], r)]);
        let weights: Vec<f32> = fits.iter().flat_map(|w| &w[..r]).map(|&w| w as f32).collect();
        let biases = fits.each_ref().map(|w| w[r] as f32);
        let result = measure(&examples, &all_nats, &weights, biases, r);
        self.update(|params, _, layout| {
            for (name, values) in CHOICE.into_iter().zip([&weights[..], &biases]) {
                if let Some(tensor) = layout.get(name) {
                    params[tensor.range()].copy_from_slice(values);
                }
            }
        });
        Some(result)
    }
}

/// The regression's weights and, last, its bias, (R + 1): Newton's method on the weighted cross-entropy.
fn fit(examples: &Examples, r: usize) -> Vec<f64> {
    let size = r + 1;
    let mut w = vec![0.0; size];
    let total: f64 = examples.gains.iter().map(|&gain| f64::from(gain.abs())).sum();
    if total == 0.0 {
        // nothing speaks for going deeper, or against it
        return w;
    }
    let unit = examples.gains.len() as f64 / total;
    for _ in 0..STEPS {
        let part = |(inputs, gains): (&[f32], &[f32])| {
            let (mut gradient, mut curvature) = (vec![0.0f64; size], vec![0.0f64; size * size]);
            let mut x = vec![1.0f64; size];
            for (input, &gain) in inputs.chunks_exact(r).zip(gains) {
                for (x, &v) in x.iter_mut().zip(input) {
                    *x = v.into();
                }
                let logit: f64 = x.iter().zip(&w).map(|(x, w)| x * w).sum();
                let p = 1.0 / (1.0 + (-logit).exp());
                let weight = unit * f64::from(gain.abs());
                let (slope, bend) = (weight * (p - f64::from(u8::from(gain > 0.0))), weight * p * (1.0 - p));
                for i in 0..size {
                    gradient[i] += slope * x[i];
                    let scaled = bend * x[i];
                    for (c, x) in curvature[i * size..i * size + i + 1].iter_mut().zip(&x) {
                        *c += scaled * x;
                    }
                }
            }
            (gradient, curvature)
        };
        const SHARE: usize = 4096;
        let parts: Vec<_> =
            examples.inputs.par_chunks(SHARE * r).zip(examples.gains.par_chunks(SHARE)).map(part).collect();
        let (mut gradient, mut curvature) = (vec![0.0; size], vec![0.0; size * size]);
        for (g, c) in &parts {
            gradient.iter_mut().zip(g).for_each(|(a, b)| *a += b);
            curvature.iter_mut().zip(c).for_each(|(a, b)| *a += b);
        }
        for i in 0..size {
            let ridge = if i < r { RIDGE } else { 1e-6 };
            gradient[i] += ridge * w[i];
            curvature[i * size + i] += ridge;
        }
        let step = solve(curvature, gradient);
        let length = step.iter().map(|s| s * s).sum::<f64>().sqrt();
        // a regression of what can be told apart perfectly has no end: short steps keep it finite
        let scale = (4.0 / length).min(1.0);
        w.iter_mut().zip(&step).for_each(|(w, s)| *w -= scale * s);
        if length < 1e-6 {
            break;
        }
    }
    w
}

/// Solves `a x = b`, a symmetric and positive definite, of which the lower triangle is read: Cholesky's way.
fn solve(mut a: Vec<f64>, mut b: Vec<f64>) -> Vec<f64> {
    let n = b.len();
    for i in 0..n {
        for j in 0..=i {
            let along: f64 = (0..j).map(|k| a[i * n + k] * a[j * n + k]).sum();
            let rest = a[i * n + j] - along;
            a[i * n + j] = if i == j { rest.max(1e-12).sqrt() } else { rest / a[j * n + j] };
        }
    }
    for i in 0..n {
        let along: f64 = (0..i).map(|k| a[i * n + k] * b[k]).sum();
        b[i] = (b[i] - along) / a[i * n + i];
    }
    for i in (0..n).rev() {
        let along: f64 = (i + 1..n).map(|k| a[k * n + i] * b[k]).sum();
        b[i] = (b[i] - along) / a[i * n + i];
    }
    b
}

fn measure(examples: &[Examples; 2], nats: &[[f32; 3]], weights: &[f32], biases: [f32; 2], r: usize) -> Calibration {
    let n = nats.len() as f64;
    let mut result = Calibration { tokens: nats.len() as u64, ..Default::default() };
    let params: Vec<f32> = weights.iter().chain(&biases).copied().collect();
    let mut unused = vec![0.0; params.len()];
    let goes = |choice: usize, i: usize| {
        let input = &examples[choice].inputs[i * r..][..r];
        flashlm_core::math::dot(&params[choice * r..][..r], input) + biases[choice] > 0.0
    };
    for (choice, examples) in examples.iter().enumerate() {
        let share = examples.gains.iter().filter(|&&gain| gain > 0.0).count() as f64 / n;
        result.pays[choice] = share;
        let entropy = |p: f64| if p > 0.0 { -p * p.ln() } else { 0.0 };
        result.guess[choice] = entropy(share) + entropy(1.0 - share);
        for (input, &gain) in examples.inputs.chunks_exact(r).zip(&examples.gains) {
            let pays = f32::from(u8::from(gain > 0.0));
            result.loss[choice] += depth_gradient(&params, choice, input, pays, 1.0, &mut unused) / n;
        }
    }
    for (i, nats) in nats.iter().enumerate() {
        for (mean, &nats) in result.depth_nats.iter_mut().zip(nats) {
            *mean += f64::from(nats) / n;
        }
        let first = goes(0, i);
        let depth = if !first { 0 } else { 1 + usize::from(goes(1, i)) };
        result.deeper[0] += f64::from(u8::from(first)) / n;
        result.deeper[1] += f64::from(u8::from(depth == 2)) / n;
        result.chosen_nats += f64::from(nats[depth]) / n;
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::Rng;

    #[test]
    fn a_regression_finds_the_weights_that_made_its_examples() {
        let mut rng = Rng::new(4);
        let truth = [1.5, -2.0, 0.5, -0.7];
        let mut examples = Examples::default();
        for _ in 0..40_000 {
            let x: Vec<f32> = (0..3).map(|_| rng.normal()).collect();
            let logit: f32 = x.iter().zip(truth).map(|(x, w)| x * w).sum::<f32>() + truth[3];
            examples.gains.push(if rng.uniform() < flashlm_core::math::sigmoid(logit) { 0.5 } else { -0.5 });
            examples.inputs.extend(x);
        }
        for (found, truth) in fit(&examples, 3).into_iter().zip(truth) {
            assert!((found - f64::from(truth)).abs() < 0.08, "{found} for {truth}");
        }
    }

    #[test]
    fn a_regression_of_what_is_always_so_stays_finite() {
        for gain in [-0.1, 0.1, 0.0] {
            let examples = Examples { inputs: vec![1.0; 300], gains: vec![gain; 100] };
            let w = fit(&examples, 3);
            let logit: f64 = w.iter().sum();
            assert!(w.iter().all(|w| w.is_finite()) && (logit > 0.0) == (gain > 0.0), "{w:?}");
        }
    }

    #[test]
    fn a_rare_large_gain_outweighs_frequent_small_losses() {
        // of the rows that look alike one in ten gains 2 nats, the others lose 0.02; another kind of row never gains
        let mut examples = Examples::default();
        for i in 0..2000 {
            let guess = i % 2 == 0;
            examples.inputs.extend([if guess { 1.0 } else { -1.0 }, 0.3]);
            examples.gains.push(if guess && i % 20 == 0 { 2.0 } else { -0.02 });
        }
        let w = fit(&examples, 2);
        let logit = |x: f64| w[0] * x + w[1] * 0.3 + w[2];
        assert!(logit(1.0) > 0.0 && logit(-1.0) < 0.0, "{w:?}");
    }
}
