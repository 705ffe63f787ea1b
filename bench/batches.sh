# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# batches.sh - what one core does with batches. To be sourced by bench.sh.
#
# The server has one web thread and runs on the first core, the client on the last. A row divides
# items by the CPU time of the server, kernel included, so the speed of the client does not count. With
# several connections, the server does not wait for a client between two requests: going to sleep, and
# waking the client, cost more than what is to be measured.

BATCH_ROUNDS=9
BATCH_SECS=2
BATCH_CONNECTIONS=16
BATCH_ITEMS=100
BATCH_REGISTERED=1000000
PEER_MESSAGES=4000
PEER_ITEMS=1000

serve_on_one_core() {
    serve artemis taskset -c 0 "$BINARY" server "${COMMON[@]}" --set lease.ttl_secs=86400 \
        --set server.threads=1
}

on_other_core() { taskset -c $(($(nproc) - 1)) "$@"; }

# rate_of ITEMS COMMAND...: prints the items per second of the server's CPU time, in millions.
rate_of() {
    local pid=${PID[artemis]} items=$1 before
    before=$(cpu_ticks "$pid")
    "${@:2}" >"$WORK/batches.out" || return 1
    [ "$items" != wrk ] || items=$(awk '/^requests=/ { sub(/requests=/, "", $1); print $1 * '$BATCH_ITEMS' }' "$WORK/batches.out")
    calc %.3f "$items / (($(cpu_ticks "$pid") - $before) / $TICKS) / 1e6"
}

# batch_row NAME LABEL MILLIONS RATES: the median of the rates.
batch_row() {
    local rate
    # shellcheck disable=SC2086 # numbers
    rate=$(printf '%s\n' $4 | sort -g | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }')
    row "$1" "$2" "$rate" millions "$rate million a second of CPU time" ">= $3" "v >= $3"
}

wrk_batches() {
    on_other_core timeout -s INT "$BATCH_SECS" wrk -t1 -c"$BATCH_CONNECTIONS" -d60s \
        -s "$HERE/load.lua" "${URL[artemis]}" -- heartbeat_100 || true
    # an error shows in the line of numbers
}

measure_heartbeat_100() {
    local round rates=""
    serve_on_one_core && fill artemis 10000 || return 1
    say "heartbeats of $BATCH_ITEMS keys"
    wrk_batches >/dev/null
    for ((round = 0; round < BATCH_ROUNDS; round++)); do
        rates+=" $(rate_of wrk wrk_batches)" || return 1
        grep -q 'errors=0 ' "$WORK/batches.out" || return 1
    done
    batch_row heartbeat-100 "renewals, 100 keys a request" 4.0 "$rates"
}

measure_register_100() {
    local round rates=""
    for ((round = 0; round < 3; round++)); do
        serve_on_one_core || return 1
        say "registering $BATCH_REGISTERED instances, $BATCH_ITEMS a request"
        rates+=" $(rate_of $BATCH_REGISTERED on_other_core "$PROGRAMS/fill" \
            --port "${PORT[artemis]}" --count $BATCH_REGISTERED --batch $BATCH_ITEMS \
            --connections $BATCH_CONNECTIONS)" || return 1
        stop artemis
    done
    batch_row register-100 "new instances, 100 a request" 0.7 "$rates"
}

measure_peer_renewals() {
    local round rates=""
    serve_on_one_core && fill artemis 10000 || return 1
    say "renewals of a peer, $PEER_ITEMS a message"
    for ((round = 0; round < BATCH_ROUNDS; round++)); do
        rates+=" $(rate_of $((PEER_MESSAGES * PEER_ITEMS)) on_other_core "$PROGRAMS/repeat" \
            --port "${PORT[artemis]}" --kind peer_renewals --requests $PEER_MESSAGES --instances 10000)" || return 1
    done
    batch_row peer-renewals "renewals of a peer" 3.0 "$rates"
}
