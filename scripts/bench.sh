#!/usr/bin/env bash
# Builds the server with the control of the benchmark in a folder of its own, starts a private PostgreSQL that waits for the
# disk, and measures. Writes target/bench/run-*.json and target/bench/last.json.
# usage: scripts/bench.sh [arguments of `domicile-bench run`]     For a page: scripts/bench.sh --write-docs
set -uo pipefail
cd "$(dirname "$0")/.."
[ "$(uname -s)" = Linux ] || { echo "The benchmark reads /proc: it runs on Linux alone." >&2; exit 1; }

# Two builds: together they would share features, and the server would not be the one that people build.
cargo build --locked --profile measured --package domicile --features bench-echo || exit
cargo build --locked --profile measured --package domicile-bench || exit

source scripts/postgres.sh
# /var/tmp lies on a disk where /tmp may lie in memory.
folder=$(mktemp -d /var/tmp/domicile-bench.XXXXXX)
clean_up() {
  stop_postgres
  rm -rf "$folder"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

if start_postgres "$folder" lasting && [ -x "$postgres_bin/pgbench" ]; then
  export DOMICILE_BENCH_POSTGRES="$postgres_url" DOMICILE_BENCH_PGBENCH="$postgres_bin/pgbench"
else
  echo "Without PostgreSQL and its pgbench: P3 and P6 are not measured." >&2
fi
target/measured/domicile-bench run "$@"
