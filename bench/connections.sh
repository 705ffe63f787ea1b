# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# connections.sh - throughput by number of connections and by number of web threads, and CPU time by
# number of instances. To be sourced by bench.sh.
#
# The distribution of connections over the threads decides, so server and client are started again
# for each round. A round counts from the moment when each connection has had its first requests. A
# row is the median of its rounds.
#
# By connections, a row must reach 0.8 of the best one. A single connection measures latency and has
# no target. Many connections take more time of the kernel, of libmicrohttpd and of the client, which
# shares the cores. So the yardstick is measured by turns with the same connections, and a row also
# holds if it reaches 0.8 of the yardstick.
#
# By web threads, throughput must not fall: a row must reach each row with fewer threads, less the
# 5 % by which the medians of a server against itself differ.

CONNECTION_COUNTS="1 64 128 256 512 1000 4000"
THREAD_COUNTS="1 2 4 8 16"
THREADS_CONNECTIONS=64
CONNECTION_ROUNDS=5
CONNECTION_SECS=3
WARM_REQUESTS=2

# connection_round SERVER CONNECTIONS: prints the heartbeats per second of a server, and stops it.
connection_round() {
    local connections=$2 clients=2 report
    [ "$connections" -gt 1 ] || clients=1
    report=$({ timeout -s INT "$CONNECTION_SECS" wrk -t$clients -c"$connections" -d60s \
        -s "$HERE/load.lua" "http://127.0.0.1:${PORT[$1]}" -- heartbeat \
        $((connections * WARM_REQUESTS / clients)) || true; } | grep '^requests=') || return 1
    stop "$1"
    # shellcheck disable=SC2046 # two numbers
    set -- $(field rate errors <<<"$report")
    if [ "$2" != 0 ] || [ "$1" = 0 ]; then
        say "failed with $connections connections: $report"
        return 1
    fi
    echo "$1"
}

# artemis_round CONNECTIONS [--set ...]...
artemis_round() {
    serve_artemis 86400 "${@:2}" && fill artemis 10000 2>/dev/null || return 1
    [ -s "$WORK/loop.answer" ] || response_of artemis heartbeat >"$WORK/loop.answer" || return 1
    connection_round artemis "$1"
}

# yardstick_round CONNECTIONS: after an artemis_round, whose response it repeats.
yardstick_round() {
    serve loops "$PROGRAMS/yardstick" --loops "$(nproc)" --heartbeat "$WORK/loop.answer" &&
        connection_round loops "$1"
}

# medians NAME VALUES: of the rounds of each value, in $WORK/NAME.VALUE.median; prints the best.
medians() {
    local value
    for value in $2; do
        sort -n "$WORK/$1.$value" | sed -n "$(((CONNECTION_ROUNDS + 1) / 2))p" \
            >"$WORK/$1.$value.median"
        cat "$WORK/$1.$value.median"
    done | sort -n | tail -1
}

measure_connections() {
    local round value best rate share ratio
    ulimit -n "$(ulimit -Hn)"
    for ((round = 1; round <= CONNECTION_ROUNDS; round++)); do
        for value in $CONNECTION_COUNTS; do
            artemis_round "$value" >>"$WORK/connections.$value" || return 1
            yardstick_round "$value" >>"$WORK/loops.$value" || return 1
        done
        say "connections, round $round of $CONNECTION_ROUNDS"
    done
    best=$(medians connections "$CONNECTION_COUNTS")
    medians loops "$CONNECTION_COUNTS" >/dev/null
    for value in $CONNECTION_COUNTS; do
        rate=$(cat "$WORK/connections.$value.median")
        share=$(calc %.2f "$rate / $best")
        ratio=$(calc %.2f "$rate / $(cat "$WORK/loops.$value.median")")
        set -- connections "heartbeat, $value connections" "$share" share \
            "$rate/s, $share of the best, $ratio of yardstick"
        if [ "$value" = 1 ]; then
            row "$@"
        else
            row "$@" '>= 0.8' "v >= 0.8 || $ratio >= 0.8"
        fi
    done
}

measure_threads() {
    local round value best=0 rate share
    ulimit -n "$(ulimit -Hn)"
    for ((round = 1; round <= CONNECTION_ROUNDS; round++)); do
        for value in $THREAD_COUNTS; do
            artemis_round $THREADS_CONNECTIONS --set "server.threads=$value" \
                >>"$WORK/threads.$value" || return 1
        done
        say "threads, round $round of $CONNECTION_ROUNDS"
    done
    medians threads "$THREAD_COUNTS" >/dev/null
    for value in $THREAD_COUNTS; do
        rate=$(cat "$WORK/threads.$value.median")
        best=$((rate > best ? rate : best))
        share=$(calc %.2f "$rate / $best")
        row threads "heartbeat, $value web threads" "$share" share \
            "$rate/s, $share of the best with at most as many" '>= 0.95' 'v >= 0.95'
    done
}

# --- CPU time of a request for a random key, by number of instances --------------------------------

# A server for each number of instances, 100 to a service. They run at the same time and are loaded
# in turn, so that all have the same share of a machine whose speed varies. A row compares the sums
# of all rounds. The first rounds do not count: they fill the cache of responses. The yardstick with
# as many copies of a body as there are services shows what the copies to the socket alone cost.

SCALE_COUNTS="10000 100000 1000000"
SCALE_PER_SERVICE=100
SCALE_WARM_ROUNDS=3
SCALE_ROUNDS=12

# scale_round KIND COUNT: adds the CPU ticks and the requests of a second to $WORK/scale.KIND.COUNT.
# Of the kind yardstick, its discovery is loaded.
scale_round() {
    local server=scale-$2 load=$1 pid before after report
    [ "$1" != yardstick ] || server=yardstick-$2 load=discovery
    pid=${PID[$server]}
    before=$(cpu_ticks "$pid")
    report=$({ timeout -s INT 1 wrk -t2 -c"$CONNECTIONS" -d60s -s "$HERE/load.lua" \
        "${URL[$server]}" -- "$load" 0 "$2" "$SCALE_PER_SERVICE" || true; } | grep '^requests=') || return 1
    after=$(cpu_ticks "$pid")
    # shellcheck disable=SC2046 # two numbers
    set -- "$1" "$2" "$((after - before))" $(field requests errors <<<"$report")
    if [ "$5" != 0 ] || [ "$4" = 0 ]; then
        say "scale failed under load: $report"
        return 1
    fi
    echo "$3 $4" >>"$WORK/scale.$1.$2"
}

# scale_us KIND COUNT: microseconds of CPU time per request.
scale_us() {
    tail -n "$SCALE_ROUNDS" "$WORK/scale.$1.$2" |
        awk -v ticks="$TICKS" '{ cpu += $1; n += $2 } END { printf "%.2f", cpu / ticks / n * 1e6 }'
}

# scale_rows KIND LABEL [TARGET CONDITION]: one for each number of instances but the first.
scale_rows() {
    local count us ratio fewer="" fewer_us=""
    for count in $SCALE_COUNTS; do
        us=$(scale_us "$1" "$count")
        if [ -n "$fewer" ]; then
            ratio=$(calc %.2f "$us / $fewer_us")
            row scale "$2, $fewer to $count" "$ratio" ratio \
                "$ratio times the CPU time ($fewer_us, $us us)" "${@:3}"
        fi
        fewer=$count fewer_us=$us
    done
}

measure_scale() {
    local count kind round
    for count in $SCALE_COUNTS; do
        serve "scale-$count" "$BINARY" server "${COMMON[@]}" --set lease.ttl_secs=86400 &&
            fill "scale-$count" "$count" "$SCALE_PER_SERVICE" || return 1
        response_of "scale-$count" discovery >"$WORK/body-$count"
        serve "yardstick-$count" "$PROGRAMS/yardstick" --discovery "$WORK/body-$count" \
            --copies $((count / SCALE_PER_SERVICE)) || return 1
    done
    for kind in heartbeat discovery yardstick; do
        for ((round = 1; round <= SCALE_WARM_ROUNDS + SCALE_ROUNDS; round++)); do
            for count in $SCALE_COUNTS; do
                scale_round $kind "$count" || return 1
            done
        done
    done
    scale_rows heartbeat heartbeat '<= 1.10' 'v <= 1.1'
    scale_rows discovery discovery '<= 1.10' 'v <= 1.1'
    scale_rows yardstick "the yardstick, with as many bodies"
    for count in $SCALE_COUNTS; do
        stop "scale-$count"
        stop "yardstick-$count"
    done
}
