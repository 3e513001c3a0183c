"""RCSM, the reasoning engine: a few passes over ternary operations and a memory in which what was read is the next
read's address.

What the memory holds does not depend on how many passes any token takes, so it is computed for all tokens at once.
"""
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from layers import RmsNorm, Ternary, delayed, int8, rms, ternary, unit

BLEND = "blend"
NEAR_TAPS = 4


class Memory:
    """Delta-rule memory, zero at the start: every write does M += strength * key (value - key M), a read is address M.

    The writes come in order, `per_token` of them a token; a read at a token sees those of the tokens before it.
    key (B, W, S), value (B, W, R), strength (B, W, 1)."""

    def __init__(self, key, value, strength, per_token):
        writes = key.shape[1]
        # M after w writes is the sum of key_i added_i, i < w, so that
        # added_w = strength_w (value_w - sum_{i < w} (key_w . key_i) added_i): a triangular system.
        overlap = strength * (key @ key.transpose(1, 2)).tril(-1)
        system = torch.eye(writes, dtype=value.dtype) + overlap
        self.key = key
        self.added = torch.linalg.solve_triangular(system, strength * value, upper=False, unitriangular=True)
        token = torch.arange(writes) // per_token
        self.earlier = (token < torch.arange(writes // per_token)[:, None]).to(value.dtype)

    def read(self, address):
        """address (B, T, S) -> what the memory holds there (B, T, R)."""
        return (address @ self.key.transpose(1, 2) * self.earlier) @ self.added


def read_in_order(key, value, strength, per_token, address):
    """The definition of `Memory`, write after write: what `Memory(...).read(address)` must be."""
    memory, out = torch.zeros(key.shape[0], key.shape[2], value.shape[2], dtype=value.dtype), []
    for t in range(address.shape[1]):
        out.append(torch.einsum("bs,bsr->br", address[:, t], memory))
        for w in range(t * per_token, (t + 1) * per_token):
            held = torch.einsum("bs,bsr->br", key[:, w], memory)
            change = strength[:, w] * (value[:, w] - held)
            memory = memory + key[:, w, :, None] * change[:, None]
    return torch.stack(out, 1)


def fading(logit, x):
    """h_t = (1 - sigmoid(logit_t)) h_{t-1} + x_t, zero at first. logit (B, T, 1), x (B, T, R) -> (B, T, R)."""
    kept = F.logsigmoid(-logit).squeeze(-1).cumsum(1)
    share = (kept[:, :, None] - kept[:, None, :]).tril().exp().tril()
    return share @ x


class Trace(NamedTuple):
    """What the engine did. `depths` (B, T): passes of every token, the expectation when blended. `usage` (O): the
    router's mean probabilities. `deeper` (B, T, n): logits of going on after each depth reached but the last."""

    depths: torch.Tensor
    usage: torch.Tensor
    deeper: torch.Tensor


def gate(width, bias, outputs=1):
    """A float layer that starts as the constant `bias`."""
    layer = nn.Linear(width, outputs)
    nn.init.zeros_(layer.weight)
    nn.init.constant_(layer.bias, bias)
    return layer


class RcsmEngine(nn.Module):
    def __init__(self, config):
        super().__init__()
        c, d = config.rcsm, config.d_model
        r = c.width
        self.depths, self.top_k = c.depths, c.top_k
        self.in_norm, self.down, self.up = RmsNorm(d), Ternary(d, r), Ternary(r, d)
        with torch.no_grad():  # what is read leaves as what was written
            self.up.weight.copy_(0.5 * (d / r) ** 0.5 * self.down.weight.T)
        self.code = Ternary(r, c.slots)
        # of the tokens looked back at, the nearest first, and of the trace: open to the nearest at first
        taps = torch.zeros(c.taps + 1, r)
        taps[: min(NEAR_TAPS, c.taps)] = 0.5
        self.context_taps, self.query_taps = nn.Parameter(taps.clone()), nn.Parameter(taps)
        self.salience = gate(r, -1.0)  # how much a token counts for those after it
        self.write_gates = gate(r, -1.0, 2)  # of context -> token and of token -> context
        self.hop_gate, self.hold_gate = gate(r, 2.0), gate(r, 2.0)
        self.router = Ternary(r, c.ops)
        self.ops = nn.Parameter(torch.randn(c.ops, r, r) * r**-0.5)
        self.mix = nn.Linear(r, r, bias=False)
        nn.init.normal_(self.mix.weight, std=0.02)
        self.pass_scale = nn.Parameter(torch.arange(1.0, c.depths[-1] + 1) ** -0.5)
        self.out_gain = nn.Parameter(torch.ones(r))
        self.deeper = nn.Linear(r, len(c.depths) - 1)  # row i: after depths[i], go on to depths[i + 1]?

    def address(self, z):
        """The one code map: (B, T, R) -> unit vectors (B, T, S), signed."""
        return unit(self.code(int8(rms(z))))

    def remember(self, u, context, context_address):
        """The memory of all tokens' writes: at the context's address the token, then at the token's the context."""
        key = torch.stack([context_address, self.address(u)], 2).flatten(1, 2)
        value = torch.stack([u, context], 2).flatten(1, 2)
        strength = torch.sigmoid(self.write_gates(u)).flatten(1)[..., None]
        exact = self.pass_scale.dtype  # whatever autocast made of them: the system is solved in the weights' precision
        return Memory(key.to(exact), value.to(exact), strength.to(exact), per_token=2)

    def operate(self, v):
        """The router's choice of operations on v (B, T, R), blended, and its probabilities (B, T, O)."""
        q = int8(v)
        logits = self.router(q)
        best, chosen = logits.topk(self.top_k, -1)
        weight = torch.zeros_like(logits).scatter(-1, chosen, best.softmax(-1))
        every = torch.einsum("btr,onr->bton", q, ternary(self.ops))
        return (weight[..., None] * every).sum(2), logits.softmax(-1)

    def passes(self, u, count):
        """The state r (B, T, R) after each of `count` passes, and the usage of the operations (O)."""
        salience = self.salience(u)
        salient = torch.sigmoid(salience) * u
        trace = fading(salience, salient)  # what was salient, the latest most
        taps = len(self.context_taps) - 1
        window = [delayed(salient, age) for age in range(taps + 1)]
        context = rms(sum(tap * x for tap, x in zip(self.context_taps, [*window[1:], delayed(trace, 1)])))
        query = self.address(sum(tap * x for tap, x in zip(self.query_taps, [*window[:-1], trace])))
        memory = self.remember(u, context, self.address(context))
        r, y, states, usage = torch.zeros_like(u), torch.zeros_like(u), [], 0.0
        for n in range(count):
            v = rms(r + u)
            if n == 0:
                at, hold = query, 1.0
            else:
                hop, hold = torch.sigmoid(self.hop_gate(v)), torch.sigmoid(self.hold_gate(v))
                at = unit(hop * self.address(y) + (1 - hop) * self.address(v))
            operated, probability = self.operate(v)
            y = (1 - hold) * y + hold * memory.read(at.to(memory.added.dtype))
            r = r + hold * self.pass_scale[n] * (self.mix(operated) + rms(y))
            states.append(r)
            usage = usage + probability.mean((0, 1))
        return states, usage / count

    def forward(self, x, depth=None):
        """x (B, T, D) -> (x', Trace). `depth`: passes of every token, a number or an integer tensor that broadcasts to
        (B, T); None: each token goes on after depths[i] while logit i of `deeper` is positive, which is inference;
        "blend": the mean of the states at `depths`, each weighing as much as a token is likely to stop there when
        sigmoid(deeper) is the probability of going on."""
        u = rms(self.down(int8(self.in_norm(x))))
        blended = isinstance(depth, str) and depth == BLEND
        if blended or depth is None:
            most = self.depths[-1]
        else:
            most = depth if isinstance(depth, int) else int(depth.max())
        if not 1 <= most <= self.depths[-1]:
            raise ValueError(f"depth is {most}, expected 1 to {self.depths[-1]}")
        states, usage = self.passes(u, most)
        # unless blended, the states are detached: the choice's own loss trains nothing but `deeper`
        reached = [states[d - 1] if blended else states[d - 1].detach() for d in self.depths[:-1] if d <= most]
        logits = [self.deeper(rms(r))[..., i] for i, r in enumerate(reached)]
        deeper = torch.stack(logits, -1) if logits else u.new_zeros(*u.shape[:2], 0)
        if blended:
            going = torch.sigmoid(deeper)
            arrive = F.pad(going.cumprod(-1), (1, 0), value=1.0)  # the probability of coming to each depth
            share = arrive * F.pad(1 - going, (0, 1), value=1.0)
            final = sum(share[..., i, None] * states[d - 1] for i, d in enumerate(self.depths))
            depth = share @ torch.tensor(self.depths, dtype=share.dtype)
        else:
            if depth is None:
                depth = torch.tensor(self.depths)[(deeper > 0).long().cumprod(-1).sum(-1)]
            depth = torch.as_tensor(depth).expand(x.shape[:2])
            stop = (depth - 1)[..., None, None].expand(-1, -1, 1, u.shape[-1])
            final = torch.stack(states, 2).gather(2, stop).squeeze(2)
        return x + self.up(int8(rms(final) * self.out_gain)), Trace(depth, usage, deeper)
