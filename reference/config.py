"""The presets as values: where two of them differ, a field differs.

Field names are those of the JSON that every golden file carries in its metadata.
"""
from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass


@dataclass(frozen=True)
class Rcsm:
    """Dimensions of the reasoning engine."""

    width: int = 96  # R
    ops: int = 16  # O, each a ternary R x R matrix
    top_k: int = 2  # operations applied at every pass
    slots: int = 32  # S, addresses of the memory
    depths: tuple[int, ...] = (1, 3, 8)  # passes a token can take, rising
    taps: int = 8  # tokens that a context and a query are mixed from, beside the trace
    after: int = 5  # blocks before the engine


@dataclass(frozen=True)
class Config:
    """Dimensions of a model. `heads`, `d_head` and `window` matter only to the mixers that have them."""

    name: str = "supernova"
    vocab: int = 4096  # V
    d_model: int = 256  # D
    layers: int = 8
    d_ffn: int = 704  # F
    mixer: str = "gated"  # gated, parallel, attention or diff_attention
    ffn: str = "glu"  # glu or relu2; relu2 beside the parallel mixer sees the token before too
    heads: int = 8
    d_head: int = 64
    window: int = 256  # tokens attended to, the token itself included
    mod_capacity: float = 1.0  # mixture of depths: share of the tokens that a block changes in training
    mod_from: int = 2  # the first block with a router, where mod_capacity is below 1
    rcsm: Rcsm | None = None

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Config:
        fields = json.loads(text)
        if fields["rcsm"] is not None:
            fields["rcsm"] = Rcsm(**{**fields["rcsm"], "depths": tuple(fields["rcsm"]["depths"])})
        return cls(**fields)


PRESETS = {
    config.name: config
    for config in (
        Config(rcsm=Rcsm()),
        Config("thunderbolt", 8192, 384, 18, 1152, "parallel", "relu2", heads=8, d_head=48),
        Config("nova-ignition", 4096, 256, 6, 512, "diff_attention", "relu2", heads=4, mod_capacity=0.7),
        Config("bolt", 10000, 192, 6, 448),
        Config("transformer", d_ffn=736, mixer="attention", heads=4),
    )
}
