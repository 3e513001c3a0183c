"""Writes tests/golden/*.safetensors: shrunken presets with fixed weights, inputs, and what this model makes of them.

    python golden.py [--out DIR]

Every file holds, float32 unless said:
  param.<name>      every parameter
  ids, targets      (B, T) int64
  train.logits      (B, T, V) in training mode
  train.loss        () cross-entropy; nova-ignition: + 0.01 routing loss; supernova: + the loss of the depth choice
  grad.<name>       the gradient of train.loss
  eval.logits       (B, T, V) in inference mode: chosen depth, causal mixture of depths
supernova also:
  depths            (B, T) int64: passes of every token in training mode
  pays              (B, T, 2) whether going deeper pays, what the choice of depth is taught
  depth<n>.logits   (B, T, V) in inference mode, every token at n passes
supernova-blend is supernova's model and inputs with depths blended in training: only train.* and grad.*, no loss of
the depth choice. The metadata holds the configuration as JSON, and `depth_training`: "forced" or "blend" where there
are depths.

Rounding to ternary and int8 jumps, so an example that happens to lie on an edge would differ between two right
implementations. Every example is therefore computed in float64 too, and not written unless the two agree.
"""
import argparse
import copy
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save_file

from config import PRESETS, Rcsm
from model import FlashLm, training_loss
from rcsm import BLEND

SEQUENCES, TOKENS = 2, 24
EDGE = 1e-4  # how far float64 may be from what is written
SMALL = dict(vocab=96, d_model=64, d_ffn=96)
# preset: (seed, what else is shrunken)
MODELS = {
    "supernova": (7, dict(layers=2, rcsm=Rcsm(width=32, ops=8, slots=16, taps=3, after=1))),
    "thunderbolt": (1, dict(layers=3, heads=4, d_head=16)),
    "nova-ignition": (2, dict(layers=4, heads=2, d_head=32, window=8)),
    "bolt": (3, dict(layers=2)),
    "transformer": (4, dict(layers=2, heads=2, d_head=32, window=8)),
}
NEUTRAL_MATRICES = ("taps", "salience.weight", "gate.weight", "gates.weight", "deeper.weight")
DEFAULT_OUT = Path(__file__).resolve().parent.parent / "tests" / "golden"


def perturb(model):
    """Moves gains, biases, gates and taps off their neutral start, so that every path carries signal."""
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.dim() <= 1 or name.startswith("rcsm.") and name.endswith(NEUTRAL_MATRICES):
                p.add_(0.3 * torch.randn_like(p))


def outputs(model, inputs, depth_training):
    """Everything a golden file says about `model` on `inputs` (ids, targets, depths, pays), by name."""
    ids, depth, pays, rcsm = inputs["ids"], inputs.get("depths"), inputs.get("pays"), model.config.rcsm
    if depth_training == "blend":
        depth, pays = BLEND, None
    model.train()
    model.zero_grad()
    output = model(ids, depth)
    loss = training_loss(output, inputs["targets"], pays)
    loss.backward()
    found = {"train.logits": output.logits.detach(), "train.loss": loss.detach()}
    found |= {f"grad.{name}": p.grad.clone() for name, p in model.named_parameters()}
    if depth_training != "blend":
        model.eval()
        with torch.no_grad():
            found["eval.logits"] = model(ids).logits
            found |= {f"depth{n}.logits": model(ids, n).logits for n in (rcsm.depths if rcsm else ())}
    return found


def distance(got, want):
    """Norm of the difference over norm of `want`."""
    got, want = got.double(), want.double()
    return ((got - want).norm() / want.norm().clamp(min=1e-30)).item()


def build(name):
    """The shrunken preset and its inputs."""
    seed, small = MODELS[name]
    torch.manual_seed(seed)
    model = FlashLm(replace(PRESETS[name], **SMALL, **small))
    perturb(model)
    shape = (SEQUENCES, TOKENS)
    inputs = {n: torch.randint(0, SMALL["vocab"], shape) for n in ("ids", "targets")}
    if model.config.rcsm:
        depths = torch.tensor(model.config.rcsm.depths)
        inputs["depths"] = depths[torch.randint(0, len(depths), shape)]
        inputs["pays"] = torch.randint(0, 2, (*shape, len(depths) - 1)).float()
    return model, inputs


def write(path, model, inputs, depth_training):
    """Writes one file and prints a line; writes none where float64 shows the example to lie on a rounding edge."""
    if depth_training == "blend":
        inputs = {n: inputs[n] for n in ("ids", "targets")}
    found = outputs(model, inputs, depth_training)
    doubled = {n: x.double() if x.is_floating_point() else x for n, x in inputs.items()}
    exact = outputs(copy.deepcopy(model).double(), doubled, depth_training)
    far, worst = max((distance(x, exact[n]), n) for n, x in found.items())
    if far > EDGE:
        raise SystemExit(f"{path.name}: {worst} is {far:.0e} from float64, expected at most {EDGE}: try another seed")
    tensors = inputs | {f"param.{n}": p.detach() for n, p in model.named_parameters()} | found
    metadata = {"config": model.config.to_json()}
    if model.config.rcsm:
        metadata["depth_training"] = depth_training
    save_file({n: x.contiguous() for n, x in tensors.items()}, path, metadata)
    loss = found["train.loss"].item()
    print(f"{path.name:28} loss {loss:.5f}, {len(tensors)} tensors, at most {far:.0e} from float64")


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--out", type=Path, default=DEFAULT_OUT, help="directory to write (default: tests/golden)")
    out = arguments.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    for name in MODELS:
        model, inputs = build(name)
        write(out / f"{name}.safetensors", model, inputs, "forced")
        if model.config.rcsm:
            write(out / f"{name}-blend.safetensors", model, inputs, "blend")


if __name__ == "__main__":
    main()
