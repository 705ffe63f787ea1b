#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Injects faults into a cluster of five real nodes in network namespaces while clients register, renew,
# change and unregister. Checks the guarantees of docs/REPLICATION.md and prints what it measured.
# `make chaos` runs all scenarios except ten_minutes; SCENARIO=name runs one. With TOKENS=yes, nodes and
# clients need tokens; with SECURE=yes the nodes use mutual TLS.
#
# Needs root (`make && sudo make chaos`), a kernel with namespaces, veth and bridge, and the Debian
# packages iproute2, curl and jq; faketime for the clock scenario. wire.c delays and drops packets, so
# netem is not needed. Scenarios that the machine does not support are skipped with a message.
set -uo pipefail

here=$(cd "$(dirname "$0")" && pwd)
BINARY=$(realpath "${ARTEMIS_BINARY:?must name the binary to test}")
WIRE=$(realpath "${WIRE:?must name the built tests/chaos/wire.c}")
WORK=$(mktemp -d /tmp/artemis-chaos-XXXXXX)
NODES="1 2 3 4 5"
TTL_SECS=4
COMPARE_SECS=10
ROUNDS_SECS=$((2 * COMPARE_SECS + 2)) # two anti-entropy rounds and their duration
GRACE_LIMIT_SECS=20                   # limit for readiness when all nodes start without data
GRACE_SECS=0                          # a new cluster is ready at once
SOON_SECS=5                           # limit for agreement after a link is restored
TEN_MINUTES_SECS=600
SCENARIOS="cut_link isolated flapping one_way slow lossy killed stopped queued_write late_renewal power_failure chain far guard clock regions"
AGREED=""
SKIPPED=0

# shellcheck source=tests/chaos/net.sh
. "$here/net.sh"
# shellcheck source=tests/chaos/secure.sh
. "$here/secure.sh"
# shellcheck source=tests/chaos/nodes.sh
. "$here/nodes.sh"
# shellcheck source=tests/chaos/checks.sh
. "$here/checks.sh"
# shellcheck source=tests/chaos/late.sh
. "$here/late.sh"
# shellcheck source=tests/chaos/regions.sh
. "$here/regions.sh"

finish() {
    end_all
    net_down
    rm -rf "$WORK"
}
trap finish EXIT
trap 'exit 130' INT TERM

skip() {
    SKIPPED=$((SKIPPED + 1))
    printf '!!! SKIPPED: %s\n' "$*"
}

# --- the scenarios --------------------------------------------------------------------------------------
# Each sets REPORT to what it measured.

# Two nodes cannot reach each other; the other three reach both.
cut_link_scenario() {
    local restored
    cut_link 1 2
    cannot_reach 1 2
    make_changes 1
    make_changes 3
    hold $((TTL_SECS + 3)) shows_everything
    make_changes 2
    restored=$(now_ms)
    restore_link 1 2
    agree_within $SOON_SECS "$restored" "after the link was restored"
    no_evictions
    returns_nothing $NODES
    REPORT="no evictions, $AGREED"
}

shows_everything() {
    local n
    for n in $NODES; do shows_all_of "$n" $NODES || return 1; done
}

# Instances register and unregister on both sides of a partition; each side keeps its own.
isolated_scenario() {
    local restored moved
    isolate 5
    cannot_reach 5 1
    moved=$(first_of 5)
    make_changes 5
    make_changes 1
    move 5 2 "$moved" # its client moves to another node and unregisters there
    leave 2 "$moved"
    hold $((TTL_SECS + 3)) each_side_shows_its_own
    make_changes 5
    make_changes 3
    restored=$(now_ms)
    rejoin 5
    agree_within $SOON_SECS "$restored" "after the link was restored"
    each_side_evicted_nothing_of_its_own
    returns_nothing $NODES
    REPORT=$AGREED
}

each_side_shows_its_own() {
    local n
    for n in 1 2 3 4; do shows_all_of "$n" 1 2 3 4 || return 1; done
    shows_all_of 5 5
}

each_side_evicted_nothing_of_its_own() {
    local n
    for n in 1 2 3 4; do evicted_nothing_of "$n" 1 2 3 4; done
    evicted_nothing_of 5 5
}

# The link of one node fails repeatedly. Each time an instance unregisters elsewhere while its lease is
# active here. No interruption is as long as a lease, and between two of them the nodes can talk.
flapping_scenario() {
    local pause moved restored
    join 5 4
    for pause in 0.3 1.5 0.7 1.2; do
        sleep 1.5
        isolate 5
        moved=$(first_of 5)
        move 5 2 "$moved"
        leave 2 "$moved"
        make_changes 5
        make_changes 1
        sleep "$pause"
        restored=$(now_ms)
        rejoin 5
    done
    agree_within $SOON_SECS "$restored" "after the last restore"
    no_evictions
    returns_nothing $NODES
    REPORT="no evictions, $AGREED"
}

# Packets from node 1 to nodes 2 and 3 are lost; packets to node 1 arrive.
one_way_scenario() {
    local restored
    cut_way 1 2
    cut_way 1 3
    cannot_reach 2 1 # the responses are lost
    make_changes 1
    make_changes 2
    hold $((TTL_SECS + 3)) shows_everything
    make_changes 3
    restored=$(now_ms)
    restore_way 1 2
    restore_way 1 3
    agree_within $SOON_SECS "$restored" "after the link was restored"
    no_evictions
    returns_nothing $NODES
    REPORT="no evictions, $AGREED"
}

# Changes on every node while packets are delayed or lost; the nodes must still agree.
changes_on_bad_lines() {
    local n changed
    for n in $NODES; do make_changes "$n"; done
    changed=$(now_ms)
    agree_within $ROUNDS_SECS "$changed" "during the fault"
    REPORT=$AGREED
    hold $((TTL_SECS + 2)) shows_everything
    for n in $NODES; do make_changes "$n"; done
}

check_after_bad_lines() { # SINCE_MS
    agree_within $SOON_SECS "$1" "after the fault"
    REPORT+=", $AGREED, no evictions"
    no_evictions
    returns_nothing $NODES
}

# Every packet takes 200 ms.
slow_scenario() {
    local restored
    degrade_lines 200 0
    takes_ms 400 2
    changes_on_bad_lines
    restored=$(now_ms)
    restore_lines
    check_after_bad_lines "$restored"
}

# takes_ms MS N: fails unless a response from node N to node 1 takes at least MS.
takes_ms() {
    local start took
    start=$(now_ms)
    on 1 curl -s -m 5 -o /dev/null "http://$(address "$2"):8080/health"
    took=$(($(now_ms) - start))
    [ "$took" -ge "$1" ] || violated "the fault has no effect: n$2 responded to n1 after $took ms"
}

# 20 of 100 packets are lost.
lossy_scenario() {
    local restored before
    before=$(retransmitted)
    degrade_lines 0 20
    changes_on_bad_lines
    [ "$(retransmitted)" -ge $((before + 10)) ] || violated "the fault has no effect: n1 retransmitted fewer than 10 segments"
    restored=$(now_ms)
    restore_lines
    check_after_bad_lines "$restored"
}

# The number of TCP segments that node 1 has retransmitted.
retransmitted() { on 1 awk '/^Tcp:/ { value = $13 } END { print value }' /proc/net/snmp; }

# A node is killed and its clients use the next one. When it starts, it is ready only after it holds
# everything.
killed_scenario() {
    local n started
    kill_node 4
    make_changes 1
    make_changes 3
    hold $((TTL_SECS + 2)) others_show_everything
    started=$(now_ms)
    start_node 4
    if ! wait_ready 4 20; then
        violated "n4 is not ready 20 s after its start"
        return
    fi
    REPORT="ready $(seconds $(($(now_ms) - started))) after its start"
    shown 4 >"$WORK/shown.4"
    wanted $NODES >"$WORK/wanted"
    cmp -s "$WORK/wanted" "$WORK/shown.4" || {
        violated "n4 was ready before it had what the others have"
        diff "$WORK/wanted" "$WORK/shown.4"
    }
    agree_within $SOON_SECS "$started" "after its start"
    for n in 1 2 3 5; do evicted_nothing_of "$n" $NODES; done
    returns_nothing 1 2 3 5
    REPORT+=", $AGREED"
}

others_show_everything() {
    local n
    for n in 1 2 3 5; do shows_all_of "$n" $NODES || return 1; done
}

# Two processes are paused for three TTLs. By their clocks every lease has expired when they continue,
# so they must ask their peers first. Two are paused, because one alone may read its peers' queued
# messages before it checks its leases. They serve nothing until they have compared themselves.
stopped_scenario() {
    local continued
    kill -STOP "${NODE_PID[2]}" "${NODE_PID[4]}"
    cannot_reach 1 2
    cannot_reach 1 4
    make_changes 1
    make_changes 3
    hold $((3 * TTL_SECS)) others_show_all
    continued=$(now_ms)
    kill -CONT "${NODE_PID[2]}" "${NODE_PID[4]}"
    serves_everything_or_nothing 2
    serves_everything_or_nothing 4
    wait_ready 2 $SOON_SECS && wait_ready 4 $SOON_SECS || violated "n2 or n4 is not ready again"
    agree_within $SOON_SECS "$continued" "after they continued"
    no_evictions
    returns_nothing $NODES
    REPORT=$AGREED
}

# serves_everything_or_nothing N: asks N for its list; 503 is allowed.
serves_everything_or_nothing() {
    wanted $NODES >"$WORK/wanted"
    shown "$1" >"$WORK/shown.$1"
    [ ! -s "$WORK/shown.$1" ] || cmp -s "$WORK/wanted" "$WORK/shown.$1" && return 0
    violated "n$1 serves an old list"
    diff "$WORK/wanted" "$WORK/shown.$1"
    return 1
}

# All nodes lose their power at once and start without data. Clients never get a list that is empty or
# lacks what is registered; they get 503 until the instances are registered again.
power_failure_scenario() {
    local n started deadline code served=""
    for n in $NODES; do kill_node "$n"; done
    GRACE_SECS=30
    started=$(now_ms)
    for n in $NODES; do start_node "$n"; done
    GRACE_SECS=0
    deadline=$((started + GRACE_LIMIT_SECS * 1000))
    until [ "$(wc -w <<<"$served")" -eq 5 ]; do
        for n in $NODES; do
            code=$(ask "$n" /api/discovery/services -o "$WORK/body.$n" -w '%{http_code}')
            [ "$code" = 200 ] || continue
            [[ " $served " == *" $n "* ]] || served+=" $n"
            serves_everything_or_nothing "$n" || break 2
        done
        [ "$(now_ms)" -lt "$deadline" ] || break
        sleep 0.1
    done
    [ "$(wc -w <<<"$served")" -eq 5 ] || violated "only these nodes serve discovery: ${served:-none}"
    REPORT="ready $(seconds $(($(now_ms) - started))) after the start"
    agree_within $SOON_SECS "$(now_ms)" "after the start"
    REPORT+=", $AGREED"
}

others_show_all() {
    local n
    for n in 1 3 5; do shows_all_of "$n" $NODES || return 1; done
}

# The nodes reach each other only along the chain 1-2-3-4-5. Renewals at n1 reach n5 over four hops,
# before each lease ends there.
chain_scenario() {
    local a b restored
    for a in 1 2 3; do
        for b in $(seq $((a + 2)) 5); do cut_link "$a" "$b"; done
    done
    cannot_reach 1 3
    cannot_reach 5 2
    hold $((4 * TTL_SECS)) shows_everything
    restored=$(now_ms)
    for a in 1 2 3; do
        for b in $(seq $((a + 2)) 5); do restore_link "$a" "$b"; done
    done
    agree_within $SOON_SECS "$restored" "after the links were restored"
    no_evictions
    REPORT="no evictions, $AGREED"
}

# Every packet takes 300 ms, and two nodes cannot reach each other: the lease check of one for the
# clients of the other takes longer than the 500 ms of a fast network.
far_scenario() {
    local restored
    degrade_lines 300 0
    takes_ms 600 2
    sleep 11 # two health checks: the nodes have measured the round trip
    cut_link 1 2
    cannot_reach 1 2
    hold $((4 * TTL_SECS)) shows_everything
    restored=$(now_ms)
    restore_link 1 2
    restore_lines
    agree_within $SOON_SECS "$restored" "after the fault"
    no_evictions
    REPORT="no evictions, $AGREED"
}

# Most leases of the cluster end at once, so the guards engage and keep them. A node that starts then
# shows them too; after each node has restarted in turn nothing is lost; and a release at one node
# reaches all.
guard_scenario() {
    local n released ids
    mapfile -t ids < <(seq 9000 9089)
    printf '%s 1\n' "${ids[@]}" | call_ok 1 1 register instances
    sleep $((TTL_SECS + 3))
    guarded_everywhere 90 "before a restart" || return 1
    for n in $NODES; do
        kill_node "$n"
        start_node "$n"
        wait_ready "$n" 20 || violated "n$n is not ready 20 s after its start"
        shows_guarded "$n" 90 "when it becomes ready" || return 1
    done
    guarded_everywhere 90 "after the restarts" || return 1
    released=$(now_ms)
    ask 3 /api/status/leases/release -f -o /dev/null -X POST -d '{}' || violated "n3 does not release its guards"
    agree_within $SOON_SECS "$released" "after the release at n3"
    REPORT="nothing lost in five restarts, $AGREED"
}

# shows_guarded N COUNT WHEN: node N shows COUNT instances that nobody renews.
shows_guarded() {
    local count
    count=$(shown "$1" | grep -c '/i90')
    [ "$count" -eq "$2" ] || { violated "n$1 shows $count of $2 guarded instances $3" && return 1; }
}

# guarded_everywhere COUNT WHEN: every node shows COUNT instances that nobody renews.
guarded_everywhere() {
    local n
    for n in $NODES; do shows_guarded "$n" "$@" || return 1; done
}

# --- the clock ------------------------------------------------------------------------------------------
faketime_library() {
    local file
    for file in /usr/lib/*/faketime/libfaketimeMT.so.1; do
        [ -r "$file" ] && echo "$file" && return 0
    done
    return 1
}

# Prints the wall clock of node 3 minus that of this machine, in seconds.
clock_offset() {
    local date
    date=$(ask 3 /health -o /dev/null -D - | sed -n 's/^Date: \(.*\)\r$/\1/p')
    echo $(($(date -d "$date" +%s) - $(date +%s)))
}

# set_clock SECONDS: sets the wall clock of node 3 and waits until its responses show that time.
set_clock() {
    local tries offset
    echo "$1" >"$WORK/clock.new" && mv "$WORK/clock.new" "$WORK/clock"
    for ((tries = 0; tries < 100; tries++)); do
        offset=$(clock_offset)
        [ $((offset - $1)) -ge -3 ] && [ $((offset - $1)) -le 3 ] && return 0
        sleep 0.1
    done
    violated "the clock of n3 is at $offset s instead of $1 s"
    return 1
}

start_with_clock() { # LIBRARY
    start_node 3 env "LD_PRELOAD=$1" "FAKETIME_TIMESTAMP_FILE=$WORK/clock" \
        FAKETIME_DONT_FAKE_MONOTONIC=1 FAKETIME_CACHE_DURATION=1
    wait_ready 3 20 || violated "n3 is not ready 20 s after its start with another clock"
}

# later_wins FIRST SECOND WHEN: changes an instance at node FIRST and then at node SECOND; the later
# change must win on all nodes.
later_wins() {
    local id
    id=$(first_of "$1")
    change "$1" "$id"
    agree_within $SOON_SECS "$(now_ms)" "before $3"
    move "$1" "$2" "$id"
    change "$2" "$id"
    agree_within $SOON_SECS "$(now_ms)" "on a change $3"
}

clock_scenario() {
    local library n
    if ! library=$(faketime_library); then
        skip "clock: faketime is not installed (apt-get install faketime)"
        return 1
    fi
    echo +0 >"$WORK/clock"
    kill_node 3
    start_with_clock "$library"
    agree_within $ROUNDS_SECS "$(now_ms)" "after the start of n3"
    set_clock +3600 && later_wins 3 1 "with n3 an hour ahead"
    set_clock -3600 && later_wins 2 3 "with n3 an hour behind"
    behind_while_isolated
    kill_node 3
    echo -7200 >"$WORK/clock"
    start_with_clock "$library"
    later_wins 4 3 "with n3 started two hours behind"
    kill_node 3
    echo +36000 >"$WORK/clock" # further ahead than cluster.max_clock_skew_secs
    start_with_clock "$library"
    later_wins 3 4 "with n3 started ten hours ahead"
    kill_node 3
    start_node 3
    wait_ready 3 20 || violated "n3 is not ready 20 s after its start"
    agree_within $ROUNDS_SECS "$(now_ms)" "after the start of n3"
    for n in 1 2 4 5; do evicted_nothing_of "$n" $NODES; done
    REPORT="the later change won with a clock +1 h, -1 h, -2 h, +10 h; $AGREED"
}

# Node 3 is isolated and its clock is set back: its later change must still win.
behind_while_isolated() {
    local id restored
    id=$(first_of 1)
    isolate 3
    set_clock -5400
    change 1 "$id"
    move 1 3 "$id"
    change 3 "$id"
    restored=$(now_ms)
    rejoin 3
    agree_within $SOON_SECS "$restored" "after a change at n3, isolated and an hour and a half behind"
}

# --- the long one ---------------------------------------------------------------------------------------
ten_minutes_scenario() {
    local end restored turn=0
    isolate 5
    cannot_reach 5 1
    end=$(($(now_ms) + TEN_MINUTES_SECS * 1000))
    while [ "$(now_ms)" -lt "$end" ]; do
        turn=$((turn + 1))
        make_changes $((turn % 4 + 1))
        [ $((turn % 3)) -ne 0 ] || make_changes 5
        hold 4 each_side_shows_its_own || break
    done
    restored=$(now_ms)
    rejoin 5
    agree_within $SOON_SECS "$restored" "after the link was restored"
    each_side_evicted_nothing_of_its_own
    returns_nothing $NODES
    REPORT="$turn rounds of changes; $AGREED"
}

# --- run --------------------------------------------------------------------------------
show_logs() {
    local n
    for n in $NODES; do
        printf '  --- last lines of n%s ---\n' "$n"
        tail -n 12 "$WORK/log.$n" | cut -c 1-200 | sed 's/^/  /'
    done
}

# run_scenario NAME: starts when all nodes agree and ends when they agree again.
run_scenario() {
    local before=$VIOLATIONS start
    start=$(now_ms)
    REPORT=""
    agree_within $ROUNDS_SECS "$start" "before $1" || {
        show_logs
        return 1
    }
    begin
    "$1_scenario" || [ "$VIOLATIONS" -ne "$before" ] || return 0
    compared_within $ROUNDS_SECS
    if [ "$VIOLATIONS" -eq "$before" ]; then
        printf '  %-12s ok       %s (%s in total)\n' "$1" "$REPORT" "$(seconds $(($(now_ms) - start)))"
    else
        printf '  %-12s FAILED   %s\n' "$1" "$REPORT"
        show_logs
    fi
}

start_cluster() { # SECS: how long the clients run
    local n
    for n in $NODES; do start_node "$n"; done
    for n in $NODES; do
        wait_ready "$n" 20 && continue
        violated "n$n did not start"
        show_logs
        exit 1
    done
    start_clients "$1"
    for n in $NODES; do join "$n" 6; done
}

needs() {
    local tool
    [ "$(id -u)" -eq 0 ] || { skip "everything: namespaces need root (make && sudo make chaos)" && exit 0; }
    for tool in ip curl jq flock; do
        command -v "$tool" >/dev/null || { skip "everything: $tool is not installed" && exit 0; }
    done
    net_up 2>"$WORK/why" ||
        { skip "everything: this machine does not allow network namespaces: $(head -1 "$WORK/why")" && exit 0; }
}

main() {
    local name chosen=${SCENARIO:-$SCENARIOS} secs=300 start
    [ "$chosen" != ten_minutes ] || secs=$((TEN_MINUTES_SECS + 120))
    for name in $chosen; do
        declare -F "${name}_scenario" >/dev/null && continue
        echo "chaos: there is no scenario $name; there are: $SCENARIOS ten_minutes"
        exit 2
    done
    for name in $(compgen -e | grep '^ARTEMIS_'); do unset "$name"; done
    needs
    [ -z "${TOKENS:-}" ] || use_tokens
    [ -z "${SECURE:-}" ] || use_tls
    start=$(now_ms)
    start_cluster "$secs"
    for name in $chosen; do run_scenario "$name"; done
    printf 'chaos: %s scenarios, %s skipped, %s guarantees violated, in %s\n' \
        "$(wc -w <<<"$chosen")" "$SKIPPED" "$VIOLATIONS" "$(seconds $(($(now_ms) - start)))"
    [ "$VIOLATIONS" -eq 0 ]
}

main
