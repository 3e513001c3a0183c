"""Sessions: steps, state, depth."""

import threading

import numpy as np
import pytest


def test_prefill_leaves_the_state_that_steps_do(model):
    tokens = [0, *model.encode("Once upon a time there was a cat. " * 40)]
    assert len(tokens) > 256
    steps, prefilled = model.session(), model.session()
    for token in tokens:
        last = steps.step(int(token))
    prefilled.prefill(tokens)
    assert prefilled.position == steps.position == len(tokens)
    assert np.array_equal(prefilled.state, steps.state)
    assert np.array_equal(prefilled.logits(), last)
    assert last.shape == (model.vocab_size,) and last.dtype == np.float32


def test_a_state_can_be_gone_back_to(model):
    session = model.session()
    session.prefill(model.encode("Tom is in the"))
    state = session.state
    assert state.dtype == np.uint8 and state.ndim == 1
    barn, hat = (int(model.encode(word)[0]) for word in (" barn", " hat"))
    first = session.step(barn)
    session.step(hat)
    for kept in (state, state.tobytes()):
        session.restore(kept)
        assert np.array_equal(session.step(barn), first)
    branch = model.session()
    branch.restore(state)
    assert np.array_equal(branch.step(barn), first)


def test_states_of_something_else_are_refused_and_change_nothing(model):
    session = model.session()
    session.step(5)
    state = session.state
    for bad, error, message in [
        (state[:-1].copy(), ValueError, f"expected {len(state)} bytes, found {len(state) - 1}"),
        (b"", ValueError, "found 0"),
        (np.zeros_like(state), ValueError, "another model"),
        (state.astype(np.float32), TypeError, "uint8"),
        (state.reshape(1, -1), TypeError, "one dimension"),
        ("state", TypeError, "expected bytes"),
    ]:
        with pytest.raises(error, match=message):
            session.restore(bad)
    assert np.array_equal(session.state, state)


def test_a_reset_session_is_a_new_one(model):
    session = model.session()
    with pytest.raises(ValueError, match="no token was processed yet"):
        session.logits()
    new = session.state
    session.prefill([3, 4, 5])
    assert session.position == 3
    session.reset()
    assert session.position == 0 and np.array_equal(session.state, new)


def test_the_depth_is_that_of_the_next_tokens(model):
    session = model.session()
    assert session.depth == model.default_depth
    session.depth = 2
    assert session.depth == 2 and "depth=2" in repr(session)
    session.depth = "auto"
    assert session.depth == "auto"
    with pytest.raises(ValueError, match="depths are 1 to"):
        session.depth = 60
    assert session.depth == "auto"


def test_tokens_outside_the_vocabulary_are_refused_before_any_is_processed(model):
    session = model.session()
    for bad in (model.vocab_size, -1, 1 << 40):
        with pytest.raises(ValueError, match=f"expected 0 to {model.vocab_size - 1}, found {bad}"):
            session.step(bad)
    with pytest.raises(ValueError):
        session.prefill([1, 2, model.vocab_size])
    assert session.position == 0
    assert session.step(np.uint16(7)).shape == (model.vocab_size,)


def test_sessions_on_threads_do_not_disturb_each_other(model):
    tokens = [
        [0, *model.encode(f"{name} went to the {place}.")] for name in ("Tom", "Sue") for place in ("barn", "sea")
    ]
    want, got = [model.logits(t) for t in tokens], [None] * len(tokens)

    def work(i):
        for _ in range(5):
            got[i] = model.logits(tokens[i])

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(tokens))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(a, b) for a, b in zip(got, want))
