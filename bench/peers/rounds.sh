# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# rounds.sh - rounds of load for two servers in turn, with medians. compare.sh and builds.sh source
# it after bench/lib.sh. A server has a name; TO[name] is its URL, OF[name] its process, AS[name]
# whose requests of peers.lua it gets, and NEXT[name] the next instance to be registered.

ROUNDS=${ROUNDS:-5}           # per operation; medians are printed
ROUND_SECS=${ROUND_SECS:-4}   # of each server
FILL_SECS=${FILL_SECS:-60}    # of wrk, which does not end before its time
CONNECTIONS=${CONNECTIONS:-32}
CLIENT_CPUS=1-$(($(nproc) - 1))
declare -A TO OF AS NEXT

# serve_alone NAME BINARY: Artemis with one web thread on core 0.
serve_alone() {
    serve "$1" taskset -c 0 "$2" server --addr 127.0.0.1:0 --set server.threads=1 \
        --set ratelimit.enabled=false --set lease.ttl_secs=3600 || exit 1
    TO[$1]=${URL[$1]} OF[$1]=${PID[$1]} AS[$1]=artemis NEXT[$1]=100000
}

# cpu_us PID: user and system time of all its threads so far.
cpu_us() {
    sed 's/.*) //' "/proc/$1/stat" |
        awk -v tick="$(getconf CLK_TCK)" '{ printf "%d\n", ($12 + $13) * 1000000 / tick }'
}

# load NAME OPERATION SECS [FIRST]: prints wrk's line of numbers.
load() {
    taskset -c "$CLIENT_CPUS" wrk -t1 -c"$CONNECTIONS" -d"${3}s" -s bench/peers/peers.lua \
        "${TO[$1]}" -- "${AS[$1]}" "$2" "${4:-0}" | grep '^requests=' ||
        { say "wrk failed against $1"; exit 1; }
}

# check NAME OPERATION LINE: nothing is measured of a server that refuses requests.
check() {
    local bad
    bad=$(($(field errors <<<"$3") + $(field refused <<<"$3")))
    [ "$bad" -eq 0 ] && return
    say "$1 refused or lost $bad of $(field requests <<<"$3") requests of $2"
    exit 1
}

# fill_each NAME...
fill_each() {
    local name
    for name in "$@"; do
        check "$name" fill "$(load "$name" fill "$FILL_SECS")"
    done
}

# measure NAME OPERATION: one round: CPU us per request, requests a second, p99 in ms.
measure() {
    local line before after requests
    before=$(cpu_us "${OF[$1]}")
    line=$(load "$1" "$2" "$ROUND_SECS" "${NEXT[$1]}")
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

print_header() { # NAME NAME
    printf '%-13s %9s %9s %8s  %10s %10s  %8s %8s\n' "" "CPU us" "CPU us" "CPU" "requests/s" \
        "requests/s" "p99 ms" "p99 ms"
    printf '%-13s %9s %9s %8s  %10s %10s  %8s %8s\n' operation "$1" "$2" ratio "$1" "$2" "$1" "$2"
}

# take_turns OPERATION NAME NAME: the rounds, and a line of the table.
take_turns() {
    local operation=$1 round name first second
    for ((round = 1; round <= ROUNDS; round++)); do
        for name in "$2" "$3"; do measure "$name" "$operation"; done
    done
    read -ra first <<<"$(medians "$WORK/$2.$operation")"
    read -ra second <<<"$(medians "$WORK/$3.$operation")"
    printf '%-13s %9s %9s %8s  %10s %10s  %8s %8s\n' "$operation" "${first[0]}" "${second[0]}" \
        "$(calc '%.2f' "${first[0]} / ${second[0]}")" "${first[1]}" "${second[1]}" "${first[2]}" \
        "${second[2]}"
}
