#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# compare.sh SERVER URL PID - compares a running server with Artemis: CPU and time per request.
#
# SERVER is rust (Artemis in Rust), eureka, nacos or etcd. Start it yourself, alone on this machine
# and with its default settings; PID is its process. The script starts Artemis with one web thread,
# puts both on core 0 and wrk on the other cores, fills both with 10,000 instances in 1,000
# services, and loads them by turns. CPU is user and system time of the whole process.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit 2
. bench/lib.sh

ROUNDS=${ROUNDS:-5}           # per operation; medians are printed
ROUND_SECS=${ROUND_SECS:-4}   # of each server
WARM_SECS=${WARM_SECS:-10}    # before an operation, of the other server: a JVM compiles meanwhile
CONNECTIONS=${CONNECTIONS:-32}
CLIENT_CPUS=1-$(($(nproc) - 1))

usage() {
    sed -n '4,9s/^# \{0,1\}//p' "$0" >&2
    exit 2
}
[ $# -eq 3 ] || usage
SERVER=$1 PEER_URL=${2%/} PEER_PID=$3
case $SERVER in rust | eureka | nacos | etcd) ;; *) usage ;; esac
needs wrk curl taskset
needs_built "$BINARY"
[ "$(nproc)" -ge 2 ] || { say "needs two cores: one for the servers, one for wrk"; exit 2; }
kill -0 "$PEER_PID" 2>/dev/null || { say "no process $PEER_PID"; exit 2; }

# cpu_us PID: user and system time of all its threads so far.
cpu_us() {
    sed 's/.*) //' "/proc/$1/stat" |
        awk -v tick="$(getconf CLK_TCK)" '{ printf "%d\n", ($12 + $13) * 1000000 / tick }'
}

# load NAME URL OPERATION SECS [FIRST]: prints wrk's line of numbers.
load() {
    taskset -c "$CLIENT_CPUS" wrk -t1 -c"$CONNECTIONS" -d"${4}s" -s bench/peers/peers.lua "$2" -- \
        "$1" "$3" "${5:-0}" | grep '^requests=' || { say "wrk failed against $2"; exit 1; }
}

# check NAME OPERATION LINE: nothing is measured of a server that refuses requests.
check() {
    local bad
    bad=$(($(field errors <<<"$3") + $(field refused <<<"$3")))
    [ "$bad" -eq 0 ] && return
    say "$1 refused or lost $bad of $(field requests <<<"$3") requests of $2"
    exit 1
}

fill_both() {
    local name
    for name in "$SERVER" artemis; do
        check "$name" fill "$(load "$name" "${TO[$name]}" fill 60)"
    done
}

# measure NAME OPERATION: one round: CPU us per request, requests a second, p99 in ms.
measure() {
    local line before after requests
    before=$(cpu_us "${OF[$1]}")
    line=$(load "$1" "${TO[$1]}" "$2" "$ROUND_SECS" "${NEXT[$1]}")
    after=$(cpu_us "${OF[$1]}")
    check "$1" "$2" "$line"
    requests=$(field requests <<<"$line")
    [ "$2" != register ] || NEXT[$1]=$((${NEXT[$1]} + 2 * requests + 1000))
    calc '%.2f %.0f %.2f\n' "($after - $before) / $requests, \
        $requests * 1000000 / $(field duration_us <<<"$line"), $(field p99_us <<<"$line") / 1000" \
        >>"$WORK/$1.$2"
}

medians() { # FILE: the median of each column
    local column
    for column in 1 2 3; do
        cut -d' ' -f$column "$1" | sort -n | sed -n "$((ROUNDS / 2 + 1))p"
    done | paste -sd' '
}

compare() { # OPERATION
    local operation=$1 round name theirs ours
    fill_both
    say "$operation: warming up"
    load "$SERVER" "$PEER_URL" "$operation" "$WARM_SECS" 50000000 >"$WORK/warm"
    for ((round = 1; round <= ROUNDS; round++)); do
        for name in "$SERVER" artemis; do measure "$name" "$operation"; done
    done
    read -ra theirs <<<"$(medians "$WORK/$SERVER.$operation")"
    read -ra ours <<<"$(medians "$WORK/artemis.$operation")"
    printf '%-13s %9s %9s %8s  %10s %10s  %8s %8s\n' "$operation" "${theirs[0]}" "${ours[0]}" \
        "$(calc '%.1f' "${theirs[0]} / ${ours[0]}")" "${theirs[1]}" "${ours[1]}" "${theirs[2]}" \
        "${ours[2]}"
}

serve artemis taskset -c 0 "$BINARY" server --addr 127.0.0.1:0 --set server.threads=1 \
    --set ratelimit.enabled=false --set lease.ttl_secs=600 || exit 1
declare -A TO=([$SERVER]=$PEER_URL [artemis]=${URL[artemis]})
declare -A OF=([$SERVER]=$PEER_PID [artemis]=${PID[artemis]})
declare -A NEXT=([$SERVER]=100000 [artemis]=100000)
taskset -apc 0 "$PEER_PID" >/dev/null || exit 1

printf '%-13s %9s %9s %8s  %10s %10s  %8s %8s\n' "" "CPU us" "CPU us" "CPU" "requests/s" \
    "requests/s" "p99 ms" "p99 ms"
printf '%-13s %9s %9s %8s  %10s %10s  %8s %8s\n' operation "$SERVER" artemis ratio "$SERVER" \
    artemis "$SERVER" artemis
[ "$SERVER" != etcd ] || check etcd lease "$(load etcd "$PEER_URL" lease 60)"
for operation in heartbeat discovery heartbeat100 register; do
    case $SERVER:$operation in rust:* | *:heartbeat | *:discovery | *:register) ;; *) continue ;; esac
    compare "$operation"
done
