"""How tokens exchange information over time, and channels within a token. Each layer maps (B, T, D) to (B, T, D)."""
import math

import torch
import torch.nn.functional as F
from torch import nn

from layers import EPS, RmsNorm, Ternary, int8, token_shift


def recurrence(keep, drive):
    """h_t = keep_t * h_{t-1} + drive_t from zero, for all t; `keep` and `drive` broadcast to (B, T, channels)."""
    keep = keep.expand_as(drive).unbind(1)
    state, states = torch.zeros_like(drive[:, 0]), []
    for kept, driven in zip(keep, drive.unbind(1)):
        state = kept * state + driven
        states.append(state)
    return torch.stack(states, 1)


def recurrence_by_powers(keep, drive):
    """`recurrence` with a `keep` (channels,) that is the same at every token: h_t = sum over s of keep^(t - s) drive_s,
    all tokens at once. More work, and faster where a step of a loop costs more than its arithmetic."""
    token = torch.arange(drive.shape[1])
    apart = (token[:, None] - token).clamp(min=0)
    powers = torch.exp(apart * torch.log(keep)[:, None, None]).tril()
    return torch.bmm(powers, drive.permute(2, 1, 0)).permute(2, 1, 0)


class GatedRecurrence(nn.Module):
    """h_t = decay * h_{t-1} + sqrt(1 - decay^2) * gate_t * value_t. With `powers` set all tokens at once, which rounds
    otherwise."""

    powers = False

    def __init__(self, config, layer):
        super().__init__()
        d = config.d_model
        self.norm, self.shift = RmsNorm(d), nn.Parameter(torch.ones(d))
        self.gate, self.value, self.out_gate, self.proj = (Ternary(d, d) for _ in range(4))
        self.state_norm = RmsNorm(d)
        memory_span = 2.0 ** torch.linspace(1, 8, d)  # tokens, spread evenly on a logarithmic scale
        self.decay = nn.Parameter(torch.logit(torch.exp(-1 / memory_span)))

    def forward(self, x):
        u = int8(token_shift(self.norm(x), self.shift))
        decay = torch.sigmoid(self.decay)
        drive = torch.sqrt(1 - decay * decay) * torch.sigmoid(self.gate(u)) * self.value(u)
        states = recurrence_by_powers if self.powers else recurrence
        read = self.state_norm(states(decay, drive)) * F.silu(self.out_gate(u))
        return self.proj(int8(read))


class ParallelRecurrence(nn.Module):
    """h_t = forget_t * h_{t-1} + (1 - forget_t) * value_t; forget has a floor that rises from block to block."""

    def __init__(self, config, layer):
        super().__init__()
        d, inner = config.d_model, config.heads * config.d_head
        self.heads, self.floor = config.heads, 0.9 * layer / max(config.layers - 1, 1)
        self.norm, self.shift = RmsNorm(d), nn.Parameter(torch.zeros(d))
        self.forget, self.value, self.out_gate = (Ternary(d, inner) for _ in range(3))
        self.proj = Ternary(inner, d)
        self.forget_bias = nn.Parameter(torch.zeros(inner))
        self.group_gain, self.group_bias = nn.Parameter(torch.ones(inner)), nn.Parameter(torch.zeros(inner))

    def forward(self, x):
        u = int8(token_shift(self.norm(x), self.shift))
        forget = self.floor + (1 - self.floor) * torch.sigmoid(self.forget(u) + self.forget_bias)
        y = recurrence(forget, (1 - forget) * self.value(u)) * torch.sigmoid(self.out_gate(u))
        heads = y.unflatten(-1, (self.heads, -1))
        normed = F.layer_norm(heads, heads.shape[-1:], eps=EPS).flatten(-2)
        return self.proj(int8(normed * self.group_gain + self.group_bias))


def rotate(x):
    """Rotary positions (Su et al., 2021): neighbouring channels of x (..., T, d_head) are turned as a pair."""
    tokens, width = x.shape[-2:]
    speed = 10000.0 ** (-torch.arange(0, width, 2, dtype=x.dtype) / width)
    angle = torch.arange(tokens, dtype=x.dtype)[:, None] * speed
    even, odd, cos, sin = x[..., 0::2], x[..., 1::2], angle.cos(), angle.sin()
    return torch.stack([even * cos - odd * sin, even * sin + odd * cos], -1).flatten(-2)


class Attention(nn.Module):
    """Causal attention over a window, queries and keys normalised. `maps` softmaxes, each with queries and keys of its
    own: of two, the second is subtracted times lambda (Ye et al., 2024, "Differential Transformer")."""

    def __init__(self, config, maps):
        super().__init__()
        d, inner = config.d_model, config.heads * config.d_head
        self.maps, self.heads, self.window, self.scale = maps, config.heads, config.window, config.d_head**-0.5
        self.norm = RmsNorm(d)
        self.q, self.k = Ternary(d, maps * inner), Ternary(d, maps * inner)
        self.v, self.proj = Ternary(d, inner), Ternary(inner, d)
        self.q_norm, self.k_norm = RmsNorm(config.d_head), RmsNorm(config.d_head)
        if maps == 2:
            self.lam = nn.Parameter(torch.full((config.heads,), -0.5))  # lambda's logit
        self.head_norm = RmsNorm(config.d_head)

    def split(self, y, maps):
        """(B, T, maps * H * d_head) as (maps, B, H, T, d_head)."""
        return y.unflatten(-1, (maps, self.heads, -1)).permute(2, 0, 3, 1, 4)

    def forward(self, x):
        u = int8(self.norm(x))
        q = rotate(self.q_norm(self.split(self.q(u), self.maps)))
        k = rotate(self.k_norm(self.split(self.k(u), self.maps)))
        v = self.split(self.v(u), 1)[0]
        position = torch.arange(x.shape[1])
        age = position[:, None] - position
        hidden = (age < 0) | (age >= self.window)
        weights = ((q @ k.transpose(-1, -2)) * self.scale).masked_fill(hidden, -math.inf).softmax(-1)
        if self.maps == 2:
            weights = weights[0] - torch.sigmoid(self.lam)[:, None, None] * weights[1]
        else:
            weights = weights[0]
        heads = self.head_norm(weights @ v)
        return self.proj(int8(heads.transpose(1, 2).flatten(-2)))


MIXERS = {
    "gated": GatedRecurrence,
    "parallel": ParallelRecurrence,
    "attention": lambda config, layer: Attention(config, maps=1),
    "diff_attention": lambda config, layer: Attention(config, maps=2),
}


class Glu(nn.Module):
    """down(silu(gate(u)) * up(u)) (Shazeer, 2020)."""

    def __init__(self, config):
        super().__init__()
        d, f = config.d_model, config.d_ffn
        self.norm = RmsNorm(d)
        self.gate, self.up, self.down = Ternary(d, f), Ternary(d, f), Ternary(f, d)

    def forward(self, x):
        u = int8(self.norm(x))
        return self.down(int8(F.silu(self.gate(u)) * self.up(u)))


class Relu2(nn.Module):
    """down(relu(up(u))^2) (So et al., 2021, "Primer"), u shifted beside the parallel recurrence."""

    def __init__(self, config):
        super().__init__()
        d, f = config.d_model, config.d_ffn
        self.norm = RmsNorm(d)
        self.shift = nn.Parameter(torch.zeros(d)) if config.mixer == "parallel" else None
        self.up, self.down = Ternary(d, f), Ternary(f, d)

    def forward(self, x):
        u = self.norm(x)
        if self.shift is not None:
            u = token_shift(u, self.shift)
        return self.down(int8(F.relu(self.up(int8(u))).square()))


CHANNEL_MIXERS = {"glu": Glu, "relu2": Relu2}
