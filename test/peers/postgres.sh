#!/usr/bin/env bash
# A throw-away PostgreSQL for the storage tests. Its files lie in a temp directory, it listens on a free loopback port.
#
#   url=$(test/peers/postgres.sh start)     prints postgres://…; state in $TMPDIR/trunkline-postgres.<port>
#   test/peers/postgres.sh stop "$url"      ends that server by its pid and removes its files
#   test/peers/postgres.sh run CMD…         runs CMD with TEST_DATABASE_URL set, then stops the server
set -euo pipefail

base=${TMPDIR:-/tmp}
bin=$(find /usr/lib/postgresql -maxdepth 2 -name bin -type d 2>/dev/null | sort -V | tail -1)
[ -n "$bin" ] || { echo "PostgreSQL is not installed (test/peers/install.sh)" >&2; exit 3; }

# PostgreSQL refuses to run as root.
as_postgres() {
  if [ "$(id -u)" = 0 ]; then (cd / && runuser -u postgres -- "$@"); else "$@"; fi
}

start() {
  local port dir
  port=$(node -e 'const s=require("net").createServer().listen(0,"127.0.0.1",()=>{console.log(s.address().port);s.close()})')
  dir=$base/trunkline-postgres.$port
  mkdir -m 700 "$dir"
  [ "$(id -u)" != 0 ] || chown postgres "$dir"
  as_postgres "$bin/initdb" -D "$dir/data" -U postgres -A trust -E UTF8 --no-sync >"$base/trunkline-postgres.$port.log" 2>&1
  as_postgres "$bin/pg_ctl" -D "$dir/data" -w -t 30 -l "$dir/log" \
    -o "-c listen_addresses=127.0.0.1 -c port=$port -c unix_socket_directories=$dir" start >&2
  echo "postgres://postgres@127.0.0.1:$port/postgres"
}

stop() {
  local port dir
  port=$(sed -E 's#.*:([0-9]+)/.*#\1#' <<<"$1")
  dir=$base/trunkline-postgres.$port
  # pg_ctl signals the pid in postmaster.pid of this directory and no other.
  as_postgres "$bin/pg_ctl" -D "$dir/data" -m immediate -w -t 15 stop >&2
  rm -rf "$dir" "$base/trunkline-postgres.$port.log"
}

case ${1:-} in
  start) start ;;
  stop) stop "$2" ;;
  run)
    shift
    url=$(start)
    trap 'stop "$url"' EXIT
    TEST_DATABASE_URL=$url "$@"
    ;;
  *) sed -n '2,6p' "$0" >&2; exit 2 ;;
esac
