#!/usr/bin/env bash
# Puts the tools that tests and checks need beside Rust into .tools, with pinned versions: a Python environment and buf.
# usage: scripts/tools.sh python|checks   Prints nothing when there is nothing to do.
set -euo pipefail
cd "$(dirname "$0")/.."

# Runs the rest of its words once for the content of a file: again only after that changed.
once() {
  local stamp=.tools/$1.stamp file=$2
  shift 2
  [ -f "$stamp" ] && cmp -s "$stamp" "$file" && return
  mkdir -p .tools
  "$@"
  cp "$file" "$stamp"
}

python_environment() { # folder, requirements
  rm -rf "$1"
  python3 -m venv "$1"
  "$1/bin/pip" install --quiet --disable-pip-version-check --requirement "$2"
}

buf() {
  rm -rf .tools/buf
  mkdir -p .tools/buf
  cp scripts/buf-package.json .tools/buf/package.json
  npm install --prefix .tools/buf --silent --no-fund --no-audit
}

case "${1:-}" in
  python)
    once python tests/python/requirements.txt python_environment .tools/python tests/python/requirements.txt
    ;;
  checks)
    once deny scripts/deny-requirements.txt python_environment .tools/deny scripts/deny-requirements.txt
    once buf scripts/buf-package.json buf
    ;;
  *)
    echo "usage: scripts/tools.sh python|checks" >&2
    exit 2
    ;;
esac
