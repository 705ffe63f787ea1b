# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# cluster.sh - the measurements of bench.sh that need several nodes. To be sourced by it.

LAG_SECS=10
CLUSTER_TTL_SECS=600

# free_port: one that nobody listens on, below those that the system gives out.
free_port() {
    local port
    while :; do
        port=$((20000 + RANDOM % 12000))
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
    done
    echo "$port"
}

# serve_node NAME PORT PEERS [--set ...]...
serve_node() {
    serve "$1" "$BINARY" server --addr "127.0.0.1:$2" --set "server.node_id=$1" \
        --set cluster.enabled=true --set "cluster.peers=$3" --set ratelimit.enabled=false \
        --set "lease.ttl_secs=$CLUSTER_TTL_SECS" "${@:4}"
}

# serve_trio A B C [PORT...]: three nodes, each with the others, and the first with these peers as well.
serve_trio() {
    local a b c more
    a=$(free_port) b=$(free_port) c=$(free_port)
    more=$(printf ',127.0.0.1:%s' "${@:4}")
    [ $# -gt 3 ] || more=""
    serve_node "$1" "$a" "127.0.0.1:$b,127.0.0.1:$c$more" &&
        serve_node "$2" "$b" "127.0.0.1:$a,127.0.0.1:$c" &&
        serve_node "$3" "$c" "127.0.0.1:$a,127.0.0.1:$b" && wait_for_peers "$1" 2
}

stop_all() {
    local name
    for name in "$@"; do
        [ "$name" != stalled ] || [ -z "${PID[stalled]:-}" ] || kill -CONT "${PID[stalled]}"
        stop "$name"
    done
}

# metric NAME METRIC: the value of one that begins so; labels and all.
metric() {
    # shellcheck disable=SC2153 # PORT is set by serve, in lib.sh
    curl -s "http://127.0.0.1:${PORT[$1]}/metrics" | awk -v begin="$2" \
        'index($0, begin " ") == 1 || index($0, begin "{") == 1 { sum += $NF } END { print sum + 0 }'
}

# wait_for_peers NAME COUNT
wait_for_peers() {
    local tries
    for ((tries = 0; tries < 200; tries++)); do
        [ "$(metric "$1" artemis_peer_up)" != "$2" ] || return 0
        sleep 0.05
    done
    say "$1 did not find its $2 peers"
    return 1
}

# lag_buckets NAME PEER: the lag histogram, cumulative, a bound and a count a line.
lag_buckets() {
    curl -s "http://127.0.0.1:${PORT[$1]}/metrics" |
        sed -n "s/^artemis_replication_lag_seconds_bucket{peer=\"$2\",le=\"\(.*\)\"} /\1 /p"
}

# Upper bound, in ms, of the 99th percentile between two histograms.
lag_p99() {
    paste -d' ' "$1" "$2" | awk '
        { bound[NR] = $1; count[NR] = $4 - $2 }
        END { for (i = 1; i <= NR; i++) if (count[i] >= count[NR] * 0.99) { print bound[i] * 1000; exit } }'
}

measure_lag() {
    local report before
    serve_trio a b c || return 1
    "$PROGRAMS/lag" --port "${PORT[a]}" --watch "${PORT[c]}" --secs 1 >/dev/null || return 1
    sleep 1
    lag_buckets a b >"$WORK/lag.before"
    before=$(metric a 'artemis_replication_requests_total{peer="b",kind="renew",result="sent"}')
    report=$("$PROGRAMS/lag" --port "${PORT[a]}" --watch "${PORT[c]}" --secs $LAG_SECS) || return 1
    lag_buckets a b >"$WORK/lag.after"
    say "lag: $report"
    # shellcheck disable=SC2046 # numbers
    set -- $(field lag_p50_ms lag_p99_ms <<<"$report") "$(lag_p99 "$WORK/lag.before" "$WORK/lag.after")" \
        "$(calc %.1f "($(metric a 'artemis_replication_requests_total{peer="b",kind="renew",result="sent"}') - $before) / $LAG_SECS")"
    row lag "lag of a change, 3 nodes" "$2" ms "p50 $1, p99 $2 ms" '< 10, 50 ms' "v < 50 && $1 < 10"
    row lag "  of all, 20,000 renewals/s" "$3" ms "p99 at most $3 ms" '<= 150 ms' 'v <= 150'
    row lag "  requests for them" "$4" 'per second' "$4 a second to each peer" '<= 25' 'v <= 25'
    stop_all a b c
}

# register_p99 NAME: of single registrations at a gentle rate, that wait for nobody.
register_p99() {
    "$PROGRAMS/lag" --port "${PORT[$1]}" --secs 2 --changes 0 --renewals 0 --pause-us 5000 |
        field register_p99_ms
}

# By turns, as the machine's speed drifts: node a with two peers, and a node alone.
measure_register() {
    local i quotients="" median
    serve_trio a b c && serve_artemis "$CLUSTER_TTL_SECS" || return 1
    register_p99 a >/dev/null
    register_p99 artemis >/dev/null
    for ((i = 0; i < 9; i++)); do
        quotients+="$(calc %.3f "$(register_p99 a) / $(register_p99 artemis)")"$'\n'
    done
    median=$(sort -g <<<"${quotients%$'\n'}" | sed -n 5p)
    row register "register p99, two peers" "$median" ratio \
        "$median of that without, median of 9" '<= 1.10' 'v <= 1.1'
    stop_all a b c artemis
}

measure_bootstrap() {
    local a b secs records
    a=$(free_port) b=$(free_port)
    serve_node a "$a" "127.0.0.1:$b" && fill a 100000 && serve_node b "$b" "127.0.0.1:$a" || return 1
    secs=$(metric b artemis_bootstrap_seconds) records=$(metric b artemis_bootstrap_records)
    row bootstrap "back to 100,000 instances" "$secs" s "ready after $secs s with $records" \
        '<= 2 s' "v <= 2 && $records == 100000"
    differ_row
    stop_all a b
}

# What two nodes say to each other, in both directions, until they agree on 100 of 100,000.
differ_row() {
    local before bytes deadline
    wait_for_peers a 1 || return 1
    sleep 12 # the comparison that follows the start
    before=$(($(bytes_of a) + $(bytes_of b)))
    change_unseen a 100
    deadline=$((SECONDS + 30))
    until curl -s "http://127.0.0.1:${PORT[b]}/api/discovery/service?service_id=unseen-99" |
        grep -q '"success"'; do
        [ $SECONDS -lt $deadline ] || { say "the nodes do not agree" && return 1; }
        sleep 0.5
    done
    sleep 1
    bytes=$(($(bytes_of a) + $(bytes_of b) - before))
    row differ "100 of 100,000 differ" "$bytes" bytes "$bytes bytes until they agree" '<= 1 MB' \
        'v <= 1000000'
}

# Bytes of bodies that a node has received and sent; these questions are a few 10 KB of them.
bytes_of() {
    calc %.0f "$(metric "$1" artemis_http_request_bytes_total) + \
        $(metric "$1" artemis_http_response_bytes_total)"
}

# change_unseen NAME COUNT: as a peer would tell it, so that it is told to nobody.
change_unseen() {
    local i items="" stamp=$(($(date +%s%3N) << 16))
    for ((i = 0; i < $2; i++)); do
        items+=",{\"region_id\":\"local\",\"zone_id\":\"zone1\",\"service_id\":\"unseen-$i\",\"instance_id\":\"i\",\"ip\":\"10.0.0.1\",\"port\":80,\"age_ms\":0,\"version\":$((stamp + i)),\"origin\":\"elsewhere\"}"
    done
    curl -s -o "$WORK/unseen" -H 'X-Artemis-Replication: true' -d "{\"instances\":[${items#,}]}" \
        "http://127.0.0.1:${PORT[$1]}/api/replication/registry/register"
}

# The other peers' lag, with one peer that is dead and one that takes connections and never answers:
# by turns with a cluster that has neither, as the machine's speed drifts.
measure_sick_peers() {
    local dead stalled i well="" sick="" bytes
    dead=$(free_port) stalled=$(free_port)
    serve_node stalled "$stalled" "" && kill -STOP "${PID[stalled]}" &&
        serve_trio a b c && serve_trio sick-a sick-b sick-c "$dead" "$stalled" || return 1
    lag_of a c >/dev/null && lag_of sick-a sick-c >/dev/null || return 1
    for ((i = 0; i < 9; i++)); do
        well+="$(lag_of a c)"$'\n' sick+="$(lag_of sick-a sick-c)"$'\n'
    done
    well=$(sort -g <<<"${well%$'\n'}" | sed -n 5p) sick=$(sort -g <<<"${sick%$'\n'}" | sed -n 5p)
    bytes=$(metric sick-a "artemis_replication_outbox_bytes{peer=\"http://127.0.0.1:$dead\"}")
    row sick-peers "lag beside two sick peers" "$(calc %.3f "$sick / $well")" ratio \
        "p50 $sick ms, $well without, medians of 9" '< 1.10' 'v < 1.1'
    row sick-peers "  outbox of the dead one" "$bytes" bytes "$bytes bytes for 20,500 instances" \
        '< 64 each' 'v < 64 * 20500'
    stop_all a b c sick-a sick-b sick-c stalled
}

# lag_of NODE PEER
lag_of() {
    "$PROGRAMS/lag" --port "${PORT[$1]}" --watch "${PORT[$2]}" --secs 2 | field lag_p50_ms
}
