#!/usr/bin/env bash
# Starts a server of its own, walks through GraphiQL in a browser, and stops it.
#   tests/browser/run.sh [binary] [directory for screenshots]
set -euo pipefail
binary=$(realpath "${1:-target/debug/loquent}")
cd "$(dirname "$0")"
npm ci --silent

home=$(mktemp -d)
chmod 755 "$home"
shots=${2:-$home/screenshots}
env -u DATABASE_URL LOQUENT_DATA_DIR="$home/data" "$binary" serve --dev --port 0 >"$home/out" 2>"$home/log" &
server=$!
trap 'kill "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true; rm -rf "$home"' EXIT

address=
for _ in $(seq 600); do
  address=$(sed -n 's#^ *GraphiQL *\(http://[^/]*\)/graphiql$#\1#p' "$home/out")
  [ -n "$address" ] && break
  kill -0 "$server" 2>/dev/null || { cat "$home/log"; exit 1; }
  sleep 0.1
done
[ -n "$address" ] || { echo "the server was not ready within a minute"; cat "$home/log"; exit 1; }
node walk.mjs "$address" "$shots"
