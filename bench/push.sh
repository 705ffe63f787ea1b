# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# push.sh - the measurements of bench.sh about pushed changes. bench.sh sources it.

SUBSCRIBERS=10000
PUSH_ROUNDS=20
PUSH_ROUND_SECS=0.5

# serve_subscribers NAME: serves with a limit for the subscribers and the load.
serve_subscribers() {
    serve "$1" "$BINARY" server "${COMMON[@]}" --set lease.ttl_secs=86400 \
        --set server.max_connections=$((SUBSCRIBERS + 2000))
}

# watch NAME [OPTION...]: subscribes to a server, and prints the report.
watch() {
    "$PROGRAMS/watch" --port "${PORT[$1]}" --pid "${PID[$1]}" "${@:2}" | tail -1
}

# kib BYTES
kib() { calc %.1f "$1 / 1024"; }

# one_change KIND CLIENTS: pushes one change to all, several times; then measures the memory of each.
one_change() {
    local report
    serve_subscribers artemis || return 1
    say "$SUBSCRIBERS $2 get changes"
    report=$(watch artemis --kind "$1" --clients $SUBSCRIBERS --changes 9) || return 1
    say "push-$1: $report"
    # shellcheck disable=SC2046 # numbers
    set -- "$1" "$2" $(field median_ms last_ms worst_ms bytes_each later_bytes_each <<<"$report")
    row "push-$1" "change to 10,000 $2" "$4" ms \
        "half by $3, all by $4 ms, medians of 9 (worst $5)" '<= 30, 100 ms' "v <= 100 && $3 <= 30"
    row "push-$1" "  memory each" "$7" bytes "$(kib "$7") KiB each ($(kib "$6") before the changes)" \
        '<= 16 KiB' "v <= 16384 && $6 <= 16384"
}

measure_push_ws() { one_change ws "WebSockets"; }
measure_push_get() { one_change get "long polls"; }

# start_subscribers NAME [OPTION...]: in the background and paused, as watch-NAME.
start_subscribers() {
    local tries out="$WORK/watch-$1.out"
    "$PROGRAMS/watch" --port "${PORT[$1]}" --services 1000 --rate 1000 --secs 0 --limit-secs 300 \
        "${@:2}" >"$out" &
    PID["watch-$1"]=$!
    for ((tries = 0; tries < 600; tries++)); do
        if grep -q ready "$out"; then
            kill -USR2 "${PID["watch-$1"]}"
            return 0
        fi
        sleep 0.05
    done
    say "the subscribers of $1 are not ready in time"
    return 1
}

# round_during_changes NAME KIND: a round of load while the server gets changes.
round_during_changes() {
    local report status
    kill -USR1 "${PID["watch-$1"]}"
    report=$(load_round "$1" "$2" $PUSH_ROUND_SECS)
    status=$?
    kill -USR2 "${PID["watch-$1"]}"
    echo "$report"
    return $status
}

# Both servers get 1,000 changes a second; only one has subscribers.
load_during_changes() {
    local kind=$1 i with without
    round_during_changes artemis "$kind" >/dev/null || return 1
    round_during_changes plain "$kind" >/dev/null || return 1
    for ((i = 1; i <= PUSH_ROUNDS; i++)); do
        with=$(round_during_changes artemis "$kind") || return 1
        without=$(round_during_changes plain "$kind") || return 1
        echo "$with $without" >>"$WORK/$kind.pairs"
    done
    set -- "$(awk -f "$HERE/pairs.awk" "$WORK/$kind.pairs")"
    say "$kind during pushes: $1"
    # shellcheck disable=SC2046 # numbers
    set -- $(field ratio rate yardstick_rate <<<"$1")
    row push-rate "  $kind meanwhile" "$1" ratio \
        "$(calc %.2f "$1") of that without subscribers ($2 / $3)" '>= 0.80' 'v >= 0.8'
}

measure_push_rate() {
    local report under_load
    serve_subscribers artemis || return 1
    say "10,000 WebSockets on 1,000 services, and 1,000 changes a second"
    report=$(watch artemis --clients $SUBSCRIBERS --services 1000 --rate 1000 --secs 10) || return 1
    say "push-rate: $report"
    serve_subscribers plain && fill artemis 10000 && fill plain 10000 || return 1
    start_subscribers artemis --clients $SUBSCRIBERS && start_subscribers plain --clients 0 || return 1
    # shellcheck disable=SC2046 # numbers
    set -- $(field p50_ms p99_ms max_ms missing changed <<<"$report")
    row push-rate "1,000 changes/s to 10 each" "$2" ms "p50 $1, p99 $2, max $3 ms" '< 20 ms' \
        'v < 20'
    load_during_changes heartbeat && load_during_changes discovery || return 1
    stop watch-plain
    stop watch-artemis
    under_load=$(tail -1 "$WORK/watch-artemis.out")
    say "push-rate, under load: $under_load"
    # shellcheck disable=SC2046 # numbers
    set -- "$4" "$5" $(field p50_ms p99_ms missing <<<"$under_load")
    row push-rate "  changes meanwhile" "$4" ms "p50 $3, p99 $4 ms, all cores busy" '< 20 ms' \
        'v < 20'
    row push-rate "  not received" "$(($1 + $5))" changes \
        "$1, under load $5; $2 changes were made" 'none' "v == 0 && $2 >= 9900"
    stop plain
}

# stopped_p99 STOPPED: the latency of 100 clients that read.
stopped_p99() {
    local report
    report=$(watch artemis --clients $((100 + $1)) --stopped "$1" --rate 200 --pad 4000 --secs 3) ||
        return 1
    if [ "$1" != 0 ] && [ "$(field reloaded <<<"$report")" != "$1" ]; then
        say "not all stopped clients were resynced: $report"
        return 1
    fi
    field p99_ms <<<"$report"
}

# In turns, because the speed of the machine varies.
measure_push_stopped() {
    local i with without pairs="" median
    serve_subscribers artemis || return 1
    say "100 of 200 subscribers stop reading"
    for ((i = 0; i < 9; i++)); do
        with=$(stopped_p99 100) && without=$(stopped_p99 0) || return 1
        pairs+="$(calc %.3f "$with / $without") $with $without"$'\n'
    done
    median=$(sort -g <<<"${pairs%$'\n'}" | sed -n 5p)
    # shellcheck disable=SC2086 # three numbers
    set -- $median
    row push-stopped "100 stopped clients" "$1" ratio \
        "p99 of 100 others $1 of that without ($2 / $3 ms)" '<= 1.10' 'v <= 1.1'
}
