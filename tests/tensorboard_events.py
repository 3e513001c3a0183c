"""Reads a run's TensorBoard events with the tensorboard package and compares them with its metrics.jsonl.

    python3 -m venv venv && venv/bin/pip install tensorboard "setuptools<81"
    trainer --steps 200 --out out/events --tensorboard out/board
    venv/bin/python tests/tensorboard_events.py out/events out/board/events
"""

import json
import struct
import sys
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

SCALARS = {
    "training/loss": ("step", "loss"),
    "training/grad_norm": ("step", "grad_norm"),
    "training/learning_rate": ("step", "lr"),
    "training/tokens_per_second": ("step", "tokens_per_second"),
    "training/mean_passes": ("step", "mean_passes"),
    "held_out/bits_per_byte": ("eval", "bpc"),
    "held_out/mean_passes": ("eval", "mean_passes"),
}


def single(value):
    """The value as an event stores it."""
    return struct.unpack("f", struct.pack("f", value))[0]


def main(run, events):
    # splitlines would part at more than line feeds, which stories may hold
    lines = (Path(run) / "metrics.jsonl").read_text().split("\n")
    records = [json.loads(line) for line in lines if line]
    board = EventAccumulator(events, size_guidance={"scalars": 0, "tensors": 0})
    board.Reload()
    compared = 0
    for tag, (kind, field) in SCALARS.items():
        want = [(r["step"], single(r[field])) for r in records if r["kind"] == kind and r[field] is not None]
        got = [(event.step, event.value) for event in board.Scalars(tag)]
        assert got == want, f"{tag}: {len(got)} values, expected {len(want)}: {got[:3]} and {want[:3]}"
        compared += len(got)
    times = [event.wall_time for event in board.Scalars("training/loss")]
    elapsed = [r["elapsed"] for r in records if r["kind"] == "step"]
    if board_files(events) == 1:
        # each write asks the clock anew
        spans = [(t - times[0], e - elapsed[0]) for t, e in zip(times, elapsed)]
        assert all(abs(a - b) < 0.5 for a, b in spans), "times are not the run's"
    texts = {tag: board.Tensors(tag) for tag in board.Tags()["tensors"] if tag.startswith("stories/")}
    stories = [r for r in records if r["kind"] == "sample"]
    got = [(e.step, e.tensor_proto.string_val[0].decode()) for tag in sorted(texts) for e in texts[tag]]
    want = [(r["step"], r["text"]) for r in sorted(stories, key=lambda r: r["seed"])]
    assert got == want, f"stories differ: {got[:1]} and {want[:1]}"
    print(f"{compared} scalars and {len(got)} stories are those of {run}")


def board_files(events):
    return len(list(Path(events).glob("events.out.tfevents.*")))


if __name__ == "__main__":
    main(*sys.argv[1:3])
