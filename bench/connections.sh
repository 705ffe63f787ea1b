# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# connections.sh - throughput by number of connections and by number of web threads. To be sourced
# by bench.sh.
#
# The distribution of connections over the threads decides, so server and client are started anew
# for each round. A row is the median of its rounds, and must reach 0.8 of the best row of its
# table. A single connection measures latency and has no target.

CONNECTION_COUNTS="1 64 128 256 512 1000 4000"
THREAD_COUNTS="1 2 4 8 16"
THREADS_CONNECTIONS=256
CONNECTION_ROUNDS=5
CONNECTION_SECS=3

# connection_round CONNECTIONS [--set ...]...: prints heartbeats per second of a new server.
connection_round() {
    local connections=$1 clients=2 report
    shift
    [ "$connections" -gt 1 ] || clients=1
    serve_artemis 86400 "$@" && fill artemis 10000 2>/dev/null || return 1
    report=$({ timeout -s INT "$CONNECTION_SECS" wrk -t$clients -c"$connections" -d60s \
        -s "$HERE/load.lua" "http://127.0.0.1:${PORT[artemis]}" -- heartbeat || true; } |
        grep '^requests=') || return 1
    stop artemis
    # shellcheck disable=SC2046 # three numbers
    set -- $(field requests duration_us errors <<<"$report")
    if [ "$3" != 0 ] || [ "$1" = 0 ]; then
        say "failed with $connections connections: $report"
        return 1
    fi
    calc %.0f "$1 / $2 * 1e6"
    echo
}

# table_rows NAME LABEL-FORMAT VALUES FUNCTION: measures each value in rounds by turns.
table_rows() {
    local name=$1 label=$2 values=$3 round value best rate share
    for ((round = 1; round <= CONNECTION_ROUNDS; round++)); do
        for value in $values; do
            "$4" "$value" >>"$WORK/$name.$value" || return 1
        done
        say "$name, round $round of $CONNECTION_ROUNDS"
    done
    for value in $values; do
        sort -n "$WORK/$name.$value" | sed -n "$(((CONNECTION_ROUNDS + 1) / 2))p" \
            >"$WORK/$name.$value.median"
    done
    best=$(for value in $values; do cat "$WORK/$name.$value.median"; done | sort -n | tail -1)
    for value in $values; do
        rate=$(cat "$WORK/$name.$value.median")
        share=$(calc %.2f "$rate / $best")
        # shellcheck disable=SC2059 # the label is a format
        set -- "$name" "$(printf "$label" "$value")" "$share" share "$rate/s, $share of the best"
        if [ "$name" = connections ] && [ "$value" = 1 ]; then
            row "$@"
        else
            row "$@" '>= 0.8' 'v >= 0.8'
        fi
    done
}

with_connections() { connection_round "$1"; }
with_threads() { connection_round $THREADS_CONNECTIONS --set "server.threads=$1"; }

measure_connections() {
    ulimit -n "$(ulimit -Hn)"
    table_rows connections "heartbeat, %s connections" "$CONNECTION_COUNTS" with_connections
}

measure_threads() {
    table_rows threads "heartbeat, %s web threads" "$THREAD_COUNTS" with_threads
}
