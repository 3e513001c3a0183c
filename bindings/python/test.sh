#!/usr/bin/env bash
# Builds the wheel and runs its tests: bash bindings/python/test.sh [PYTEST ARGUMENTS]
# PYTHON names the interpreter; FLASHLM_BIN a flashlm to compare texts with, where target/ has none.
set -euo pipefail
cd "$(dirname "$0")"
python=${PYTHON:-python3}

if ! "$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 9))' 2>/dev/null; then
  echo "SKIPPED: no Python (3.9 or newer, with venv) to build the wheel for"
  exit 0
fi
venv=target/venv
[[ -x $venv/bin/python ]] || "$python" -m venv "$venv"
if ! "$venv/bin/python" -m pip install --quiet --disable-pip-version-check 'maturin>=1.9.4,<2' pytest numpy pandas; then
  echo "SKIPPED: maturin, pytest, numpy and pandas cannot be installed here"
  exit 0
fi
rm -rf target/wheels
"$venv/bin/maturin" build --release --locked --quiet --interpreter "$venv/bin/python" --out target/wheels
wheels=(target/wheels/*.whl)
if [[ ${#wheels[@]} != 1 || ${wheels[0]} != *-cp39-abi3-* ]]; then
  echo "expected one wheel for every Python from 3.9 on, found ${wheels[*]}"
  exit 1
fi
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --force-reinstall --no-deps "${wheels[0]}"
echo "built and installed ${wheels[0]}"
# from here, so that the wheel's package is imported and not the folder's
"$venv/bin/python" -m pytest -q "$@"
