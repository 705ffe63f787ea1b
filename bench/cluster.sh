# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# cluster.sh - the measurements that need several nodes. bench.sh sources it.

LAG_SECS=10
CLUSTER_TTL_SECS=600
TRAFFIC_INSTANCES=200000
TRAFFIC_SECS=20 # two anti-entropy rounds
TRAFFIC_MAX=426 # 1.2 times what version 0.3 sends in the same measurement

# free_port: prints a port without a listener, below the ephemeral ports.
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
        --set cluster.enabled=true --set cluster.bootstrap_grace_secs=0 --set "cluster.peers=$3" --set ratelimit.enabled=false \
        --set "lease.ttl_secs=$CLUSTER_TTL_SECS" "${@:4}"
}

# serve_trio A B C [PORT...]: starts three nodes that are each other's peers; the first also has the
# peers at PORT.
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

# metric NAME METRIC: prints the sum of the samples with this name, and labels if given.
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
    say "$1 does not see its $2 peers up"
    return 1
}

# lag_buckets NAME PEER: prints the cumulative lag histogram; one line per bucket: bound, count.
lag_buckets() {
    curl -s "http://127.0.0.1:${PORT[$1]}/metrics" |
        sed -n "s/^artemis_replication_lag_seconds_bucket{peer=\"$2\",le=\"\(.*\)\"} /\1 /p"
}

# lag_p99 BEFORE AFTER: prints the upper bound in ms of the 99th percentile between two histograms.
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
    before=$(metric a 'artemis_replication_requests_total{peer="b",kind="renew"}')
    report=$("$PROGRAMS/lag" --port "${PORT[a]}" --watch "${PORT[c]}" --secs $LAG_SECS) || return 1
    lag_buckets a b >"$WORK/lag.after"
    say "lag: $report"
    # shellcheck disable=SC2046 # numbers
    set -- $(field lag_p50_ms lag_p99_ms <<<"$report") "$(lag_p99 "$WORK/lag.before" "$WORK/lag.after")" \
        "$(calc %.1f "($(metric a 'artemis_replication_requests_total{peer="b",kind="renew"}') - $before) / $LAG_SECS")"
    row lag "lag of a change, 3 nodes" "$2" ms "p50 $1, p99 $2 ms" '< 10, 50 ms' "v < 50 && $1 < 10"
    row lag "  of all, 20,000 renewals/s" "$3" ms "p99 at most $3 ms" '<= 150 ms' 'v <= 150'
    row lag "  requests for them" "$4" 'per second' "$4 a second to each peer" '<= 25' 'v <= 25'
    stop_all a b c
}

# Bytes of bodies between three nodes while one of them receives all renewals. The others count: what
# they receive and send is all traffic but their own digests to the first.
measure_traffic() {
    local load deadline before start rate
    serve_trio a b c || return 1
    "$PROGRAMS/lag" --port "${PORT[a]}" --secs $((TRAFFIC_SECS + 20)) --changes 0 \
        --instances $TRAFFIC_INSTANCES --pause-us 1000000 >"$WORK/traffic.load" &
    load=$!
    deadline=$((SECONDS + 60))
    until [ "$(metric c artemis_instances)" -ge $TRAFFIC_INSTANCES ]; do
        [ $SECONDS -lt $deadline ] || { say "the nodes do not agree" && return 1; }
        sleep 0.2
    done
    sleep 2 # the registrations have been sent
    before=$(($(bytes_of b) + $(bytes_of c))) start=$(date +%s%N)
    sleep $TRAFFIC_SECS
    rate=$(calc %.0f "($(bytes_of b) + $(bytes_of c) - $before) / ($(date +%s%N) - $start) * 1e6")
    kill -0 $load 2>/dev/null || { say "the renewals ended early" && return 1; }
    wait $load || return 1
    row traffic "traffic between 3 nodes" "$rate" 'KB per second' \
        "$rate KB/s, 20,000 of 200,000 renewed a second" "<= $TRAFFIC_MAX KB/s" "v <= $TRAFFIC_MAX"
    stop_all a b c
}

# register_p99 NAME: prints the p99 of single registrations at a low rate.
register_p99() {
    "$PROGRAMS/lag" --port "${PORT[$1]}" --secs 2 --changes 0 --renewals 0 --pause-us 5000 |
        field register_p99_ms
}

# Alternates between node a with two peers and a single node, because the machine's speed drifts.
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
    differ_row differ "100 of 100,000 differ" 1000000
    stop_all a b
}

# The same between two regions, and what an hour of comparisons without a difference costs.
measure_differ_remote() {
    local a b before idle
    a=$(free_port) b=$(free_port)
    serve_node a "$a" "127.0.0.1:$b" --set server.region=west && fill a 100000 &&
        serve_node b "$b" "127.0.0.1:$a" --set server.region=east || return 1
    differ_row differ-remote "100 of 100,000 differ, two regions" 500000 || return 1
    sleep 12
    before=$(($(bytes_of a) + $(bytes_of b)))
    sleep 24
    idle=$(($(bytes_of a) + $(bytes_of b) - before))
    row idle-remote "two regions of 100,000, equal" "$idle" bytes "$idle bytes of bodies in 24 s" \
        '<= 1 KB' 'v <= 1000'
    stop_all a b
}

# differ_row NAME LABEL BYTES: bytes between two nodes, in both directions, until they agree on 100 of
# 100,000 instances.
differ_row() {
    local before bytes deadline
    wait_for_peers a 1 || return 1
    sleep 12 # the anti-entropy round after the start
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
    row "$1" "$2" "$bytes" bytes "$bytes bytes until they agree" "<= $(($3 / 1000)) KB" "v <= $3"
}

# bytes_of NAME: prints the bytes of bodies that a node has received and sent, without the pages of
# metrics that this function has read.
bytes_of() {
    local pages=0 size
    [ ! -f "$WORK/pages.$1" ] || read -r pages <"$WORK/pages.$1"
    size=$(curl -s -o "$WORK/page" -w '%{size_download}' "http://127.0.0.1:${PORT[$1]}/metrics")
    echo $((pages + size)) >"$WORK/pages.$1"
    awk -v pages="$pages" '/^artemis_http_re(quest|sponse)_bytes_total / { sum += $2 }
        END { printf "%.0f\n", sum - pages }' "$WORK/page"
}

# change_unseen NAME COUNT: registers instances as a peer does, so that they are not forwarded.
change_unseen() {
    local i items="" stamp=$(($(date +%s%3N) << 16))
    for ((i = 0; i < $2; i++)); do
        items+=",{\"region_id\":\"local\",\"zone_id\":\"zone1\",\"service_id\":\"unseen-$i\",\"instance_id\":\"i\",\"ip\":\"10.0.0.1\",\"port\":80,\"age_ms\":0,\"version\":$((stamp + i)),\"origin\":\"elsewhere\"}"
    done
    curl -s -o "$WORK/unseen" -H 'X-Artemis-Replication: true' -d "{\"instances\":[${items#,}]}" \
        "http://127.0.0.1:${PORT[$1]}/api/replication/registry/register"
}

# relay NAME PORT TO: forwards connections at PORT to TO; while it is stopped, the link is cut.
relay() {
    "$PROGRAMS/relay" --port "$2" --to "$3" &
    PID[$1]=$!
}

digests_of() {
    curl -s -H 'X-Artemis-Replication: true' "http://127.0.0.1:${PORT[$1]}/api/replication/registry/digest"
}

# 5,000 instances are not renewed, so the guards of both nodes keep them. The link between the nodes is
# cut for 60 s, in which 5,000 more register at one of them, and end too.
measure_guard_cut() {
    local a b to_a to_b restored deadline secs held
    a=$(free_port) b=$(free_port) to_a=$(free_port) to_b=$(free_port)
    relay to-a "$to_a" "$a"
    relay to-b "$to_b" "$b"
    serve_node a "$a" "127.0.0.1:$to_b" --set lease.ttl_secs=5 &&
        serve_node b "$b" "127.0.0.1:$to_a" --set lease.ttl_secs=5 && wait_for_peers a 1 && wait_for_peers b 1 &&
        fill a 5000 || return 1
    sleep 10
    kill -STOP "${PID[to-a]}" "${PID[to-b]}"
    sleep 30
    fill a 5000 20 || return 1
    sleep 30
    held=$(metric a artemis_leases_held)
    restored=$EPOCHREALTIME
    kill -CONT "${PID[to-a]}" "${PID[to-b]}"
    deadline=$((SECONDS + 60))
    until [ "$(digests_of a)" = "$(digests_of b)" ]; do
        [ $SECONDS -lt $deadline ] || { say "the nodes do not agree" && return 1; }
        sleep 0.02
    done
    secs=$(calc %.1f "$EPOCHREALTIME - $restored")
    row guard-cut "5,000 changes in a 60 s cut" "$secs" s "agreed $secs s after the cut, $held leases guarded" \
        '<= 3 s' "v <= 3 && $held > 9900 && $held == $(metric b artemis_leases_held)"
    stop_all to-a to-b a b
}

# The lag to a healthy peer beside one dead peer and one that accepts connections and never responds,
# alternating with a cluster without them, because the machine's speed drifts.
measure_failing_peers() {
    local dead stalled i healthy="" failing="" bytes
    dead=$(free_port) stalled=$(free_port)
    serve_node stalled "$stalled" "" && kill -STOP "${PID[stalled]}" &&
        serve_trio a b c && serve_trio failing-a failing-b failing-c "$dead" "$stalled" || return 1
    lag_of a c >/dev/null && lag_of failing-a failing-c >/dev/null || return 1
    for ((i = 0; i < 9; i++)); do
        healthy+="$(lag_of a c)"$'\n' failing+="$(lag_of failing-a failing-c)"$'\n'
    done
    healthy=$(sort -g <<<"${healthy%$'\n'}" | sed -n 5p) failing=$(sort -g <<<"${failing%$'\n'}" | sed -n 5p)
    bytes=$(metric failing-a "artemis_replication_outbox_bytes{peer=\"http://127.0.0.1:$dead\"}")
    row failing-peers "lag beside two failing peers" "$(calc %.3f "$failing / $healthy")" ratio \
        "p50 $failing ms, $healthy without, medians of 9" '< 1.10' 'v < 1.1'
    row failing-peers "  outbox of the dead one" "$bytes" bytes "$bytes bytes for 20,500 instances" \
        '< 64 each' 'v < 64 * 20500'
    stop_all a b c failing-a failing-b failing-c stalled
}

# lag_of NODE PEER: prints the p50 of the lag.
lag_of() {
    "$PROGRAMS/lag" --port "${PORT[$1]}" --watch "${PORT[$2]}" --secs 2 | field lag_p50_ms
}
