#!/usr/bin/env bash
# Looks at tiny runs on terminals of several widths, in tmux: bash tests/terminal.sh
#
# No line may be longer than the terminal, the time left comes first, and when a run has ended, was interrupted, or its
# terminal changed its width meanwhile, none of its figures is left behind. TRAINER names a program that is built
# already; SHOW=1 prints what the terminals show. Without tmux it says so and checks nothing.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! command -v tmux >/dev/null; then
  echo "skipped: there is no tmux here"
  exit 0
fi
if [[ -z ${TRAINER:-} ]]; then
  cargo build --quiet --release -p trainer
  TRAINER=target/release/trainer
fi
trainer=$(realpath "$TRAINER")
work=$(mktemp -d)
socket=flashlm-terminal-$$
tmux() { command tmux -L "$socket" -f /dev/null "$@"; }
trap 'tmux kill-server 2>/dev/null || true; rm -rf "$work"' EXIT

fail() {
  printf 'FAILED: %s; the terminal shows:\n' "$1"
  screen
  exit 1
}

screen() { # all lines, those that scrolled away too; what was wrapped by the terminal as the one line it is
  tmux capture-pane -p -J -S - -t run
}

start() { # width, the run's length
  local tiny="--size nano --d-model 32 --layers 1 --d-ffn 32 --vocab 300 --no-rcsm"
  tiny+=" --tokens 32 --sequences 2 --threads 1"
  tmux new-session -d -s run -x "$1" -y 24 "cd '$work' && exec sh"
  tmux set-option -t run remain-on-exit on >/dev/null
  tmux send-keys -t run "clear; '$trainer' $tiny $2 --eval-every 0.03 --cache cache --resume never --out out" Enter
}

wait_for() { # a pattern
  local try
  for ((try = 0; try < 1200; try++)); do
    screen | grep -q -e "$1" && return
    sleep 0.05
  done
  fail "waited in vain for $1"
}

shown() { # title
  [[ -z ${SHOW:-} ]] || { printf '=== %s\n' "$1"; tmux capture-pane -p -e -t run; }
}

fits() { # width; what was typed is the shell's
  local longest
  longest=$(screen | grep -v -e "--size nano .*--resume never" | awk '{ if (length > n) n = length } END { print n }')
  ((longest <= $1)) || fail "a line of $longest columns on a terminal of $1"
}

nothing_stale() {
  ! screen | grep -q -e ' left |' || fail "figures are left behind"
}

figures='^[0-9:?]* left | [0-9.]* %'

for width in 60 80 120 200; do
  start "$width" "--steps 800"
  wait_for "$figures"
  shown "$width columns, running"
  fits "$width"
  wait_for 'to see how it went:'
  shown "$width columns, ended"
  fits "$width"
  nothing_stale
  tmux kill-session -t run
  echo "$width columns: ok"
done

start 120 "--hours 1"
for width in 70 100 60 140; do
  wait_for "$figures"
  tmux resize-window -t run -x "$width" -y 24
  sleep 0.7
  lines=$(screen | grep -c -e ' left |' || true)
  ((lines == 1)) || fail "$lines lines of figures on a terminal that has $width columns now"
  shown "resized to $width columns"
done
tmux send-keys -t run C-c
wait_for 'to see how it went:'
shown "interrupted"
nothing_stale
evaluations=$(screen | grep -c -e '^step .* bytes, ' || true)
samples=$(screen | grep -c -e '^  > ' || true)
((samples == 2 * evaluations)) || fail "$samples stories of $evaluations evaluations: lines were drawn over"
screen | grep -q -e 'stopping: saving' || fail "an interrupted run does not say so"
tmux kill-session -t run
echo "resized and interrupted: ok"
