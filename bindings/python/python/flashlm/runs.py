"""The trainer's runs as data frames: ``metrics.jsonl`` and ``results.json`` of a directory that it wrote."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Run", "compare", "read_run"]


def _pandas() -> Any:
    try:
        import pandas
    except ImportError as error:
        message = "flashlm.runs makes data frames with pandas, which is not installed: pip install pandas"
        raise ImportError(message) from error
    return pandas


@dataclass(frozen=True)
class Run:
    """A run of the trainer, under way or ended."""

    directory: Path
    """Where it lies; its name is the directory's."""
    results: Optional[dict[str, Any]]
    """``results.json``: what the run came to. None while it is under way."""
    records: list[dict[str, Any]]
    """Lines of ``metrics.jsonl``; a last line that is not whole, as under way or after a kill, is left out."""

    @cached_property
    def steps(self) -> pd.DataFrame:
        """A row for every training step: step, elapsed [s], phase, loss [nats per token], grad_norm, lr, tokens,
        tokens_per_second, mean_passes, op_usage, answers."""
        return self._frame("step")

    @cached_property
    def evaluations(self) -> pd.DataFrame:
        """A row for every evaluation on held-out stories: step, elapsed [s], bpc [bits per byte], bytes, tokens,
        mean_passes. Those on the way are of the first part of the text; the last of a run that ended is of all of it,
        as its bytes say."""
        return self._frame("eval")

    @property
    def model(self) -> Path:
        """Where the run's packed model is, or will be."""
        return self.directory / "model.flm"

    def _frame(self, kind: str) -> pd.DataFrame:
        rows = ({k: v for k, v in r.items() if k != "kind"} for r in self.records if r.get("kind") == kind)
        return _pandas().DataFrame(list(rows))


def read_run(directory: str | os.PathLike[str]) -> Run:
    """Reads the run in a directory.

    Raises FileNotFoundError where there is none, ValueError where a file in it holds something else.
    """
    directory = Path(directory)
    metrics, results = directory / "metrics.jsonl", directory / "results.json"
    if not metrics.is_file() and not results.is_file():
        raise FileNotFoundError(f"{directory}: expected a run's directory, with metrics.jsonl or results.json")
    found = _object(results, results.read_text("utf-8")) if results.is_file() else None
    return Run(directory, found, _records(metrics) if metrics.is_file() else [])


def compare(directories: Iterable[str | os.PathLike[str]]) -> pd.DataFrame:
    """A row for every run, by its directory's name: preset, complete, parameters, steps, tokens, hours,
    tokens_per_second, held_out_bpc and packed_bpc [bits per byte; NaN where the run did not get there], last_bpc (of
    the last evaluation on the way), mean_passes, level."""
    if isinstance(directories, (str, os.PathLike)):
        raise TypeError("compare: expected several directories, found one; read_run reads one")
    runs = [read_run(directory) for directory in directories]
    names = _pandas().Index([run.directory.resolve().name for run in runs], name="run")
    return _pandas().DataFrame([_summary(run) for run in runs], index=names, columns=_COLUMNS)


_COLUMNS = [
    "preset",
    "complete",
    "parameters",
    "steps",
    "tokens",
    "hours",
    "tokens_per_second",
    "held_out_bpc",
    "packed_bpc",
    "last_bpc",
    "mean_passes",
    "level",
]


def _summary(run: Run) -> dict[str, Any]:
    results = run.results or {}
    held_out = results.get("held_out") or {}
    steps = [record for record in run.records if record.get("kind") == "step"]
    evaluations = [record for record in run.records if record.get("kind") == "eval"]
    on_the_way = [record for record in evaluations if record.get("bytes") == evaluations[0].get("bytes")]
    last = steps[-1] if steps else {}
    elapsed = results.get("elapsed", last.get("elapsed"))
    return {
        "preset": results.get("preset"),
        "complete": results.get("complete", False),
        "parameters": results.get("parameters"),
        "steps": results.get("steps", last.get("step")),
        "tokens": results.get("tokens", last.get("tokens")),
        "hours": None if elapsed is None else elapsed / 3600,
        "tokens_per_second": results.get("tokens_per_second", last.get("tokens_per_second")),
        "held_out_bpc": held_out.get("bpc"),
        "packed_bpc": held_out.get("packed_bpc"),
        "last_bpc": on_the_way[-1].get("bpc") if on_the_way else None,
        "mean_passes": held_out.get("mean_passes", last.get("mean_passes")),
        "level": results.get("level"),
    }


def _records(path: Path) -> list[dict[str, Any]]:
    lines = path.read_text("utf-8").split("\n")
    # what follows the last line end is not whole
    return [_object(f"{path}, line {number}", line) for number, line in enumerate(lines[:-1], 1)]


def _object(name: str | Path, text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise ValueError(f"{name}: expected a JSON object: {error}") from None
    if not isinstance(value, dict):
        raise ValueError(f"{name}: expected a JSON object, found {type(value).__name__}")
    return value
