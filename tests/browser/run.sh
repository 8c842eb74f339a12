#!/usr/bin/env bash
# Walks through GraphiQL in a browser, against a server of its own.
#   tests/browser/run.sh [binary] [directory for screenshots]
set -euo pipefail
binary=$(realpath "${1:-target/debug/loquent}")
shots=$(realpath -m "${2:-target/browser}")
cd "$(dirname "$0")"
npm ci --silent
# The address is known only inside.
../with_server.sh "$binary" bash -c 'exec node walk.mjs "$SERVER" "$0"' "$shots"
