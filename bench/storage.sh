# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# storage.sh - what storage costs, and how fast a node loads it. To be sourced by bench.sh.

# The heartbeat may be this much slower with storage.
STORAGE_HEARTBEAT_MIN=0.97
STORAGE_LOAD_100K_MS=1000
STORAGE_LOAD_1M_MS=4000

metric_of() { # WHO NAME
    curl -sf "http://127.0.0.1:${PORT[$1]}/metrics" | awk -v name="$2" '$1 == name { print $2 }'
}

# wait_stored WHO: until everything is committed.
wait_stored() {
    local deadline=$((SECONDS + 120))
    until [ "$(metric_of "$1" artemis_storage_unstored)" = 0 ]; do
        [ $SECONDS -lt $deadline ] || { say "the storage of $1 lags behind" && return 1; }
        sleep 0.1
    done
}

# compare_storage KIND: pairs of rounds of a server with storage, and of one without; into $REPORT.
compare_storage() {
    local kind=$1 i with without
    if [ -z "${PID[stored]:-}" ]; then
        serve stored "$BINARY" server "${COMMON[@]}" --set lease.ttl_secs=86400 \
            --set "storage.data_dir=$WORK/stored" || return 1
        serve plain "$BINARY" server "${COMMON[@]}" --set lease.ttl_secs=86400 || return 1
        fill stored 10000 && fill plain 10000 && wait_stored stored || return 1
    fi
    load_round stored "$kind" 1 >/dev/null && load_round plain "$kind" 1 >/dev/null || return 1
    : >"$WORK/storage-$kind.pairs"
    for ((i = 1; i <= ROUNDS; i++)); do
        with=$(load_round stored "$kind" "$ROUND_SECS") || return 1
        without=$(load_round plain "$kind" "$ROUND_SECS") || return 1
        echo "$with $without" >>"$WORK/storage-$kind.pairs"
        [ $((i % 10)) -ne 0 ] || say "storage, $kind, $i of $ROUNDS pairs of rounds"
    done
    REPORT=$(awk -f "$HERE/pairs.awk" "$WORK/storage-$kind.pairs")
}

# storage_cost_row NAME LABEL REPORT [TARGET CONDITION]
storage_cost_row() {
    say "$1: $3"
    # shellcheck disable=SC2046 # numbers
    set -- "$1" "$2" $(field ratio rate yardstick_rate <<<"$3") "${@:4}"
    row "$1" "$2" "$3" ratio "$(calc %.2f "$3") of off ($4 / $5 a second)" "${@:6}"
}

measure_storage() {
    local REPORT
    compare_storage heartbeat || return 1
    storage_cost_row storage "heartbeat with storage" "$REPORT" ">= $STORAGE_HEARTBEAT_MIN" \
        "v >= $STORAGE_HEARTBEAT_MIN"
    compare_storage change || return 1
    storage_cost_row storage "  changed registration" "$REPORT"
    stop stored
    stop plain
}

# load_row NAME COUNT LIMIT_MS: kills a node with so many instances, and starts it again.
load_row() {
    local data=$WORK/$1 peak bytes ready_ms start_ns load_ms
    serve stored "$BINARY" server "${COMMON[@]}" --set lease.ttl_secs=86400 \
        --set "storage.data_dir=$data" || return 1
    fill stored "$2" && wait_stored stored || return 1
    peak=$(metric_of stored artemis_storage_bytes)
    kill -KILL "${PID[stored]}" && wait "${PID[stored]}" 2>/dev/null
    unset "PID[stored]"
    start_ns=$(date +%s%N)
    serve stored "$BINARY" server "${COMMON[@]}" --set lease.ttl_secs=86400 \
        --set "storage.data_dir=$data" || return 1
    ready_ms=$((($(date +%s%N) - start_ns) / 1000000))
    if [ "$(metric_of stored artemis_storage_loaded_instances)" != "$2" ]; then
        say "not all instances were loaded"
        return 1
    fi
    load_ms=$(sed -n 's/.*storage loaded.* duration_ms=\([0-9]*\).*/\1/p' "$WORK/stored.log")
    stop stored
    bytes=$(stat -c %s "$data/artemis.db")
    row "$1" "restart with $2 stored" "$ready_ms" ms "$ready_ms ms to ready (loading $load_ms)" \
        "<= $3 ms" "v <= $3"
    row "$1" "  on the disk" "$(calc %.0f "$bytes / $2")" bytes \
        "$(calc %.0f "$bytes / $2") bytes per instance (at the peak $(calc %.0f "$peak / $2"))"
    rm -rf "$data"
}

measure_storage_100k() { load_row storage-100k 100000 $STORAGE_LOAD_100K_MS; }
measure_storage_1m() { load_row storage-1m 1000000 $STORAGE_LOAD_1M_MS; }
