"""FlashLM in PyTorch: every preset of the Rust tree, one model class, written from the design to be checked against.

    python model.py        # builds every preset, prints its size, checks that a step reaches every parameter
"""
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from config import PRESETS
from layers import RmsNorm, Ternary
from mixers import CHANNEL_MIXERS, MIXERS
from rcsm import BLEND, RcsmEngine, Trace

ROUTING_LOSS = 0.01  # weight of the mixture of depths' loss


class Block(nn.Module):
    """Token mixer and channel mixer on a residual stream; where routed (Raposo et al., 2024, "Mixture-of-Depths"),
    their change reaches the picked tokens alone, times the sigmoid of the router's logit. Picked are, in training, the
    largest logits of a sequence, and at inference, causally, the positive ones."""

    def __init__(self, config, layer):
        super().__init__()
        self.mixer, self.ffn = MIXERS[config.mixer](config, layer), CHANNEL_MIXERS[config.ffn](config)
        self.capacity = config.mod_capacity if layer >= config.mod_from else 1.0
        self.router = nn.Parameter(torch.randn(config.d_model) * 0.02) if self.capacity < 1 else None

    def forward(self, x):
        """x (B, T, D) -> (x', the loss that teaches the logits to foretell the pick)."""
        mixed = x + self.mixer(x)
        changed = mixed + self.ffn(mixed)
        if self.router is None:
            return changed, x.new_zeros(())
        logits = x @ self.router
        if self.training:
            count = max(1, int(x.shape[1] * self.capacity))
            picked = torch.zeros_like(logits).scatter(1, logits.topk(count, 1).indices, 1.0)
        else:
            picked = (logits > 0).to(logits.dtype)
        share = (torch.sigmoid(logits) * picked)[..., None]
        return x + share * (changed - x), F.binary_cross_entropy_with_logits(logits, picked)


class Output(NamedTuple):
    """Logits (B, T, V), the blocks' routing loss and what the engine did, None without one."""

    logits: torch.Tensor
    routing_loss: torch.Tensor
    trace: Trace | None


class FlashLm(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.embed = nn.Parameter(torch.randn(config.vocab, config.d_model) * 0.02)  # the output head's rows too
        self.blocks = nn.ModuleList(Block(config, layer) for layer in range(config.layers))
        self.rcsm = RcsmEngine(config) if config.rcsm else None
        self.norm = RmsNorm(config.d_model)

    def forward(self, ids, depth=None):
        """ids (B, T). `depth` as in `RcsmEngine.forward`."""
        x, routing_loss, trace = self.embed[ids] * self.config.d_model**0.5, 0.0, None
        for number, block in enumerate(self.blocks, start=1):
            x, loss = block(x)
            routing_loss = routing_loss + loss
            if self.rcsm is not None and number == self.config.rcsm.after:
                x, trace = self.rcsm(x, depth)
        return Output(F.linear(self.norm(x), self.embed), routing_loss, trace)

    def parameters_and_ternary(self):
        """How many parameters there are, and how many of them are ternary."""
        matrices = [m.weight for m in self.modules() if isinstance(m, Ternary)] + ([self.rcsm.ops] if self.rcsm else [])
        return sum(p.numel() for p in self.parameters()), sum(m.numel() for m in matrices)


def training_loss(output, targets, pays=None):
    """Mean cross-entropy of targets (B, T) in nats, the routing loss, and, where `pays` (B, T, depths - 1) says whether
    each next depth lowers a token's loss, what the choice of depth learns from that."""
    loss = F.cross_entropy(output.logits.flatten(0, 1), targets.flatten()) + ROUTING_LOSS * output.routing_loss
    return loss if pays is None else loss + F.binary_cross_entropy_with_logits(output.trace.deeper, pays)


def main():
    for name, config in PRESETS.items():
        torch.manual_seed(0)
        model = FlashLm(config)
        ids = torch.randint(0, config.vocab, (2, 12))
        for depth in (config.rcsm.depths[-1], BLEND) if config.rcsm else (None,):
            model.zero_grad()
            output = model(ids, depth)
            pays = torch.ones_like(output.trace.deeper) if config.rcsm and depth != BLEND else None
            loss = training_loss(output, ids, pays)
            loss.backward()
            missed = [n for n, p in model.named_parameters() if p.grad is None]
            if missed:
                raise SystemExit(f"{name}: no gradient reaches {', '.join(missed)}")
        total, matrices = model.parameters_and_ternary()
        print(f"{name:14} {total:>11,} parameters, {matrices / total:.0%} ternary, loss {loss.item():.3f}")


if __name__ == "__main__":
    main()
