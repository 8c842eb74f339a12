#!/usr/bin/env bash
# Walks through GraphiQL in a browser, and looks at the API from pages of other origins, against a server of its own.
#   tests/browser/run.sh [binary] [directory for screenshots]
set -euo pipefail
binary=$(realpath "${1:-target/debug/loquent}")
shots=$(realpath -m "${2:-target/browser}")
cd "$(dirname "$0")"
npm ci --silent
# The address is known only inside.
../with_server.sh "$binary" bash -euc 'node walk.mjs "$SERVER" "$0"; node origins.mjs "$SERVER"' "$shots"
