"""FlashLM: ternary language models, trained and run on CPUs.

``Model`` reads a packed model (.flm), ``Session`` runs tokens through it one call at a time, ``Stream`` tells a story
piece by piece; ``flashlm.runs`` reads what the trainer wrote. Shape letters: T tokens, P passes, S slots of the
memory, R reasoning width, V vocabulary.
"""

from importlib.metadata import version as _version

from flashlm._flashlm import Model, Score, Session, Stream

__all__ = ["Model", "Score", "Session", "Stream"]
__version__ = _version("flashlm")
