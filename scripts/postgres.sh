# A private PostgreSQL for tests and benchmarks, from installed binaries, a container engine or the system's packages. It
# ends with the run. To be read by other scripts: `source scripts/postgres.sh`.
#
#   start_postgres FOLDER passing|lasting    sets postgres_url, postgres_bin and postgres_used; false if there is none
#   stop_postgres                            ends it
#
# `passing` does not wait for the disk, since the data ends with the run; `lasting` is as durable as a real one.

postgres_url=""
postgres_bin=""
postgres_used=""
postgres_container=""

as_postgres() { # PostgreSQL refuses to run as root
  if [ "$(id -u)" = 0 ]; then
    runuser -u "$(id -un postgres 2>/dev/null || echo nobody)" -- "$@"
  else
    "$@"
  fi
}

postgres_binaries() { # the folder that holds initdb, if there is one
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

postgres_settings() { # passing|lasting
  case "$1" in
    passing) echo "-c fsync=off -c max_connections=300" ;;
    lasting) echo "-c fsync=on -c synchronous_commit=on -c full_page_writes=on -c max_connections=300 -c shared_buffers=1GB \
      -c max_wal_size=8GB -c checkpoint_timeout=30min" ;;
  esac
}

start_postgres_binaries() { # binaries, folder, passing|lasting
  local port password folder=$2
  password=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
  chmod 711 "$folder"
  mkdir "$folder/data" "$folder/socket"
  echo "$password" >"$folder/password"
  [ "$(id -u)" = 0 ] && chown "$(id -un postgres 2>/dev/null || echo nobody)" "$folder/data" "$folder/socket" "$folder/password"
  as_postgres "$1/initdb" -D "$folder/data" -U postgres -A scram-sha-256 --pwfile="$folder/password" -E UTF8 \
    --locale=C >"$folder/initdb.log" 2>&1 || { tail -n 3 "$folder/initdb.log" >&2; return 1; }
  port=$(free_port)
  as_postgres "$1/pg_ctl" -D "$folder/data" -l "$folder/data/log" -w start -o "-p $port -c listen_addresses=127.0.0.1 \
    -c unix_socket_directories=$folder/socket $(postgres_settings "$3")" >"$folder/start.log" 2>&1 ||
    { tail -n 3 "$folder/start.log" >&2; return 1; }
  postgres_bin=$1
  postgres_data=$folder/data
  postgres_url="postgres://postgres:$password@127.0.0.1:$port/postgres"
  postgres_used="PostgreSQL from $1"
}

start_postgres_container() { # passing|lasting
  local port password name
  for postgres_engine in docker podman; do
    "$postgres_engine" info >/dev/null 2>&1 || continue
    password=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
    port=$(free_port)
    name="domicile-$$"
    # shellcheck disable=SC2046
    "$postgres_engine" run --detach --rm --name "$name" --env POSTGRES_PASSWORD="$password" --publish "127.0.0.1:$port:5432" \
      postgres:17 $(postgres_settings "$1") >/dev/null || continue
    postgres_container=$name
    until "$postgres_engine" exec "$name" pg_isready --host 127.0.0.1 --quiet; do
      # It ends by itself when it cannot start, and is removed then.
      "$postgres_engine" inspect "$name" >/dev/null 2>&1 || { postgres_container=""; continue 2; }
      sleep 0.2
    done
    postgres_url="postgres://postgres:$password@127.0.0.1:$port/postgres"
    postgres_used="PostgreSQL 17 in a container of $postgres_engine"
    return 0
  done
  return 1
}

install_postgres() { # folder
  [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 1
  echo "Installing PostgreSQL from the system's packages ..." >&2
  { apt-get update --quiet && DEBIAN_FRONTEND=noninteractive apt-get install --quiet --yes --no-install-recommends \
    postgresql; } >"$1/apt.log" 2>&1
}

start_postgres() { # folder, passing|lasting
  local found
  found=$(postgres_binaries)
  if [ -n "$found" ]; then
    start_postgres_binaries "$found" "$1" "$2" && return
    echo "The installed PostgreSQL ($found) does not start; trying a container." >&2
    start_postgres_container "$2"
    return
  fi
  start_postgres_container "$2" && return
  install_postgres "$1" && found=$(postgres_binaries) && [ -n "$found" ] && start_postgres_binaries "$found" "$1" "$2"
}

stop_postgres() {
  [ -n "$postgres_bin" ] && as_postgres "$postgres_bin/pg_ctl" -D "$postgres_data" -m immediate stop >/dev/null 2>&1
  [ -n "$postgres_container" ] && "$postgres_engine" rm --force "$postgres_container" >/dev/null
  return 0
}
