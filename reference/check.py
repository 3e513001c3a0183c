"""Computes anew everything that golden files hold, from their own parameters and inputs, and compares.

    python check.py [FILE ...] [--tolerance 1e-5] [--verbose]

Without files: those of tests/golden. Distances are norm of the difference over norm of the file's tensor; any beyond
the tolerance makes the exit status 1. Also held: the memory's triangular system against its definition, write after
write, and gated recurrences all at once against the loop.
"""
import argparse
import sys
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from config import Config
from golden import DEFAULT_OUT, distance, outputs
from layers import unit
from mixers import recurrence, recurrence_by_powers
from model import FlashLm
from rcsm import Memory, read_in_order

INPUTS = ("ids", "targets", "depths", "pays")


def as_designed(tensors):
    """Gives an engine that has no salience and no trace, the one before ours, some that do nothing: every token is as
    salient as another, and nothing is made of the trace."""
    taps = {f"param.rcsm.{name}_taps" for name in ("context", "query")}
    if "param.rcsm.salience.weight" in tensors or not taps <= tensors.keys():
        return {}
    wide = {name: torch.nn.functional.pad(tensors[name], (0, 0, 0, 1)) for name in taps}
    width = tensors[min(taps)].shape[1]
    return wide | {"param.rcsm.salience.weight": torch.zeros(1, width), "param.rcsm.salience.bias": torch.full((1,), 30.0)}


def load(path):
    """(model with the file's parameters, its tensors, how depths were trained)."""
    with safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}
        metadata = file.metadata() or {}
    if "config" not in metadata:
        raise ValueError("the metadata has no `config`")
    if not {"ids", "targets"} <= tensors.keys():
        raise ValueError("there are no tensors `ids` and `targets`")
    model = FlashLm(Config.from_json(metadata["config"]))
    params = {n: x for n, x in tensors.items() if n.startswith("param.")} | as_designed(tensors)
    model.load_state_dict({n.removeprefix("param."): x for n, x in params.items()})
    return model, tensors, metadata.get("depth_training", "forced")


def verdict(holds):
    return "ok  " if holds else "FAIL"


def compare(path, tolerance, verbose):
    """Prints the largest distance of each kind of tensor; whether all are within `tolerance`."""
    model, tensors, depth_training = load(path)
    found = outputs(model, {n: tensors[n] for n in INPUTS if n in tensors}, depth_training)
    for name in as_designed(tensors):
        grad = name.replace("param.", "grad.")
        gradient = found.pop(grad)
        if grad in tensors:
            found[grad] = gradient[: len(tensors[grad])]
    expected = {n for n in tensors if not n.startswith("param.") and n not in INPUTS}
    if expected != set(found):
        raise ValueError(f"tensors of one side only: {', '.join(sorted(expected ^ set(found)))}")
    far = {n: distance(found[n], tensors[n]) for n in found}
    if verbose:
        for name, d in far.items():
            print(f"    {d:.1e} {name}")
    worst = {}
    for name, d in far.items():
        label = "gradients" if name.startswith("grad.") else name
        worst[label] = max(worst.get(label, 0.0), d)
    within = all(d <= tolerance for d in far.values())
    print(f"{verdict(within)} {path}: {', '.join(f'{label} {d:.0e}' for label, d in worst.items())}")
    return within


def memory_equals_its_definition(tolerance):
    torch.manual_seed(0)
    b, t, s, r = 2, 40, 16, 32
    key, value = unit(torch.randn(b, 2 * t, s)), torch.randn(b, 2 * t, r)
    strength, address = torch.rand(b, 2 * t, 1), unit(torch.randn(b, t, s))
    d = distance(Memory(key, value, strength, 2).read(address), read_in_order(key, value, strength, 2, address))
    print(f"{verdict(d <= tolerance)} memory, all at once against write after write: {d:.0e}")
    return d <= tolerance


def powers_equal_the_loop(tolerance):
    torch.manual_seed(0)
    keep, drive = torch.sigmoid(4 * torch.randn(24)), torch.randn(3, 50, 24)
    d = distance(recurrence_by_powers(keep, drive), recurrence(keep, drive))
    print(f"{verdict(d <= tolerance)} recurrence, by powers against token after token: {d:.0e}")
    return d <= tolerance


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("files", nargs="*", type=Path, help="golden files (default: all of tests/golden)")
    arguments.add_argument("--tolerance", type=float, default=1e-5)
    arguments.add_argument("--verbose", action="store_true", help="a line for every tensor")
    a = arguments.parse_args()
    files = a.files or sorted(DEFAULT_OUT.glob("*.safetensors"))
    if not files:
        sys.exit(f"{DEFAULT_OUT}: no golden files there; write them with golden.py")
    torch.set_num_threads(1)
    good = memory_equals_its_definition(a.tolerance) & powers_equal_the_loop(a.tolerance)
    for path in files:
        try:
            good &= compare(path, a.tolerance, a.verbose)
        except (OSError, SafetensorError, ValueError, KeyError, TypeError, RuntimeError, IndexError) as error:
            print(f"FAIL {path}: {error}")
            good = False
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
