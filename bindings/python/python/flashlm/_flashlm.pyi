"""Types of the compiled module."""

import os
from collections.abc import Iterator, Sequence
from typing import Any, Literal, Optional, Union, final

import numpy as np
import numpy.typing as npt

from flashlm.types import Depth, Text, Tokens, Trace

__all__ = ["Model", "Score", "Session", "Stream"]

@final
class Model:
    """A packed model (.flm), read and checked. It does not change: any number of sessions and threads may use it.

    Raises OSError where the file cannot be read, ValueError where it is no model."""

    def __new__(cls, source: Union[str, os.PathLike[str], bytes], /) -> Model: ...
    @property
    def config(self) -> dict[str, Any]:
        """The model's dimensions by name, as its header has them."""
    @property
    def facts(self) -> dict[str, Any]:
        """How the model came about: name, data, tokens and steps trained on, phase, held_out_bpc [bits per byte]."""
    @property
    def vocab_size(self) -> int:
        """V: tokens are 0 to V - 1."""
    @property
    def end_of_story(self) -> Optional[int]:
        """The token that ends a story and, as input, begins one; None if the model has none."""
    @property
    def default_depth(self) -> Depth:
        """Passes of the reasoning loop a token takes unless told otherwise, or "auto"."""
    def encode(self, text: Text, /) -> npt.NDArray[np.uint16]:
        """The tokens of a text, (T,). Any bytes are text; <|endoftext|> in it has no special meaning."""
    def decode(self, tokens: Tokens, /) -> str:
        """The text of tokens; bytes that are no UTF-8 become U+FFFD. The end of a story spells nothing."""
    def decode_bytes(self, tokens: Tokens, /) -> bytes:
        """The bytes that tokens spell."""
    def logits(self, tokens: Tokens, /, depth: Optional[Depth] = None) -> npt.NDArray[np.float32]:
        """The logits after every token, (T, V), from the reset state. A story begins with the end-of-story token."""
    def score(self, text: Text, /, depth: Optional[Depth] = None) -> Score:
        """How many bits the model needs to predict a text. A text of several stories with <|endoftext|> between them
        is scored as flashlm eval does: every story from the reset state, separators included."""
    def session(self, depth: Optional[Depth] = None) -> Session:
        """A session in the reset state."""
    def trace(self, text: Text, /, depth: Optional[Depth] = None) -> Trace:
        """What the reasoning loop does for every token of a text that begins a story: a dict of arrays."""
    def stream(
        self,
        prompt: str = "",
        *,
        max_tokens: int = 400,
        temperature: float = 0.7,
        top_k: int = 0,
        top_p: float = 0.95,
        min_p: float = 0.0,
        repetition_penalty: float = 1.0,
        seed: int = 1,
        depth: Optional[Depth] = None,
        stop: Union[str, Sequence[str], None] = None,
    ) -> Stream:
        """Goes on with a prompt, as an iterator over pieces of text. The same seed gives the same text everywhere.

        White space at the prompt's end is left to the first word told, which brings it.

        temperature: logits are divided by it; 0 takes the likeliest token. top_k: the likeliest so many, 1 to 64; 0 is
        64. top_p: the likeliest that together have this probability. min_p: those at least this many times as likely as
        the likeliest. repetition_penalty: logits of the last 64 tokens are divided by it, negative ones multiplied; 1
        is none. stop: the text ends before the first of these."""
    def generate(
        self,
        prompt: str = "",
        *,
        max_tokens: int = 400,
        temperature: float = 0.7,
        top_k: int = 0,
        top_p: float = 0.95,
        min_p: float = 0.0,
        repetition_penalty: float = 1.0,
        seed: int = 1,
        depth: Optional[Depth] = None,
        stop: Union[str, Sequence[str], None] = None,
    ) -> str:
        """Goes on with a prompt: the text that follows it. Keywords are those of stream."""

@final
class Session:
    """One sequence of tokens run through a model, in memory of constant size. One thread at a time may use it."""

    def step(self, token: int, /) -> npt.NDArray[np.float32]:
        """Processes one token; returns the logits for the next, (V,). The end-of-story token resets the state first: it
        also begins a story."""
    def prefill(self, tokens: Tokens, /) -> None:
        """Processes tokens, to the same state as that many steps but faster."""
    def logits(self) -> npt.NDArray[np.float32]:
        """The logits after the last token, (V,)."""
    @property
    def state(self) -> npt.NDArray[np.uint8]:
        """All that the session remembers, (N,), to be kept and restored: to branch, or to go back."""
    def restore(self, state: Union[npt.NDArray[np.uint8], bytes], /) -> None:
        """Goes back to a state of a session over the same model. What no session writes is refused, and then nothing
        changes."""
    def reset(self) -> None:
        """Forgets everything."""
    @property
    def position(self) -> int:
        """Tokens processed since the session began or was reset."""
    @property
    def depth(self) -> Depth:
        """Passes of the reasoning loop a token takes, or "auto"."""
    @depth.setter
    def depth(self, passes: Depth) -> None: ...

@final
class Stream(Iterator[str]):
    """An iterator over the pieces of a story, each a token's text or a few tokens'."""

    def __iter__(self) -> Stream: ...
    def __next__(self) -> str: ...
    @property
    def tokens(self) -> npt.NDArray[np.uint16]:
        """Tokens drawn so far, (T,)."""
    @property
    def ended(self) -> Optional[Literal["end of story", "length", "stop"]]:
        """Why the story ended; None while it goes on."""

@final
class Score:
    """How many bits a model needs to predict a text."""

    @property
    def bits(self) -> float:
        """Negative log2-likelihood of all tokens [bits]."""
    @property
    def tokens(self) -> int:
        """Tokens predicted."""
    @property
    def bytes(self) -> int:
        """Bytes of the text, separators included."""
    @property
    def bits_per_byte(self) -> float:
        """Bits over bytes (BPC); 0 for an empty text."""
