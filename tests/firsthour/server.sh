#!/usr/bin/env bash
# The first ten minutes of someone who wants a model behind HTTP: builds flashlm with its server, starts it, and asks it
# by curl and by OpenAI's Python client: bash tests/firsthour/server.sh
# PROFILE=dev builds faster; PYTHON names the interpreter.
set -euo pipefail
cd "$(dirname "$0")/../.."
profile=${PROFILE:-release} python=${PYTHON:-python3}
target=${CARGO_TARGET_DIR:-target}
flashlm=$target/${profile/dev/debug}/flashlm
work=$(mktemp -d)
server=

finish() {
  [[ -z $server ]] || kill -KILL "$server" 2>/dev/null || true
  rm -rf "$work"
}
trap finish EXIT

fail() {
  printf 'FAILED: %s\n' "$*" >&2
  exit 1
}

expect() { # text, what it must contain, what it is
  [[ $1 == *"$2"* ]] || fail "$3: expected $2, found $1"
}

start() { # arguments; sets server and url
  "$flashlm" serve --address 127.0.0.1:0 "$@" >"$work/said" &
  server=$!
  for ((i = 0; i < 300; i++)); do
    url=$(sed -n 's|^listening at \(http://[^/]*\)/v1.*|\1|p' "$work/said")
    [[ -z $url ]] || return 0
    kill -0 "$server" 2>/dev/null || fail "the server ended"
    sleep 0.1
  done
  fail "the server does not say where it listens"
}

stop() { # as a system does that shuts down
  local status=0
  kill -TERM "$server"
  wait "$server" || status=$?
  server=
  ((status == 0)) || fail "the server ended with status $status"
}

cargo build --quiet --profile "$profile" -p runtime-desktop --features serve
start
cat "$work/said"

echo "by curl:"
expect "$(curl -sS "$url/health")" '"ok"' "health"
expect "$(curl -sS "$url/v1/models")" '"id":"flashlm"' "models"
request='{"prompt": "Once upon a time", "max_tokens": 40, "seed": 7, "temperature": 0.7, "top_p": 0.95}'
ask() { curl -sS "$url/v1/completions" -H 'Content-Type: application/json' -d "$1"; }
answer=$(ask "$request")
echo "$answer"
"$flashlm" generate -p "Once upon a time" -n 40 --seed 7 --json >"$work/generated"
printf '%s' "$answer" >"$work/answer"
same='import json, sys
told, answer = (json.load(open(name)) for name in sys.argv[1:])
choice = answer["choices"][0]
assert choice["text"] == told["text"], (choice, told)
assert answer["usage"]["completion_tokens"] == told["tokens"], (answer, told)'
if command -v "$python" >/dev/null; then
  "$python" -c "$same" "$work/generated" "$work/answer"
  echo "the text is flashlm's own"
fi
events=$(curl -sSN "$url/v1/completions" -H 'Content-Type: application/json' -d "${request/\{/\{\"stream\": true, }")
[[ $(tail -n 2 <<<"$events" | head -n 1) == "data: [DONE]" || $(tail -n 1 <<<"$events") == "data: [DONE]" ]] ||
  fail "the events do not end in [DONE]"
echo "$(grep -c '^data: {' <<<"$events") events"
expect "$(ask '{"max_tokens": -1}')" 'max_tokens: expected a whole number' "an error"
status=$(curl -sS -o /dev/null -w '%{http_code}' "$url/v1/completions" -H 'Content-Type: application/json' -d '{')
[[ $status == 400 ]] || fail "expected status 400 for half a body, found $status"
expect "$(curl -sS "$url/metrics")" 'flashlm_completion_tokens_total' "metrics"
stop

if ! "$python" -c 'import venv, ensurepip' 2>/dev/null; then
  echo "SKIPPED: the openai client, as there is no Python with venv"
  exit 0
fi
venv=$target/firsthour-openai
[[ -x $venv/bin/python ]] || "$python" -m venv "$venv"
if ! "$venv/bin/python" -m pip install --quiet --disable-pip-version-check 'openai>=1,<3'; then
  echo "SKIPPED: the openai client, as it cannot be installed here"
  exit 0
fi
start --api-key secret
echo "by the openai client:"
"$venv/bin/python" tests/firsthour/server.py "$url" "$work/generated"
stop
echo "the server works, by curl and by the openai client"
