# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# lib.sh - what bench.sh and instructions.sh share: servers, and fields of reports. To be sourced.
#
# A server is started on port 0, known by a name, and ended by its process id; PID[name] and
# PORT[name] say where it is. All that is still running ends with the script. $WORK is a directory
# that ends with it too.

# shellcheck disable=SC2034 # for those who source this
BINARY=$(realpath -m "${ARTEMIS_BINARY:-build/artemis}")
PROGRAMS=$(realpath -m "${BENCH_DIR:-build/release/bench}")
WORK=$(mktemp -d)
declare -A PID PORT URL

say() { echo "$(basename "$0"): $*" >&2; }

# calc FORMAT EXPRESSION
calc() { awk "BEGIN { printf \"$1\", $2 }"; }

# field NAME...: their values, of the "name=value ..." on stdin, a line each.
field() {
    local line name word
    read -r line
    for name in "$@"; do
        for word in $line; do
            [ "${word%%=*}" != "$name" ] || echo "${word#*=}"
        done
    done
}

# needs TOOL...: says what to install when one is missing. Each is a Debian package of that name.
needs() {
    local tool missing=""
    for tool in "$@"; do
        command -v "$tool" >/dev/null || missing+=" $tool"
    done
    [ -z "$missing" ] && return 0
    say "missing:$missing; install with: sudo apt-get install$missing"
    exit 2
}

# needs_built FILE...
needs_built() {
    local file
    for file in "$@"; do
        [ -x "$file" ] && continue
        say "$file is not built; \`make bench\` builds it"
        exit 2
    done
}

# stop NAME: gladly also one that does not run.
stop() {
    local pid=${PID[$1]:-} tries
    [ -n "$pid" ] || return 0
    unset "PID[$1]"
    kill "$pid" 2>/dev/null
    for ((tries = 0; tries < 200; tries++)); do
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.05
    done
    kill -KILL "$pid" 2>/dev/null && say "$1 (process $pid) did not end within 10 s of SIGTERM"
    wait "$pid" 2>/dev/null
}

cleanup() {
    local name
    for name in "${!PID[@]}"; do stop "$name"; done
    # shellcheck disable=SC2046 # process ids
    kill $(jobs -p) 2>/dev/null # a background measurement
    rm -rf "$WORK"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# serve NAME COMMAND...: starts it in $WORK, and waits until it is ready.
serve() {
    local name=$1 log=$WORK/$1.log deadline=$((SECONDS + 60)) port
    shift
    : >"$log"
    (cd "$WORK" && exec "$@") >"$log" 2>&1 &
    PID[$name]=$!
    while kill -0 "${PID[$name]}" 2>/dev/null && [ $SECONDS -lt $deadline ]; do
        port=$(sed -n 's/.*[Ll]isten[a-z]* on 127\.0\.0\.1:\([1-9][0-9]*\).*/\1/p' "$log" | head -1)
        if [ -n "$port" ] && { curl -sf -o "$WORK/ready" "http://127.0.0.1:$port/ready" ||
            curl -skf -o "$WORK/ready" "https://127.0.0.1:$port/ready"; }; then
            PORT[$name]=$port URL[$name]=http://127.0.0.1:$port
            return 0
        fi
        sleep 0.02
    done
    say "$name did not start; it printed:"
    head -20 "$log" >&2
    stop "$name"
    return 1
}

# fill NAME COUNT [PER_SERVICE [OPTION...]]: registers so many instances, 10 a service.
fill() {
    local to=(--port "${PORT[$1]}") report
    report=$("$PROGRAMS/fill" "${to[@]}" --count "$2" --instances-per-service "${3:-10}" \
        "${@:4}") || return
    say "registered: $report"
}

# response_of NAME heartbeat|discovery: one answer for instance 700 or its service, headers and all.
response_of() {
    local base=http://127.0.0.1:${PORT[$1]} service=bench-000070 place key
    local token=(${BENCH_TOKEN:+-H "Authorization: Bearer $BENCH_TOKEN"})
    if [ "$2" = discovery ]; then
        curl -si "${token[@]}" "$base/api/discovery/service?service_id=$service"
        return
    fi
    place='"region_id":"local","zone_id":"zone1"'
    key="{$place,\"service_id\":\"$service\",\"instance_id\":\"i-000000700\"}"
    curl -si "${token[@]}" -H 'Content-Type: application/json' -d "{\"instance_keys\":[$key]}" \
        "$base/api/registry/heartbeat"
}
