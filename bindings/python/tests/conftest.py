"""What the tests have in common: models of the tree, and the desktop program where it is built."""

import os
import subprocess
from pathlib import Path

import pytest

import flashlm

ROOT = Path(__file__).parents[3]
DEFAULT = ROOT / "models/supernova.flm"


@pytest.fixture(scope="session")
def model():
    """The model built into the desktop program."""
    return flashlm.Model(DEFAULT)


@pytest.fixture(scope="session")
def program():
    """Runs `flashlm --model supernova.flm ARGUMENTS`, the newest that is built, and gives what it printed."""
    built = [ROOT / "target" / profile / "flashlm" for profile in ("debug", "release")]
    built = sorted((path for path in built if path.is_file()), key=lambda path: path.stat().st_mtime)
    path = os.environ.get("FLASHLM_BIN") or (built[-1] if built else None)
    if path is None:
        pytest.skip("flashlm is not built: cargo build -p runtime-desktop")

    def run(*arguments):
        done = subprocess.run([path, "--model", DEFAULT, *arguments], capture_output=True, stdin=subprocess.DEVNULL)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()

    return run
