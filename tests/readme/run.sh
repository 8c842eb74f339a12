#!/usr/bin/env bash
# Does what the README says under "The same from a terminal", word for word but for the address and the password.
#   tests/readme/run.sh [binary]
set -euo pipefail
binary=$(realpath "${1:-target/debug/loquent}")
cd "$(dirname "$0")/../.."

walk=$(mktemp)
trap 'rm -f "$walk"' EXIT
awk '/^#/ { here = /^### The same from a terminal/ } /^```/ { inside = here && $0 == "```sh"; next } inside' README.md |
  sed -e 's#^API=.*#API=$SERVER/graphql#' -e 's#^PASSWORD=.*#PASSWORD=$DEMO_PASSWORD#' >"$walk"

output=$(tests/with_server.sh "$binary" bash -euo pipefail "$walk" 2>&1) || { echo "$output"; exit 1; }
for expected in '"name":"Demo"' '"status":"QUEUED"' 'STOP, ' '"status":"SUCCEEDED"' '"kind":"SETTLE"'; do
  grep -qF -- "$expected" <<<"$output" || { echo "$output"; echo "the README promises $expected" >&2; exit 1; }
done
echo "readme walk ok"
