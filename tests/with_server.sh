#!/usr/bin/env bash
# Starts a server of its own, with a database of its own, runs a command against it, and stops it.
#   tests/with_server.sh <binary> <command> [argument...]
# The command gets SERVER, the address, and DEMO_PASSWORD, that of demo@example.com. OFFER is a catalogue to apply, with a
# plan `tests`.
set -euo pipefail
binary=$(realpath "$1")
shift

home=$(mktemp -d)
chmod 755 "$home" # Run by root, the database has a user of its own, who must get in.
cd "$home"
env -u DATABASE_URL LOQUENT_DATA_DIR="$home/data" "$binary" serve --dev --port 0 >out 2>log </dev/null &
server=$!
trap 'kill "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true; rm -rf "$home"' EXIT
cd "$OLDPWD"

said() { sed -n "s#$1#\1#p" "$home/out"; }
for _ in $(seq 600); do
  if [ -n "$(said '^\(Next\):.*')" ]; then break; fi
  if ! kill -0 "$server" 2>/dev/null; then break; fi
  sleep 0.1
done
SERVER=$(said '^ *GraphQL *\(http://[^/]*\)/graphql .*')
DEMO_PASSWORD=$(said '^ *Demo user .* password \(.*\)')
if [ -z "$SERVER" ]; then
  echo "the server did not start:" >&2
  cat "$home/log" >&2
  exit 1
fi
if [ -n "${OFFER:-}" ]; then
  (cd "$home" && env -u DATABASE_URL LOQUENT_DATA_DIR="$home/data" "$binary" catalog apply "$OFFER" >/dev/null)
  until curl -s "$SERVER/graphql" -H 'content-type: application/json' -d '{"query":"{ plans { key } }"}' | grep -q '"tests"'; do
    sleep 0.1
  done
fi
export SERVER DEMO_PASSWORD
"$@"
