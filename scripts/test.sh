#!/usr/bin/env bash
# Runs all tests on everything that can be had: a private PostgreSQL and a Python with a mail server and gRPC are started or
# installed here, and end with the run. What cannot be had is named at the end; with DOMICILE_TEST_ALL=1 that is a failure.
# usage: scripts/test.sh [arguments of cargo test]
set -uo pipefail
cd "$(dirname "$0")/.."

folder=$(mktemp -d)
skipped=()
source scripts/postgres.sh

clean_up() {
  stop_postgres
  rm -rf "$folder"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

used=""
if start_postgres "$folder" passing; then
  export DOMICILE_TEST_POSTGRES="$postgres_url"
  used=$postgres_used
  [ -n "$postgres_container" ] && skipped+=("a database that stands still (its PostgreSQL must be installed, not in a container)")
else
  skipped+=("PostgreSQL (no server binaries that start, no container engine, no system packages)")
fi
if python=$(scripts/tools.sh python 2>&1); then
  export DOMICILE_TEST_PYTHON="$PWD/.tools/python/bin/python"
  used="${used:+$used; }Python from .tools/python"
else
  skipped+=("the mail server and the Python client (no python3 with venv, or its packages cannot be had: ${python##*$'\n'})")
fi
echo "Tests use SQLite${used:+; $used}."
if [ "${DOMICILE_TEST_ALL:-}" = 1 ] && [ "${#skipped[@]}" -gt 0 ]; then
  printf 'Missing: %s\n' "${skipped[@]}" >&2
  exit 1
fi

cargo test --workspace --all-features --locked "$@"
outcome=$?
for name in "${skipped[@]+"${skipped[@]}"}"; do
  echo "SKIPPED: every test on $name"
done
exit "$outcome"
