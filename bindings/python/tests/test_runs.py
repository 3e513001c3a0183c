"""The trainer's runs as data frames."""

import json
import sys

import pandas as pd
import pytest

from flashlm.runs import compare, read_run


def step(n, **more):
    return {
        "kind": "step",
        "step": n,
        "elapsed": 1.5 * n,
        "phase": "foundation",
        "loss": 8.0 / n,
        "grad_norm": None if n == 1 else 0.5,
        "lr": 1e-3,
        "tokens": 8192 * n,
        "tokens_per_second": 1e4,
        "mean_passes": 1.0,
        "op_usage": [0.5, 0.5],
        **more,
    }


def evaluation(n):
    return {
        "kind": "eval",
        "step": n,
        "elapsed": 1.5 * n,
        "bpc": 4.0 / n,
        "bytes": 1000,
        "tokens": 8192 * n,
        "mean_passes": 1.0,
    }


def write(directory, records, results=None, tail=""):
    directory.mkdir()
    text = "".join(json.dumps(record) + "\n" for record in records)
    (directory / "metrics.jsonl").write_text(text + tail)
    if results is not None:
        (directory / "results.json").write_text(json.dumps(results))
    return directory


RESULTS = {
    "preset": "nano",
    "complete": True,
    "parameters": 560_000,
    "steps": 4,
    "tokens": 32768,
    "elapsed": 7200.0,
    "tokens_per_second": 4.5,
    "held_out": {"file": "valid.txt", "bytes": 10, "bpc": 1.25, "packed_bpc": 1.26, "mean_passes": 1.4},
    "level": 2,
}


def test_steps_and_evaluations_are_frames_of_their_own(tmp_path):
    records = [step(1), step(2, answers={"right": [[1, 0, 0]] * 4, "total": [[2, 0, 0]] * 4}), evaluation(2), step(3)]
    run = read_run(write(tmp_path / "nano", records, RESULTS))
    assert run.results == RESULTS and run.model == tmp_path / "nano" / "model.flm"
    assert run.steps["step"].tolist() == [1, 2, 3] and run.steps["loss"].tolist() == [8.0, 4.0, 8.0 / 3]
    assert pd.isna(run.steps["grad_norm"][0]) and run.steps["answers"][1]["total"][0] == [2, 0, 0]
    assert run.evaluations["bpc"].tolist() == [2.0] and "kind" not in run.steps and "kind" not in run.evaluations
    assert run.steps is run.steps, "made once"


def test_a_run_under_way_has_no_results_and_its_last_line_may_be_cut_off(tmp_path):
    run = read_run(write(tmp_path / "now", [step(1), step(2)], tail='{"kind": "step", "st'))
    assert run.results is None and run.steps["step"].tolist() == [1, 2] and run.evaluations.empty


def test_runs_are_compared_by_name(tmp_path):
    whole = {**evaluation(4), "bytes": 9000}
    done = write(tmp_path / "done", [step(1), evaluation(1), evaluation(2), whole], RESULTS)
    under_way = write(tmp_path / "now", [step(1), step(2)])
    frame = compare([done, str(under_way)])
    assert frame.index.tolist() == ["done", "now"] and frame.index.name == "run"
    assert frame.loc["done", ["preset", "complete", "hours", "held_out_bpc", "last_bpc", "level"]].tolist() == [
        "nano",
        True,
        2.0,
        1.25,
        2.0,
        2,
    ]
    assert frame.loc["now", ["complete", "steps", "tokens"]].tolist() == [False, 2, 16384]
    assert pd.isna(frame.loc["now", "held_out_bpc"]) and frame.loc["now", "hours"] == 3 / 3600
    assert compare([]).empty
    with pytest.raises(TypeError, match="several directories"):
        compare(str(done))


def test_what_is_no_run_is_refused_with_where(tmp_path):
    with pytest.raises(FileNotFoundError, match="none: expected a run's directory"):
        read_run(tmp_path / "none")
    broken = write(tmp_path / "broken", [step(1)], tail="spoilt\n")
    with pytest.raises(ValueError, match=r"metrics.jsonl, line 2: expected a JSON object"):
        read_run(broken)
    with pytest.raises(ValueError, match=r"results.json: expected a JSON object, found list"):
        read_run(write(tmp_path / "list", [], []))


def test_without_pandas_all_but_frames_works_and_the_message_says_what_to_do(tmp_path, monkeypatch):
    run = read_run(write(tmp_path / "run", [step(1)], RESULTS))
    monkeypatch.setitem(sys.modules, "pandas", None)
    assert run.records[0]["step"] == 1
    with pytest.raises(ImportError, match="pip install pandas"):
        run.steps
