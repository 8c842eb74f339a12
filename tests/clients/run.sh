#!/usr/bin/env bash
# The clients that the field knows, unchanged, against a server of their own.
#   tests/clients/run.sh [binary] [test file...]
set -euo pipefail
LOQUENT=$(realpath "${1:-target/debug/loquent}")
cd "$(dirname "$0")"
shift || true
# Some hundred packages: taken anew only when the list has changed.
if ! cmp -s package-lock.json node_modules/.installed; then
  npm ci --silent
  cp package-lock.json node_modules/.installed
fi

# Access tokens live as short as they can, so that their end is met while the suite runs.
export LOQUENT LOQUENT_AUTH__ACCESS_MINUTES=1
export OFFER="$PWD/offer.toml"
if [ $# = 0 ]; then set -- *.test.mjs; fi
../with_server.sh "$LOQUENT" node --test --test-reporter=spec --test-concurrency=16 "$@"
