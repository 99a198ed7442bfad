#!/usr/bin/env bash
# Builds pikaproxy and runs all its tests, on Debian 12 from nothing but this directory.
# docs/testing.md says what each of them proves.
#
#   ./test.sh                    everything: some 25 minutes on two cores
#   ./test.sh --quick            without the fuzzers and browsers, and without proof that broken builds are found out
#   ./test.sh --asan | --tsan    unit, integration and consistency tests, built with these sanitizers
#   ./test.sh --fuzz-seconds 60  how long each fuzzer runs (20)
#
# The last line is "N passed, N failed"; the exit code is 1 if anything failed. Complete output of
# every step is in build/log/.

set -uo pipefail
cd "$(dirname "$0")" || exit 2
. .ci/packages.sh

JOBS=2
preset=dev
quick=no
fuzz_seconds=20

usage() {
  sed -n '2,/^$/s/^# \{0,1\}//p' "$0"
}

while [ $# -gt 0 ]; do
  case $1 in
    --quick) quick=yes ;;
    --asan | --tsan)
      if [ "$preset" != dev ]; then
        echo "One sanitizer at a time: --asan or --tsan." >&2
        exit 2
      fi
      preset=${1#--}
      ;;
    --fuzz-seconds)
      shift
      fuzz_seconds=${1:-}
      if ! [[ $fuzz_seconds =~ ^[1-9][0-9]{0,5}$ ]]; then
        echo "--fuzz-seconds wants a number of seconds, 1 to 999999." >&2
        exit 2
      fi
      ;;
    -h | --help)
      usage
      exit 0
      ;;
    *)
      echo "Unknown option $1; --help lists them." >&2
      exit 2
      ;;
  esac
  shift
done

passed=0
failed=0
launched=
logs=build/log
mkdir -p "$logs"
python=/usr/bin/python3
[ -x "$python" ] || python=python3

# Sanitizers of this age cannot cope with the address layouts that recent kernels draw.
fixed_addresses=()
setarch -R true 2>/dev/null && fixed_addresses=(setarch -R)
run_program=()
[ "$preset" = dev ] || run_program=("${fixed_addresses[@]}")

finish() {
  echo "$passed passed, $failed failed"
  [ "$failed" -eq 0 ]
  exit
}

# The steps run in process groups of their own, where Ctrl-C does not reach them.
# shellcheck disable=SC2317 # Called by trap.
interrupted() {
  trap - INT TERM
  local running
  mapfile -t running < <(jobs -p)
  [ ${#running[@]} -gt 0 ] && kill "${running[@]}" 2>/dev/null
  echo "Interrupted."
  exit 130
}
trap interrupted INT TERM

# launch NAME SECONDS COMMAND...: starts it with its output in $logs/NAME.log; it has that much time.
launch() {
  local name=$1 seconds=$2
  shift 2
  timeout -k 10 "$seconds" "$@" >"$logs/$name.log" 2>&1 </dev/null &
  launched=$!
}

# await NAME PID: waits for what launch() started; returns its exit code.
await() {
  local status
  wait "$2"
  status=$?
  [ "$status" -eq 124 ] && echo "Not done in time." >>"$logs/$1.log"
  return "$status"
}

# step NAME SECONDS COMMAND...
step() {
  launch "$@"
  await "$1" "$launched"
}

say() {
  printf '[%4d s] %s\n' "$SECONDS" "$*"
}

# count PASSED FAILED NAME: adds to the sums; shows the end of the log of a step with failures.
count() {
  passed=$((passed + $1))
  failed=$((failed + $2))
  say "$3: $1 passed, $2 failed"
  # The integration tests' output has been shown.
  if [ "$2" -gt 0 ] && [ "$3" != integration ] && [ -s "$logs/$3.log" ]; then
    echo "---- the end of $logs/$3.log"
    tail -n 80 "$logs/$3.log"
    echo "----"
  fi
}

# One check that is a command.
check() {
  if step "$@"; then count 1 0 "$1"; else count 0 1 "$1"; fi
}

# build PRESET: configures and compiles; its failure is one failed check.
build() {
  say "building ($1)"
  # The sub-shell is one process group, so that the time limit ends the compilers too.
  # shellcheck disable=SC2016
  step "build-$1" 2400 bash -c 'cmake --preset "$1" && cmake --build --preset "$1" -j "$2"' build "$1" $JOBS && return
  count 0 1 "build-$1"
  return 1
}

unit_tests() {
  local summary status
  say "unit tests"
  step unit 600 "${run_program[@]}" "build/$preset/tests/pikaproxy_tests" --no-colors
  status=$?
  # [doctest] test cases:  220 |  219 passed | 1 failed | 0 skipped
  summary=$(sed -nE 's/^\[doctest\] test cases: *[0-9]+ \| *([0-9]+) passed \| *([0-9]+) failed.*/\1 \2/p' \
    "$logs/unit.log")
  local good=${summary% *} bad=${summary#* }
  # A crash or a sanitizer's report ends the program after or without a summary.
  [ "$status" -ne 0 ] && [ "${bad:-0}" -eq 0 ] && bad=1
  count "${good:-0}" "${bad:-1}" unit
}

integration_tests() {
  local summary status
  say "integration tests"
  launch integration 1500 "${run_program[@]}" "$python" tests/integration/run.py \
    --pikaproxy "build/$preset/pikaproxy" --build "build/$preset" --timeout 600
  # Shows each file's line when it is there.
  tail -n +1 -f --pid="$launched" "$logs/integration.log" &
  await integration "$launched"
  status=$?
  wait
  summary=$(tail -n 1 "$logs/integration.log" | sed -nE 's/^([0-9]+) passed, ([0-9]+) failed$/\1 \2/p')
  local good=${summary% *} bad=${summary#* }
  [ "$status" -ne 0 ] && [ "${bad:-0}" -eq 0 ] && bad=1
  count "${good:-0}" "${bad:-1}" integration
}

# summed NAME SECONDS COMMAND...: a program whose last line is "N passed, N failed".
summed() {
  local name=$1 summary status
  say "$name"
  step "$@"
  status=$?
  summary=$(tail -n 1 "$logs/$name.log" | sed -nE 's/^([0-9]+) passed, ([0-9]+) failed$/\1 \2/p')
  local good=${summary% *} bad=${summary#* }
  [ "$status" -ne 0 ] && [ "${bad:-0}" -eq 0 ] && bad=1
  count "${good:-0}" "${bad:-1}" "$name"
}

# What clients see through the proxy and of a plain redis-server.
differential_tests() {
  summed differential 240 "${run_program[@]}" "$python" tests/differential/run.py --seed 1 --sequences 60 \
    --pikaproxy "build/$preset/pikaproxy" --seconds 40
}

client_tests() {
  say "client libraries"
  if step clients-npm 300 npm --prefix tests/clients ci --no-progress; then
    summed clients 300 "$python" tests/clients/run.py --pikaproxy "build/$preset/pikaproxy"
  else
    count 0 1 clients-npm
  fi
}

consistency_tests() {
  local mover here=tests/consistency program=build/$preset/pikaproxy
  summed consistency-checker 120 "$python" $here/checker_test.py
  summed consistency-relay 120 "$python" $here/relay_test.py --pikaproxy "$program"
  for mover in migrate copy copy-by-type; do
    summed "consistency-$mover" 600 "${run_program[@]}" "$python" $here/run.py --pikaproxy "$program" \
      --mover $mover --minutes 0.7
  done
  summed late-writes 300 "${run_program[@]}" "$python" $here/late_write_test.py --pikaproxy "$program"
  summed kill-steps 1200 "${run_program[@]}" "$python" $here/kill_steps_test.py --pikaproxy "$program" \
    --points "build/$preset/tests/list_stop_points"
  if [ "$preset" = dev ] && [ "$quick" = no ]; then
    summed consistency-of-broken-builds 1500 "$python" $here/sabotage_test.py --pikaproxy "$program"
  fi
}

# node_tests NAME SECONDS COMMAND...: of "node --test", whose output ends with "# pass N", "# fail N".
node_tests() {
  local name=$1 good bad
  step "$@"
  good=$(sed -nE 's/^# pass ([0-9]+)$/\1/p' "$logs/$name.log")
  bad=$(sed -nE 's/^# fail ([0-9]+)$/\1/p' "$logs/$name.log")
  count "${good:-0}" "${bad:-1}" "$name"
}

web_tests() {
  say "page"
  node_tests web 300 npm --prefix web --silent test
  [ "$quick" = yes ] && return
  say "page, in a browser"
  if step web-browser 300 npm --prefix web/e2e ci --no-progress; then
    PIKAPROXY=build/dev/pikaproxy SHOTS=build/shots \
      node_tests web-browser 900 node --test --test-reporter=tap web/e2e/flows.test.mjs
  else
    count 0 1 web-browser
  fi
}

launch_fuzzer() {
  local name=$1 seeds=tests/fuzz/corpus/${1#fuzz_}
  local found=build/fuzz/corpus/${1#fuzz_}
  mkdir -p "$found"
  [ -d "$seeds" ] || seeds=
  launch "$name" $((fuzz_seconds + 120)) "${fixed_addresses[@]}" "build/fuzz/tests/fuzz/$name" \
    -max_total_time="$fuzz_seconds" -timeout=20 -rss_limit_mb=2048 -print_final_stats=1 \
    -artifact_prefix="build/fuzz/$name-" "$found" ${seeds:+"$seeds"}
}

fuzzers() {
  local program name names=() batch pids at
  build fuzz || return
  for program in build/fuzz/tests/fuzz/fuzz_*; do
    [ -f "$program" ] && [ -x "$program" ] && names+=("${program##*/}")
  done
  say "fuzzers: ${names[*]}, $fuzz_seconds s each"
  while [ ${#names[@]} -gt 0 ]; do
    batch=("${names[@]:0:JOBS}")
    names=("${names[@]:JOBS}")
    pids=()
    for name in "${batch[@]}"; do
      launch_fuzzer "$name"
      pids+=("$launched")
    done
    for at in "${!batch[@]}"; do
      if await "${batch[at]}" "${pids[at]}"; then count 1 0 "${batch[at]}"; else count 0 1 "${batch[at]}"; fi
    done
  done
}

# ---- What is tested ------------------------------------------------------------------------------

packages=("${BUILD_PACKAGES[@]}" openssl redis-server redis-tools nutcracker python3 python3-hiredis python3-jsonschema python3-redis python3-yaml procps)
useful=()
if [ "$preset" = dev ]; then
  packages+=(clang-format)
  # The fonts are for pictures of the page in Chinese.
  [ "$quick" = yes ] || packages+=(clang libclang-rt-14-dev chromium fonts-wqy-microhei)
  useful+=(shellcheck)
  # For promtool, which one unit test asks. Where systemd runs, installing the package would open
  # Prometheus' own port to the network.
  [ -d /run/systemd/system ] || useful+=(prometheus)
fi
say "packages"
if ! install_packages "${packages[@]}"; then
  count 0 1 packages
  finish
fi
if [ ${#useful[@]} -gt 0 ] && ! install_packages "${useful[@]}"; then
  say "going on without: what they check is left out"
fi

build "$preset" || finish
unit_tests
integration_tests
differential_tests
consistency_tests
check check-config 60 "${run_program[@]}" "build/$preset/pikaproxy" --check-config --config conf/pikaproxy.toml
if [ "$preset" = dev ]; then
  mapfile -t sources < <(find common proxy dashboard tests -name '*.cc' -o -name '*.h' | sort)
  # Names the files only; "clang-format -i FILE" puts one right.
  # shellcheck disable=SC2016
  check format 120 bash -c '! clang-format --dry-run "$@" 2>&1 | grep -oE "^[a-z_/]+\.(cc|h):" | sort -u | grep .' format "${sources[@]}"
  command -v shellcheck >/dev/null &&
    check shell-scripts 120 shellcheck -x test.sh quickstart.sh .ci/run .ci/archive .ci/packages.sh
  web_tests
  client_tests
  [ "$quick" = yes ] || fuzzers
fi
finish
