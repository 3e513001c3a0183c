"""Times one training step of a preset in PyTorch, on the CPU: what the Rust trainer is compared with.

    python speed.py [supernova] [--batch 16] [--tokens 256] [--depth 3] [--bf16] [--compile] [--powers] [--steps 3]
        [--threads 2]

Prints tokens per second of forward, backward and AdamW, on average and of the fastest step. Run it and `trainer bench` one after the other on an otherwise
idle machine and compare the two of one sitting.
"""
import argparse
import time

import torch

from config import PRESETS
from mixers import GatedRecurrence
from model import FlashLm, training_loss
from rcsm import BLEND


def positive(text):
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not at least 1")
    return value


def passes(text):
    return text if text == BLEND else positive(text)


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("preset", nargs="?", default="supernova", choices=PRESETS)
    arguments.add_argument("--batch", type=positive, default=16, help="sequences of a step")
    arguments.add_argument("--tokens", type=positive, default=256, help="tokens of a sequence")
    arguments.add_argument("--depth", type=passes, default=3, help='passes of every token, or "blend"')
    arguments.add_argument("--bf16", action="store_true", help="autocast to bfloat16")
    arguments.add_argument("--compile", action="store_true", help="torch.compile the model")
    arguments.add_argument("--powers", action="store_true", help="gated recurrences by a kernel of powers, not a loop")
    arguments.add_argument("--steps", type=positive, default=3, help="steps to time, after one that is not")
    arguments.add_argument("--threads", type=positive, default=2)
    a = arguments.parse_args()
    torch.set_num_threads(a.threads)
    torch.manual_seed(0)
    model = FlashLm(PRESETS[a.preset])
    depth = a.depth if model.rcsm else None
    if isinstance(depth, int) and depth > model.rcsm.depths[-1]:
        arguments.error(f"--depth is {depth}, expected 1 to {model.rcsm.depths[-1]} or {BLEND}")
    for layer in model.modules():
        if isinstance(layer, GatedRecurrence):
            layer.powers = a.powers
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3)
    run = torch.compile(model) if a.compile else model

    def step():
        ids = torch.randint(0, model.config.vocab, (a.batch, a.tokens))
        optimiser.zero_grad(set_to_none=True)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=a.bf16):
            loss = training_loss(run(ids, depth), ids)
        loss.backward()
        optimiser.step()

    step()
    times = []
    for _ in range(a.steps):
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    mean, fastest, tokens = sum(times) / len(times), min(times), a.batch * a.tokens
    precision, mode = "bf16" if a.bf16 else "f32", "compiled" if a.compile else "eager"
    form = ", by powers" if a.powers else ""
    settings = f"batch {a.batch} x {a.tokens}, depth {depth}, {precision}, {mode}{form}, {a.threads} threads"
    print(
        f"{a.preset} {settings}: {tokens / mean:,.0f} tokens/s ({mean * 1e3:,.0f} ms a step), "
        f"the fastest of {a.steps} {tokens / fastest:,.0f} ({fastest * 1e3:,.0f} ms)"
    )


if __name__ == "__main__":
    main()
