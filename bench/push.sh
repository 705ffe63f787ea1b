# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# push.sh - the measurements of bench.sh about clients that are told what changes. To be sourced by
# it.

WATCHERS=10000
PUSH_ROUNDS=20
PUSH_ROUND_SECS=0.5

# serve_watched NAME: with room for the watchers and those who load it.
serve_watched() {
    serve "$1" "$BINARY" server "${COMMON[@]}" --set lease.ttl_secs=86400 \
        --set server.max_connections=$((WATCHERS + 2000))
}

# watch NAME [OPTION...]: watches a server, and prints the report.
watch() {
    "$PROGRAMS/watch" --port "${PORT[$1]}" --pid "${PID[$1]}" "${@:2}" | tail -1
}

# kib BYTES
kib() { calc %.1f "$1 / 1024"; }

# one_change KIND WHO: one change is told to all, and again; then what each of them costs.
one_change() {
    local report
    serve_watched artemis || return 1
    say "$WATCHERS $2 are told of changes"
    report=$(watch artemis --kind "$1" --clients $WATCHERS --changes 9) || return 1
    say "push-$1: $report"
    # shellcheck disable=SC2046 # numbers
    set -- "$1" "$2" $(field median_ms last_ms worst_ms bytes_each later_bytes_each <<<"$report")
    row "push-$1" "change to 10,000 $2" "$4" ms \
        "half by $3, all by $4 ms, medians of 9 (worst $5)" '<= 30, 100 ms' "v <= 100 && $3 <= 30"
    row "push-$1" "  memory each" "$7" bytes "$(kib "$7") KiB each ($(kib "$6") before the changes)" \
        '<= 16 KiB' "v <= 16384 && $6 <= 16384"
}

measure_push_ws() { one_change ws "WebSockets"; }
measure_push_get() { one_change get "waiting GETs"; }

# begin_watching NAME [OPTION...]: in the background and paused, as watch-NAME.
begin_watching() {
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
    say "the watchers of $1 did not get ready"
    return 1
}

# round_beside_changes NAME KIND: a round of load while the server has its changes.
round_beside_changes() {
    local report status
    kill -USR1 "${PID["watch-$1"]}"
    report=$(load_round "$1" "$2" $PUSH_ROUND_SECS)
    status=$?
    kill -USR2 "${PID["watch-$1"]}"
    echo "$report"
    return $status
}

# Both servers have their 1,000 changes a second; only one has watchers.
beside_changes() {
    local kind=$1 i with without
    round_beside_changes artemis "$kind" >/dev/null || return 1
    round_beside_changes plain "$kind" >/dev/null || return 1
    for ((i = 1; i <= PUSH_ROUNDS; i++)); do
        with=$(round_beside_changes artemis "$kind") || return 1
        without=$(round_beside_changes plain "$kind") || return 1
        echo "$with $without" >>"$WORK/$kind.beside"
    done
    set -- "$(awk -f "$HERE/pairs.awk" "$WORK/$kind.beside")"
    say "$kind beside pushing: $1"
    # shellcheck disable=SC2046 # numbers
    set -- $(field ratio rate yardstick_rate <<<"$1")
    row push-rate "  $kind beside it" "$1" ratio \
        "$(calc %.2f "$1") of that without watchers ($2 / $3)" '>= 0.80' 'v >= 0.8'
}

measure_push_rate() {
    local report beside
    serve_watched artemis || return 1
    say "10,000 WebSockets on 1,000 services, and 1,000 changes a second"
    report=$(watch artemis --clients $WATCHERS --services 1000 --rate 1000 --secs 10) || return 1
    say "push-rate: $report"
    serve_watched plain && fill artemis 10000 && fill plain 10000 || return 1
    begin_watching artemis --clients $WATCHERS && begin_watching plain --clients 0 || return 1
    # shellcheck disable=SC2046 # numbers
    set -- $(field p50_ms p99_ms max_ms missing changed <<<"$report")
    row push-rate "1,000 changes/s to 10 each" "$2" ms "p50 $1, p99 $2, max $3 ms" '< 20 ms' \
        'v < 20'
    beside_changes heartbeat && beside_changes discovery || return 1
    stop watch-plain
    stop watch-artemis
    beside=$(tail -1 "$WORK/watch-artemis.out")
    say "push-rate, beside load: $beside"
    # shellcheck disable=SC2046 # numbers
    set -- "$4" "$5" $(field p50_ms p99_ms missing <<<"$beside")
    row push-rate "  changes beside both" "$4" ms "p50 $3, p99 $4 ms, the cores full" '< 20 ms' \
        'v < 20'
    row push-rate "  never told" "$(($1 + $5))" changes \
        "$1, beside load $5; $2 changes were made" 'none' "v == 0 && $2 >= 9900"
    stop plain
}

# stopped_p99 STOPPED: of 100 who read.
stopped_p99() {
    local report
    report=$(watch artemis --clients $((100 + $1)) --stopped "$1" --rate 200 --pad 4000 --secs 3) ||
        return 1
    if [ "$1" != 0 ] && [ "$(field reloaded <<<"$report")" != "$1" ]; then
        say "not all that stopped reading have fallen behind: $report"
        return 1
    fi
    field p99_ms <<<"$report"
}

# By turns, as the machine's speed drifts.
measure_push_stopped() {
    local i with without pairs="" median
    serve_watched artemis || return 1
    say "100 of 200 subscribers stop reading"
    for ((i = 0; i < 9; i++)); do
        with=$(stopped_p99 100) && without=$(stopped_p99 0) || return 1
        pairs+="$(calc %.3f "$with / $without") $with $without"$'\n'
    done
    median=$(sort -g <<<"${pairs%$'\n'}" | sed -n 5p)
    # shellcheck disable=SC2086 # three numbers
    set -- $median
    row push-stopped "100 who stop reading" "$1" ratio \
        "p99 of 100 others $1 of that without ($2 / $3 ms)" '<= 1.10' 'v <= 1.1'
}
