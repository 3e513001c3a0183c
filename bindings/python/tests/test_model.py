"""Models: opening, tokens, logits, scores."""

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import DEFAULT, ROOT

import flashlm


def test_a_model_is_opened_by_path_and_from_bytes_alike(model):
    for source in (str(DEFAULT), DEFAULT.read_bytes()):
        other = flashlm.Model(source)
        assert other.config == model.config
        assert np.array_equal(other.logits([0, 5]), model.logits([0, 5]))
    assert repr(model).startswith("Model(") and str(model.vocab_size) in repr(model)


def test_config_and_facts_are_those_of_the_header(model):
    config = model.config
    assert config["vocab"] == model.vocab_size and config["eot"] == model.end_of_story == 0
    assert config["rcsm"]["depths"] == sorted(config["rcsm"]["depths"])
    assert model.default_depth == "auto" or 1 <= model.default_depth <= config["rcsm"]["depths"][2]
    assert model.facts["tokens"] > 0 and isinstance(model.facts["name"], str)
    assert 0.1 < model.facts["held_out_bpc"] < 8


def test_what_is_no_model_is_refused_by_name(tmp_path):
    with pytest.raises(FileNotFoundError, match="missing.flm: expected a readable model file"):
        flashlm.Model(tmp_path / "missing.flm")
    page = tmp_path / "page.flm"
    page.write_text("<!DOCTYPE html><title>404</title>")
    with pytest.raises(ValueError, match="page.flm: expected a packed model .* found a web page"):
        flashlm.Model(page)
    with pytest.raises(ValueError, match="expected a model file"):
        flashlm.Model(tmp_path)
    damaged = bytearray(DEFAULT.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    with pytest.raises(ValueError, match="the model: "):
        flashlm.Model(bytes(damaged))
    with pytest.raises(ValueError):
        flashlm.Model(b"")
    with pytest.raises(TypeError):
        flashlm.Model(3)


@pytest.mark.parametrize("text", ["", "Once upon a time", "日本 🙂\n\n été", " <|endoftext|> ", "a" * 5000])
def test_decoding_gives_the_text_that_was_encoded(model, text):
    tokens = model.encode(text)
    assert tokens.dtype == np.uint16 and tokens.ndim == 1
    assert 0 not in tokens
    assert model.decode(tokens) == text
    assert model.decode_bytes(tokens) == text.encode()
    assert np.array_equal(model.encode(text.encode()), tokens)
    assert model.decode(tokens.tolist()) == model.decode(tokens.astype(np.int64)[::1]) == text


def test_bytes_that_are_no_text_survive(model):
    odd = bytes(range(256))
    assert model.decode_bytes(model.encode(odd)) == odd
    assert "\ufffd" in model.decode(model.encode(b"\xff"))
    assert model.decode([model.end_of_story]) == ""


@pytest.mark.parametrize(
    ("tokens", "error", "message"),
    [
        ([0, 70000], ValueError, "expected 0 to .*, found 70000 at index 1"),
        ([-1], ValueError, "found -1 at index 0"),
        (np.array([2**63], np.uint64), ValueError, "at index 0"),
        ([[1, 2]], ValueError, r"expected one dimension, found shape \[1, 2\]"),
        (5, ValueError, "expected one dimension"),
        ([1.0], TypeError, "expected whole numbers, found an array of float64"),
        (["a"], TypeError, "expected whole numbers"),
        ([None], TypeError, "expected whole numbers"),
    ],
)
def test_what_are_no_tokens_is_refused_everywhere(model, tokens, error, message):
    for takes in (model.decode, model.decode_bytes, model.logits, model.session().prefill):
        with pytest.raises(error, match=message):
            takes(tokens)


def test_tokens_of_any_layout_are_the_same(model):
    tokens = model.encode("Tom went to the barn with Sue.")
    wide = np.zeros((len(tokens), 2), np.int32)
    wide[:, 1] = tokens
    assert model.decode(wide[:, 1]) == "Tom went to the barn with Sue."
    assert model.decode(tokens[::-1][::-1]) == "Tom went to the barn with Sue."
    assert np.array_equal(model.logits(tuple(tokens)), model.logits(tokens))


@pytest.mark.parametrize("depth", [None, 1, 3, "auto"])
def test_logits_are_those_of_one_step_after_another(model, depth):
    tokens = [model.end_of_story, *model.encode("Once upon a time there was a red hat. It was in the old barn.")]
    logits = model.logits(tokens, depth=depth)
    assert logits.shape == (len(tokens), model.vocab_size) and logits.dtype == np.float32
    assert np.isfinite(logits).all() and len(tokens) > 16
    session = model.session(depth)
    steps = np.stack([session.step(token) for token in tokens])
    assert np.array_equal(steps, logits)


def test_logits_of_nothing_are_an_empty_array(model):
    assert model.logits([]).shape == (0, model.vocab_size)


def test_logits_predict_what_comes_next(model):
    tokens = [model.end_of_story, *model.encode("Once upon a")]
    assert model.decode([model.logits(tokens)[-1].argmax()]) == " time"


def test_a_score_is_the_sum_of_what_the_logits_say(model):
    text = "Tom went to the barn. Sue was in the barn too. " * 24
    tokens = model.encode(text)
    assert len(tokens) > 256
    logits = model.logits([model.end_of_story, *tokens[:-1]]).astype(np.float64)
    bits = (np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(tokens)), tokens]) / np.log(2)
    score = model.score(text)
    assert score.bits == pytest.approx(bits.sum(), rel=1e-5)
    assert (score.tokens, score.bytes) == (len(tokens), len(text))
    assert score.bits_per_byte == score.bits / score.bytes


def test_stories_of_a_file_are_scored_each_from_its_begin(model):
    one, two = model.score("Tom ran."), model.score("Sue sat.")
    both = model.score(b"Tom ran.\n<|endoftext|>\nSue sat.")
    assert both.tokens == one.tokens + 1 + two.tokens
    assert 0 < both.bits - (one.bits + two.bits) < 20, "and the first one's end"
    assert (model.score("").bits, model.score("").bits_per_byte) == (0, 0)


def test_scores_are_those_of_the_desktop_program(model, program, tmp_path):
    lines = ["Tom went to the barn.", "The barn went to Tom.", ""]
    file = tmp_path / "lines.txt"
    file.write_text("".join(f"{line}\n" for line in lines))
    report = json.loads(program("score", str(file), "--json"))
    assert [score["bits"] for score in report["scores"]] == [model.score(line).bits for line in lines]
    stories = Path(ROOT / "README.md").read_bytes()[:3000] + b"\n<|endoftext|>\nTom ran.\n<|endoftext|>\n"
    file.write_bytes(stories)
    report = json.loads(program("eval", "--data", str(file), "--depth", "2", "--json"))
    score = model.score(stories, depth=2)
    assert (report["bits"], report["bytes"]) == (score.bits, score.bytes)


@pytest.mark.parametrize("depth", [0, 99, "deep", -1, True])
def test_depths_that_a_model_does_not_have_are_refused(model, depth):
    for takes in (model.session, lambda depth: model.logits([1], depth), lambda depth: model.generate(depth=depth)):
        with pytest.raises(ValueError, match="depth"):
            takes(depth)
    with pytest.raises(TypeError, match="depth"):
        model.session(depth=1.5)
