#!/bin/sh
# Rebuilds the page from the lockfile and fails if assets/graphiql holds anything else.
set -eu
cd "$(dirname "$0")"
npm ci --no-audit --no-fund
npx tsc --noEmit
npx vite build --logLevel warn
node pack.mjs --check
