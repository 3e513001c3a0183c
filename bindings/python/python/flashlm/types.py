"""Types of what the compiled module takes and gives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypedDict, Union

import numpy as np
import numpy.typing as npt

__all__ = ["Depth", "Text", "Tokens", "Trace"]

Text = Union[str, bytes]
"""A text; bytes may be any."""
Depth = Union[int, Literal["auto"]]
"""Passes of the reasoning loop a token takes, or "auto": as many as the model chooses."""
Tokens = Union["npt.NDArray[np.integer[Any]]", Sequence[int]]
"""Whole numbers of one dimension, each less than V."""


class Trace(TypedDict):
    """What the reasoning loop did for T tokens, the end-of-story token that begins the text among them. P is the most
    passes that one of them took; where a token took fewer, floats are NaN, operations and read_from -1."""

    tokens: npt.NDArray[np.uint16]
    """(T,)"""
    passes: npt.NDArray[np.uint8]
    """(T,) passes taken."""
    deeper: npt.NDArray[np.float32]
    """(T, 2) logits for going deeper; NaN where they were not asked, as at a fixed depth."""
    operations: npt.NDArray[np.int16]
    """(T, P, 2) operations applied."""
    weights: npt.NDArray[np.float32]
    """(T, P, 2) their weights, which add up to 1."""
    hop: npt.NDArray[np.float32]
    """(T, P) how far the address is that of what the pass before read, 0 to 1; 0 in the first pass."""
    hold: npt.NDArray[np.float32]
    """(T, P) how far what was read replaces what was read before, 0 to 1; 1 in the first pass."""
    addresses: npt.NDArray[np.float32]
    """(T, P, S) where the memory was read, of norm 1."""
    held: npt.NDArray[np.float32]
    """(T, P, R) what is held after the read."""
    read_from: npt.NDArray[np.int32]
    """(T, P, 3) the earlier tokens, by their index, whose links have the largest shares of what was read, largest
    first; -1 for none of at least 0.01."""
    read_direction: npt.NDArray[np.int8]
    """(T, P, 3) 1 for what came after that token's context, -1 for what came before that token, 0 for none."""
    read_share: npt.NDArray[np.float32]
    """(T, P, 3) weight of that link's value in what was read."""
    read_similarity: npt.NDArray[np.float32]
    """(T, P, 3) cosine of that link's address and the read's."""
    write_gates: npt.NDArray[np.float32]
    """(T, 2) how far the token's links replace what was there, 0 to 1: from its context to it, and back."""
    write_contexts: npt.NDArray[np.float32]
    """(T, S) where the link from its context begins, of norm 1; zeros for the first token, which has no context."""
    write_tokens: npt.NDArray[np.float32]
    """(T, S) where the link from the token itself begins, of norm 1."""
