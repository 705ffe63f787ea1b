# shellcheck shell=bash disable=SC2034,SC2154
# SPDX-License-Identifier: Apache-2.0
#
# flood.sh - the row of bench.sh about rate limits: heartbeats of one client while others read as
# fast as they can, far above the limit. To be sourced.

FLOOD_HEARTBEATS=20000
FLOOD_SECS=60 # at most; the flood ends with the heartbeats

# refused KIND: the requests of a kind that the limits have refused so far.
refused() {
    curl -sf "${URL[artemis]}/metrics" |
        awk -v kind="kind=\"$1\"" '/^artemis_rate_limited_total/ && index($0, kind) { n += $2 }
            END { print n + 0 }'
}

measure_flood() {
    local began ended heartbeats reads rate
    # The burst is as large as the number of heartbeats, so that their own rate refuses none.
    serve_artemis 86400 --set ratelimit.enabled=true --set ratelimit.requests_per_second=10000 \
        --set "ratelimit.burst_size=$FLOOD_HEARTBEATS" && fill artemis 10000 || return 1
    say "$FLOOD_HEARTBEATS heartbeats while $CONNECTIONS connections read"
    wrk -t2 -c"$CONNECTIONS" -d${FLOOD_SECS}s -s "$HERE/load.lua" "${URL[artemis]}" -- discovery \
        >"$WORK/flood.out" &
    PID[flood]=$!
    began=$EPOCHREALTIME
    "$PROGRAMS/repeat" --port "${PORT[artemis]}" --kind heartbeat --requests $FLOOD_HEARTBEATS ||
        say "a heartbeat failed"
    ended=$EPOCHREALTIME
    stop flood
    heartbeats=$(refused heartbeat) reads=$(refused discovery)
    rate=$(calc %.0f "$FLOOD_HEARTBEATS / ($ended - $began)")
    row flood "heartbeats while reads flood" "$heartbeats" requests \
        "$heartbeats of $FLOOD_HEARTBEATS refused ($rate a second)" 'none' \
        "v == 0 && $reads > 0"
    row flood "  reads beyond the limit" "$reads" requests "$reads refused"
}
