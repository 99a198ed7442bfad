#!/usr/bin/env bash
# Starts pikaproxy with its dashboard and three Redis servers on this machine, to try it: two groups
# share the slots, a third one is empty, for a first migration.
#
#   ./quickstart.sh            installs what is missing (Debian 12), builds, starts, says what to type
#   ./quickstart.sh --status   whether it runs; the same lines again
#   ./quickstart.sh --stop     ends what it started; the data is gone, the logs stay
#
# Everything listens on 127.0.0.1 only and lives in .run/ beside this script. Run twice, it starts
# nothing twice. Where a port is taken, the next free one is used.

set -uo pipefail
cd "$(dirname "$0")" || exit 2
. .ci/packages.sh

RUN=.run
SERVERS=(redis-1 redis-2 redis-3)
PROGRAM=build/release/pikaproxy

fail() {
  echo "quickstart: $*" >&2
  exit 1
}

# ---- Processes -----------------------------------------------------------------------------------
# .run/NAME.pid has what identifies a process: its id, its start (ticks since boot) and its program.

# identity PID: "start program" of a process; empty if there is none.
identity() {
  local stat fields
  stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 0
  # The name stands in parentheses and may itself hold some; behind it come fields 3, 4 ...
  read -ra fields <<<"${stat##*) }"
  [ "${fields[0]}" = Z ] && return 0
  stat=${stat#*(}
  echo "${fields[19]} ${stat%)*}"
}

# running_pid NAME: the id of the process that we started under that name, if it still runs.
running_pid() {
  local pid id
  read -r pid id 2>/dev/null <"$RUN/$1.pid" || return 1
  [ -n "$pid" ] && [ -n "$id" ] && [ "$(identity "$pid")" = "$id" ] && echo "$pid"
}

all_run() {
  local name
  for name in "${SERVERS[@]}" pikaproxy; do
    running_pid "$name" >/dev/null || return 1
  done
}

# start NAME COMMAND...: in the background, with its output in .run/NAME.log.
start() {
  local name=$1
  shift
  # A session of its own: it outlives this script and its terminal. 9 is the lock.
  setsid "$@" >"$RUN/$name.log" 2>&1 </dev/null 9>&- &
  local pid=$! id deadline=$((SECONDS + 5))
  # Until it has become the program, its name is still that of this script.
  id=$(identity "$pid")
  while [ -n "$id" ] && [ "${id#* }" != "${1##*/}" ] && [ $SECONDS -lt $deadline ]; do
    sleep 0.05
    id=$(identity "$pid")
  done
  echo "$pid $id" >"$RUN/$name.pid"
}

# stop NAME: ends it if it runs.
stop() {
  local pid deadline=$((SECONDS + 15))
  if pid=$(running_pid "$1"); then
    kill "$pid" 2>/dev/null
    while running_pid "$1" >/dev/null && [ $SECONDS -lt $deadline ]; do sleep 0.1; done
    running_pid "$1" >/dev/null && kill -9 "$pid" 2>/dev/null
    echo "Ended $1 (process $pid)."
  fi
  rm -f "$RUN/$1.pid"
}

stop_all() {
  local name
  for name in pikaproxy "${SERVERS[@]}"; do stop "$name"; done
}

# ---- Ports ---------------------------------------------------------------------------------------

port_is_taken() {
  # State 0A: somebody listens.
  grep -qE "^ *[0-9]+: [0-9A-F]+:$(printf %04X "$1") [0-9A-F]+:0000 0A " /proc/net/tcp /proc/net/tcp6 2>/dev/null
}

# free_port FIRST LAST STEP: the first one that nobody listens on.
free_port() {
  local port
  for ((port = $1; port <= $2; port += $3)); do
    port_is_taken "$port" || { echo "$port"; return; }
  done
  return 1
}

# Sets `ports` (of the servers), `proxy_port` and `admin_port`.
choose_ports() {
  local next=7201 port
  ports=()
  for _ in "${SERVERS[@]}"; do
    port=$(free_port "$next" 7299 1) || fail "all ports from 7201 to 7299 are taken: free three of them."
    ports+=("$port")
    next=$((port + 1))
  done
  proxy_port=$(free_port 19000 19090 10) || fail "ports 19000, 19010 ... 19090 are all taken: free one of them."
  admin_port=$(free_port 19001 19091 10) || fail "ports 19001, 19011 ... 19091 are all taken: free one of them."
  [ "$proxy_port" = 19000 ] || echo "Port 19000 is taken; using $proxy_port."
  [ "$admin_port" = 19001 ] || echo "Port 19001 is taken; using $admin_port."
}

# ---- Steps ---------------------------------------------------------------------------------------

build() {
  local log=$RUN/build.log
  echo "Building $PROGRAM (some minutes the first time; output in $log)"
  if ! { cmake --preset release && cmake --build --preset release --target pikaproxy -j 2; } >"$log" 2>&1 </dev/null; then
    tail -n 30 "$log" >&2
    fail "the build failed; its complete output is in $log."
  fi
}

write_config() {
  {
    echo "# Written by quickstart.sh at each start. conf/pikaproxy.toml describes all options. Groups and"
    echo "# slots are not here: the dashboard keeps them, and the API changes them."
    echo
    echo "[proxy]"
    echo "listen = [\"127.0.0.1:$proxy_port\"]"
    echo
    echo "[admin]"
    echo "listen = \"127.0.0.1:$admin_port\""
    echo
    echo "[dashboard]"
    echo "data_dir = \"$RUN/data\""
  } >"$RUN/pikaproxy.toml"
}

# ---- The API -------------------------------------------------------------------------------------

# field NAME: of the JSON on standard input, the first text or number of that name.
field() {
  sed -nE 's/.*"'"$1"'":"?([^",}]*).*/\1/p' | head -n 1
}

# Sets `api_headers`: a token for scripts, made with the first password and kept in .run/token.
make_token() {
  local url=http://127.0.0.1:$admin_port/api/v1 csrf
  rm -f "$RUN/cookies"
  csrf=$(printf '{"username": "admin", "password": "%s"}' "$(cat "$RUN/data/admin-password")" |
    curl -fsS -m 10 -c "$RUN/cookies" -H 'Content-Type: application/json' -d @- "$url/auth/login" |
    field csrf_token)
  (umask 077 && curl -fsS -m 10 -b "$RUN/cookies" -H "X-CSRF-Token: $csrf" -H 'Content-Type: application/json' \
    -d '{"name": "quickstart", "role": "admin"}' "$url/tokens" | field token >"$RUN/token")
  rm -f "$RUN/cookies"
  [ -s "$RUN/token" ] || fail "the API gave no token; the log is $RUN/pikaproxy.log."
}

# api METHOD PATH [BODY]: prints the answer; fails with it if the API refuses.
api() {
  local answer
  answer=$(curl -sS -m 30 --fail-with-body -X "$1" -H @- -H 'Content-Type: application/json' \
    ${3:+-d "$3"} "http://127.0.0.1:$admin_port/api/v1$2" <<<"Authorization: Bearer $(cat "$RUN/token")") ||
    fail "$1 $2: $answer"
  echo "$answer"
}

topology_version() {
  api GET /cluster | field topology_version
}

# Three groups; the slots are shared by the first two.
create_cluster() {
  local i
  make_token
  for i in "${!SERVERS[@]}"; do
    api POST /groups "{\"id\": $((i + 1)), \"servers\": [\"127.0.0.1:${ports[i]}\"],
      \"topology_version\": $(topology_version)}" >/dev/null
    echo "Created group $((i + 1)) with server 127.0.0.1:${ports[i]}"
  done
  api PUT /slots/assignment "{\"ranges\": [{\"from\": 0, \"to\": 511, \"group_id\": 1},
      {\"from\": 512, \"to\": 1023, \"group_id\": 2}], \"topology_version\": $(topology_version)}" >/dev/null
  echo "Gave slots 0-511 to group 1, slots 512-1023 to group 2"
}

# wait_for NAME SECONDS COMMAND...: until the command succeeds; fails if NAME ends before.
wait_for() {
  local name=$1 deadline=$((SECONDS + $2))
  shift 2
  until "$@" >/dev/null 2>&1; do
    if ! running_pid "$name" >/dev/null || [ $SECONDS -ge $deadline ]; then
      tail -n 20 "$RUN/$name.log" >&2
      stop_all >&2
      fail "$name did not start; the end of $RUN/$name.log stands above."
    fi
    sleep 0.1
  done
}

start_all() {
  local i name
  choose_ports
  write_config
  for i in "${!SERVERS[@]}"; do
    name=${SERVERS[i]}
    mkdir -p "$RUN/$name"
    start "$name" redis-server --port "${ports[i]}" --bind 127.0.0.1 --dir "$RUN/$name" \
      --save '' --appendonly no --daemonize no
  done
  for i in "${!SERVERS[@]}"; do
    wait_for "${SERVERS[i]}" 20 redis-cli -p "${ports[i]}" ping
    echo "Started ${SERVERS[i]} on port ${ports[i]}"
  done
  echo "ports=(${ports[*]}) proxy_port=$proxy_port admin_port=$admin_port" >"$RUN/ports"
  # The servers are empty, so what an earlier start knew of them is wrong.
  rm -rf "$RUN/data"
  start pikaproxy "$PROGRAM" --config "$RUN/pikaproxy.toml"
  wait_for pikaproxy 20 curl -fs -m 2 "http://127.0.0.1:$admin_port/healthz"
  create_cluster
  wait_for pikaproxy 20 curl -fs -m 2 "http://127.0.0.1:$admin_port/readyz"
}

print_hints() {
  # shellcheck source=/dev/null
  . "$RUN/ports"
  local password
  password=$(cat "$RUN/data/admin-password" 2>/dev/null)
  cat <<END

pikaproxy is ready on 127.0.0.1:$proxy_port, its servers are on ports ${ports[*]}. Try:

  redis-cli -p $proxy_port MSET apple 1 plum 2 mango 3      # one command, two servers
  redis-cli -p $proxy_port MGET apple plum mango
  redis-cli -p ${ports[0]} KEYS '*'                         # what lies on the first of them

The dashboard is http://127.0.0.1:$admin_port/ (user admin, password ${password:-as you changed it}${password:+, to be changed at once}).
The same with curl: how the cluster does, then slots 0-255 from group 1 to the empty group 3, while
clients go on working:

  A=http://127.0.0.1:$admin_port/api/v1
  T="Authorization: Bearer \$(cat $RUN/token)"
  J='Content-Type: application/json'
  curl -H "\$T" \$A/cluster
  V=\$(curl -s -H "\$T" \$A/cluster | sed 's/.*"topology_version":\\([0-9]*\\).*/\\1/')
  curl -H "\$T" -H "\$J" -d '{"ranges":[{"from":0,"to":255}],"target_group":3,"topology_version":'\$V'}' \$A/migrations
  curl -H "\$T" \$A/migrations
  curl -H "\$T" "\$A/slots?view=ranges"

docs/operations.md goes on from there. Metrics: http://127.0.0.1:$admin_port/metrics
Its configuration is $RUN/pikaproxy.toml, its log $RUN/pikaproxy.log.
To end it: ./quickstart.sh --stop
END
}

# ---- What was asked ------------------------------------------------------------------------------

case ${1:-} in
  '' | --stop | --status) ;;
  -h | --help)
    sed -n '2,/^$/s/^# \{0,1\}//p' "$0"
    exit 0
    ;;
  *) fail "unknown option $1; there are --stop, --status and --help." ;;
esac

[ -r /proc/self/stat ] || fail "this script needs Linux (/proc)."
mkdir -p "$RUN" || exit 1
exec 9>"$RUN/lock"
flock -n 9 || fail "another ./quickstart.sh is at work here; wait for it to end."

if [ "${1:-}" = --stop ]; then
  ended=$(stop_all)
  echo "${ended:-Nothing runs that this script started.}"
elif all_run; then
  echo "It already runs."
  print_hints
elif [ "${1:-}" = --status ]; then
  echo "It does not run."
  exit 1
else
  stop_all # What is left of an earlier start.
  install_packages "${BUILD_PACKAGES[@]}" redis-server redis-tools curl || exit 1
  build
  start_all
  print_hints
fi
