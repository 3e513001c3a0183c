"""Traces: shapes, sums, and what was read."""

import json

import numpy as np
import pytest

from flashlm.types import Trace

TEXT = "Tom put the red hat in the old barn. Sue went to the sea. Tom went home. The red hat is in the"


@pytest.fixture(scope="module", params=[1, 3, "auto", 8])
def traced(request, model):
    return request.param, model.trace(TEXT, depth=request.param)


def test_every_array_has_its_shape_and_type(model, traced):
    depth, trace = traced
    rcsm = model.config["rcsm"]
    t, p = len(model.encode(TEXT)) + 1, int(trace["passes"].max())
    s, r = rcsm["slots"], rcsm["width"]
    want = {
        "tokens": ((t,), np.uint16),
        "passes": ((t,), np.uint8),
        "deeper": ((t, 2), np.float32),
        "operations": ((t, p, 2), np.int16),
        "weights": ((t, p, 2), np.float32),
        "hop": ((t, p), np.float32),
        "hold": ((t, p), np.float32),
        "addresses": ((t, p, s), np.float32),
        "held": ((t, p, r), np.float32),
        "read_from": ((t, p, 3), np.int32),
        "read_direction": ((t, p, 3), np.int8),
        "read_share": ((t, p, 3), np.float32),
        "read_similarity": ((t, p, 3), np.float32),
        "write_gates": ((t, 2), np.float32),
        "write_contexts": ((t, s), np.float32),
        "write_tokens": ((t, s), np.float32),
    }
    assert {name: (array.shape, array.dtype) for name, array in trace.items()} == want
    assert list(want) == list(Trace.__annotations__), "what the types say"
    assert trace["tokens"].tolist() == [model.end_of_story, *model.encode(TEXT)]
    if depth == "auto":
        assert set(trace["passes"]) <= set(rcsm["depths"]) and not np.isnan(trace["deeper"][:, 0]).any()
    else:
        assert (trace["passes"] == depth).all() and np.isnan(trace["deeper"]).all()


def test_passes_that_were_taken_have_values_and_others_none(model, traced):
    _, trace = traced
    p = trace["operations"].shape[1]
    taken = np.arange(p) < trace["passes"][:, None]
    for name in ("weights", "addresses", "held", "hop", "hold"):
        values = trace[name].reshape(len(taken), p, -1)
        assert np.isfinite(values[taken]).all() and np.isnan(values[~taken]).all(), name
    assert (trace["operations"][taken] >= 0).all() and (trace["operations"][~taken] == -1).all()
    assert (trace["operations"][taken] < model.config["rcsm"]["ops"]).all()
    assert np.allclose(trace["weights"][taken].sum(-1), 1, atol=1e-5)
    assert np.allclose(np.linalg.norm(trace["addresses"][taken], axis=-1), 1, atol=1e-3)
    assert (trace["hop"][:, 0] == 0).all() and (trace["hold"][:, 0] == 1).all()
    # before the first token there is nothing that its context could be
    assert (trace["write_contexts"][0] == 0).all()
    assert np.allclose(np.linalg.norm(trace["write_contexts"][1:], axis=-1), 1, atol=1e-3)
    assert np.allclose(np.linalg.norm(trace["write_tokens"], axis=-1), 1, atol=1e-3)
    for gate in (trace["hop"][taken], trace["hold"][taken], trace["write_gates"]):
        assert ((gate >= 0) & (gate <= 1)).all()


def test_what_was_read_is_what_a_memory_written_by_the_delta_rule_gives(model, traced):
    """Each link's value is a unit vector of its own, so that a read lists all shares."""
    _, trace = traced
    t, s = trace["write_contexts"].shape
    links = {"none": 0, "forward": 1, "both": 2}[model.config["rcsm"]["writes"]]
    memory = np.zeros((s, 2 * t))
    read = 0
    for i in range(t):
        for p in range(trace["passes"][i]):
            shares = trace["addresses"][i, p].astype(np.float64) @ memory
            order = np.sort(np.abs(shares))[::-1]
            for k in range(3):
                writer, share = trace["read_from"][i, p, k], trace["read_share"][i, p, k]
                if writer < 0:
                    assert order[k] < 0.011 and np.isnan(share) and trace["read_direction"][i, p, k] == 0
                    continue
                assert writer < i
                direction = trace["read_direction"][i, p, k]
                key = trace["write_contexts" if direction == 1 else "write_tokens"][writer]
                assert shares[2 * writer + (direction == -1)] == pytest.approx(share, abs=1e-4)
                assert abs(share) == pytest.approx(order[k], abs=1e-4)
                similarity = trace["read_similarity"][i, p, k]
                assert key @ trace["addresses"][i, p] == pytest.approx(similarity, abs=1e-4)
                read += 1
        for link, name in enumerate(("write_contexts", "write_tokens")[:links]):
            key, value = trace[name][i].astype(np.float64), np.zeros(2 * t)
            value[2 * i + link] = 1
            memory += trace["write_gates"][i, link] * np.outer(key, value - key @ memory)
    assert read > t


def test_a_trace_is_that_of_the_desktop_program(model, program):
    prompt = "Once upon a time"
    report = json.loads(program("generate", f"--prompt={prompt}", "--json", "--trace", "-n", "40", "--depth", "auto"))
    trace = model.trace(prompt + report["text"], depth="auto")
    compared = 0
    for step in report["trace"]:
        i = step["position"] - 1
        if i + 1 >= len(trace["tokens"]) or model.decode(trace["tokens"][i + 1 : i + 2]) != step["token"]:
            break
        passes = step["passes"]
        assert trace["passes"][i] == len(passes)
        for p, of in enumerate(passes):
            assert trace["operations"][i, p].tolist() == of["operations"]
            assert np.allclose(trace["weights"][i, p], of["weights"], atol=1e-6)
            assert trace["hop"][i, p] == pytest.approx(of["hop"]) and trace["hold"][i, p] == pytest.approx(of["hold"])
            writers = [read["position"] for read in of["reads"]]
            assert trace["read_from"][i, p].tolist() == writers + [-1] * (3 - len(writers))
        compared += 1
    assert compared > 20


def test_a_trace_of_nothing_is_that_of_the_begin(model):
    trace = model.trace("")
    assert trace["tokens"].tolist() == [model.end_of_story]
    assert (trace["read_from"] == -1).all(), "there is nothing to read yet"
