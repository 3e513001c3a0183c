"""Stories: seeds, settings, stops, Ctrl-C."""

import _thread
import json
import threading
import time

import numpy as np
import pytest
from conftest import ROOT

import flashlm

SETTINGS = [
    ("Once upon a time", {}),
    ("Tom saw the ", {"seed": 7, "max_tokens": 60}),
    ("", {"seed": 3, "temperature": 1.5, "top_k": 40, "top_p": 1.0}),
    ("Lily gave 日本 🙂 to", {"seed": 7, "min_p": 0.05, "repetition_penalty": 1.2, "depth": 3, "max_tokens": 80}),
    ("Sue was", {"temperature": 0, "depth": "auto", "max_tokens": 50}),
]


@pytest.mark.parametrize(("prompt", "options"), SETTINGS)
def test_a_seed_gives_the_text_that_the_desktop_program_tells(model, program, prompt, options):
    names = {"max_tokens": "tokens", "repetition_penalty": "repeat"}
    flags = [f"--{names.get(name, name).replace('_', '-')}={value}" for name, value in options.items()]
    report = json.loads(program("generate", f"--prompt={prompt}", "--json", *flags))
    stream = model.stream(prompt, **options)
    assert "".join(stream) == report["text"]
    assert (stream.ended, len(stream.tokens)) == (report["ended"], report["tokens"])
    assert model.generate(prompt, **options) == report["text"]


# What the golden models tell at each depth, as tests/blob.rs has it: greedily after "Tom saw a cat", and drawn.
GOLDEN = {
    "version-4": {
        1: (
            "h is a busy. The farm was Pogy. The pretty is in the pond. The pretty is the pocy. The palty",
            " pond. The hurtle was a cole little sharol. The picked was very happy. In the ealy was too away, and he "
            "was a little girl named",
        ),
        3: (
            'h is a busy. The farm was Pogy. The farm was Pogy. "I have downown?" asked On the pond. "It is a big',
            " pog. The loved a polin small sounding at the beach. One day, the foot was his friend Finnie told Lati. "
            '"Let us play h',
        ),
        8: (
            'h. It was a busy. Her name was Mom. "I havething,, I wee you can not stive you give it." So they went to '
            "the better",
            " pog. The loved a poline radday. The day, Amy was very cople. His friend Noppy was very knowy. One day "
            "Peter was",
        ),
        "auto": (
            'h. It was a girl. Her name was Mom mying. "If the book is a big smile. "I lost my new made, then',
            ' pond. The hurtle was a coleb. Dan was very surtle. One day, he took a puckle and counted toget. "Do you '
            'kneice."',
        ),
    },
}


@pytest.mark.parametrize("depth", [1, 3, 8, "auto"])
def test_a_committed_model_tells_what_it_told(depth):
    path = max((ROOT / "tests/golden").glob("version-*.flm"), key=lambda path: int(path.stem.split("-")[1]))
    greedy, drawn = GOLDEN[path.stem][depth]
    golden = flashlm.Model(path)
    assert golden.generate("Tom saw a cat", temperature=0, depth=depth, max_tokens=50) == greedy
    assert golden.generate("Lily gave 日本 🙂 to the ", temperature=0.8, seed=7, depth=depth, max_tokens=50) == drawn


def test_seeds_and_settings_make_the_text(model):
    def tell(**options):
        return model.generate("Once upon a time", max_tokens=60, **options)

    assert tell() == tell() == tell(seed=1)
    assert len({tell(seed=seed) for seed in range(5)}) > 3
    assert tell(temperature=0, seed=1) == tell(temperature=0, seed=2) == tell(top_k=1, seed=3)
    assert tell(temperature=0, repetition_penalty=5.0) != tell(temperature=0)
    assert model.generate(max_tokens=0) == ""


def test_a_stream_gives_pieces_and_says_what_came_of_it(model):
    stream = model.stream("Once upon a time", max_tokens=30)
    assert iter(stream) is stream and stream.ended is None and len(stream.tokens) == 0
    pieces = [next(stream)]
    assert 1 <= len(stream.tokens) < 30 and stream.ended is None
    pieces += stream
    assert all(pieces) and len(pieces) > 10
    assert stream.ended == "length" and stream.tokens.dtype == np.uint16
    assert model.decode(stream.tokens) == "".join(pieces)
    assert list(stream) == [], "it has ended"


def test_white_space_at_the_end_of_a_prompt_comes_with_the_next_word(model):
    for seed in range(5):
        assert model.generate("Tom saw the ", seed=seed, max_tokens=5).startswith(" ")


def test_a_story_ends_before_what_it_is_to_stop_at(model):
    whole = model.generate("Once upon a time", max_tokens=120)
    word = whole[40:47]
    for stop in (word, [word], ["not there at all", word], [whole[45:60], word], ["", word]):
        stream = model.stream("Once upon a time", max_tokens=120, stop=stop)
        pieces = list(stream)
        assert "".join(pieces) == whole[: whole.index(word)], stop
        assert stream.ended == "stop" and all(pieces)
    for none in (None, [], "", "not there at all", whole[-5:] + "!"):
        assert model.generate("Once upon a time", max_tokens=120, stop=none) == whole
    # what looks like the begin of a stop until the story is over
    assert model.generate("Once upon a time", max_tokens=120, stop=whole[-1] + "\0") == whole


def test_the_models_end_of_a_story_is_the_streams(model):
    streams = [model.stream("Once upon a time", max_tokens=2000, seed=seed) for seed in range(3)]
    for stream in streams:
        assert "".join(stream) and stream.ended == "end of story"
        assert model.end_of_story not in stream.tokens


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"temperature": -1}, ValueError, "temperature must be a finite number"),
        ({"temperature": float("nan")}, ValueError, "temperature"),
        ({"top_p": 0}, ValueError, "top-p must be above 0"),
        ({"min_p": 2}, ValueError, "min-p"),
        ({"repetition_penalty": 0}, ValueError, "repetition penalty"),
        ({"top_k": 65}, ValueError, "top_k: expected 0 to 64, found 65"),
        ({"top_k": -1}, ValueError, "expected a whole number from 0 to .*, found -1"),
        ({"seed": 2**64}, ValueError, "whole number from 0 to 18446744073709551615, found 18446744073709551616"),
        ({"max_tokens": -5}, ValueError, "found -5"),
        ({"seed": "one"}, TypeError, "integer"),
        ({"max_tokens": 1.5}, TypeError, "integer"),
        ({"stop": 3}, TypeError, "stop: expected a str or a list of them, found int"),
        ({"stop": [3]}, TypeError, "stop: expected a str or a list of them, found list"),
        ({"temprature": 1}, TypeError, "temprature"),
    ],
)
def test_settings_out_of_range_are_refused(model, options, error, message):
    for tell in (model.generate, model.stream):
        with pytest.raises(error, match=message):
            tell("Tom", **options)
    with pytest.raises(TypeError):
        model.generate(b"Tom")


@pytest.mark.parametrize("what", ["generate", "stream", "logits", "score", "trace", "prefill"])
def test_ctrl_c_ends_what_takes_long(model, what):
    long = "Once upon a time there was a cat. " * 20000
    tokens = model.encode(long)
    # what is repeated becomes ever likelier, so that the story does not end
    never = {"max_tokens": 200_000, "temperature": 0, "repetition_penalty": 0.1}
    work = {
        "generate": lambda: model.generate("Tom", **never),
        "stream": lambda: list(model.stream("Tom" * 100_000, max_tokens=1)),
        "logits": lambda: model.logits(tokens[:8000], depth=8),
        "score": lambda: model.score(long),
        "trace": lambda: model.trace(long),
        "prefill": lambda: model.session().prefill(tokens),
    }[what]
    pressed = []

    def press():
        pressed.append(time.monotonic())
        _thread.interrupt_main()

    timer = threading.Timer(0.1, press)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        work()
    assert time.monotonic() - pressed[0] < 3
    timer.join()


def test_other_threads_run_while_a_story_is_told(model):
    counted, done = [0], threading.Event()

    def count():
        while not done.is_set():
            counted[0] += 1

    thread = threading.Thread(target=count)
    thread.start()
    before = counted[0]
    model.score("Once upon a time there was a cat. " * 200)
    after = counted[0]
    done.set()
    thread.join()
    assert after - before > 100
