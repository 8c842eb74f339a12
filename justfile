# What one does here. `just --list` shows all of it.

# Start the server for development, with a database of its own.
dev:
    cargo run

# Run the tests; words select some of them.
test *words:
    cargo test {{ words }}

# Format and lints, as CI demands them.
lint:
    cargo fmt --all -- --check
    cargo clippy --all-targets -- -D warnings

# Write schema.graphql as it is served, and the reference of error codes.
schema:
    cargo run -- schema export > schema.graphql.new && mv schema.graphql.new schema.graphql
    cargo run -- schema errors > docs/ERRORS.md.new && mv docs/ERRORS.md.new docs/ERRORS.md

# Measure the edge beside a bare handler, the jobs beside another queue, and streams beside a bare relay.
bench:
    cargo bench --bench edge
    cargo bench --bench jobs
    cargo bench --bench streams

# Make the files of a new migration, such as `just migration create_files`.
migration name:
    #!/usr/bin/env bash
    set -euo pipefail
    today=$(date -u +%F)
    count=$(find migrations -maxdepth 1 -name "$today-*" | wc -l)
    dir=$(printf 'migrations/%s-%06d_%s' "$today" $((count + 1)) "{{ name }}")
    mkdir "$dir"
    touch "$dir/up.sql" "$dir/down.sql"
    echo "$dir"

# Exactly what CI runs.
ci:
    .ci/run
