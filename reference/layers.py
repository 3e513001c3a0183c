"""The parts every layer is made of: quantisation, ternary products, norms, the token shift.

Shapes: B sequences, T tokens, D model width, F feed-forward width, R reasoning width, O operations, S addresses,
V vocabulary.
"""
import torch
import torch.nn.functional as F
from torch import nn

EPS = 1e-6
MIN_SCALE = 1e-5


def straight_through(snapped, x):
    """The value of `snapped`, the gradient of `x` (Bengio et al., 2013)."""
    return x + (snapped - x).detach()


def ternary(weight):
    """Each row as {-1, 0, 1} times its mean magnitude (Ma et al., 2024, "BitNet b1.58")."""
    scale = weight.abs().mean(-1, keepdim=True).clamp(min=MIN_SCALE)
    return straight_through((weight / scale).round().clamp(-1, 1) * scale, weight)


def int8(x):
    """Each token's vector as integers of at most 127 times a scale of its own."""
    scale = x.abs().amax(-1, keepdim=True).clamp(min=MIN_SCALE) / 127.0
    return straight_through((x / scale).round().clamp(-127, 127) * scale, x)


class Ternary(nn.Module):
    """A ternary linear layer without bias. Its input has been through `int8`, which layers of one input share."""

    def __init__(self, columns, rows):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(rows, columns) * columns**-0.5)

    def forward(self, quantised):
        return F.linear(quantised, ternary(self.weight))


def rms(x):
    """x over its root mean square."""
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + EPS)


def unit(x):
    """x over its length."""
    return x / (x.norm(dim=-1, keepdim=True) + EPS)


class RmsNorm(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(width))

    def forward(self, x):
        return rms(x) * self.gain


def delayed(x, tokens):
    """x (B, T, ...) as it was `tokens` tokens ago, zero before the first."""
    return x if tokens == 0 else F.pad(x, (0, 0, tokens, 0))[:, : x.shape[1]]


def token_shift(x, mix):
    """Each channel blended with the token before's (Peng et al., 2023, "RWKV")."""
    share = torch.sigmoid(mix)
    return share * x + (1 - share) * delayed(x, 1)
