#!/usr/bin/env bash
# Runs all tests on everything that can be had: a private PostgreSQL and a Python with a mail server and gRPC are started or
# installed here, and end with the run. What cannot be had is named at the end; with DOMICILE_TEST_ALL=1 that is a failure.
# usage: scripts/test.sh [arguments of cargo test]
set -uo pipefail
cd "$(dirname "$0")/.."

folder=$(mktemp -d)
skipped=()
postgres=""

clean_up() {
  [ -n "$postgres" ] && as_postgres "$postgres/pg_ctl" -D "$folder/data" -m immediate stop >"$folder/stop.log" 2>&1
  [ -n "${container:-}" ] && "$engine" rm --force "$container" >/dev/null
  rm -rf "$folder"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

as_postgres() { # PostgreSQL refuses to run as root
  if [ "$(id -u)" = 0 ]; then
    runuser -u "$(id -un postgres 2>/dev/null || echo nobody)" -- "$@"
  else
    "$@"
  fi
}

binaries() { # the folder that holds initdb, if there is one
  local candidate
  for candidate in "$(pg_config --bindir 2>/dev/null)" /usr/lib/postgresql/*/bin /usr/pgsql-*/bin \
    /opt/homebrew/opt/postgresql*/bin /usr/local/opt/postgresql*/bin; do
    [ -x "$candidate/initdb" ] && [ -x "$candidate/pg_ctl" ] && { echo "$candidate"; return; }
  done
  candidate=$(command -v initdb) && dirname "$candidate"
}

free_port() {
  local port
  while :; do
    port=$((20000 + RANDOM % 20000))
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return; }
  done
}

start_binaries() {
  local port password
  password=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
  chmod 711 "$folder"
  mkdir "$folder/data" "$folder/socket"
  echo "$password" >"$folder/password"
  [ "$(id -u)" = 0 ] && chown "$(id -un postgres 2>/dev/null || echo nobody)" "$folder/data" "$folder/socket" "$folder/password"
  as_postgres "$1/initdb" -D "$folder/data" -U postgres -A scram-sha-256 --pwfile="$folder/password" -E UTF8 \
    --locale=C >"$folder/initdb.log" 2>&1 || { tail -n 3 "$folder/initdb.log" >&2; return 1; }
  port=$(free_port)
  # The data ends with the run, so nothing is lost by not waiting for the disk.
  as_postgres "$1/pg_ctl" -D "$folder/data" -l "$folder/data/log" -w start -o "-p $port -c listen_addresses=127.0.0.1 \
    -c unix_socket_directories=$folder/socket -c fsync=off -c max_connections=300" >"$folder/start.log" 2>&1 ||
    { tail -n 3 "$folder/start.log" >&2; return 1; }
  postgres=$1
  export DOMICILE_TEST_POSTGRES="postgres://postgres:$password@127.0.0.1:$port/postgres"
  used="PostgreSQL from $1"
}

start_container() {
  local port password name
  for engine in docker podman; do
    "$engine" info >/dev/null 2>&1 || continue
    password=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
    port=$(free_port)
    name="domicile-test-$$"
    "$engine" run --detach --rm --name "$name" --env POSTGRES_PASSWORD="$password" --publish "127.0.0.1:$port:5432" \
      postgres:17 -c fsync=off -c max_connections=300 >/dev/null || continue
    container=$name
    until "$engine" exec "$name" pg_isready --host 127.0.0.1 --quiet; do sleep 0.2; done
    export DOMICILE_TEST_POSTGRES="postgres://postgres:$password@127.0.0.1:$port/postgres"
    used="PostgreSQL 17 in a container of $engine"
    return 0
  done
  return 1
}

install_packages() {
  [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 1
  echo "Installing PostgreSQL from the system's packages ..." >&2
  { apt-get update --quiet && DEBIAN_FRONTEND=noninteractive apt-get install --quiet --yes --no-install-recommends \
    postgresql; } >"$folder/apt.log" 2>&1
}

start_postgres() {
  local found
  found=$(binaries)
  [ -n "$found" ] && { start_binaries "$found"; return; }
  start_container && return
  install_packages && found=$(binaries) && [ -n "$found" ] && start_binaries "$found"
}

used=""
start_postgres || skipped+=("PostgreSQL (no server binaries, no container engine, no system packages)")
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
