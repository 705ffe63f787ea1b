#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Real faults against a cluster of five real nodes in network namespaces, with clients that register,
# renew, change and leave all the while. Proves what docs/REPLICATION.md promises, and prints what it
# measured. `make chaos` runs all scenarios but ten_minutes, SCENARIO=name one.
#
# Needs root (`make && sudo make chaos`), a kernel with namespaces, veth and bridge, and the Debian
# packages iproute2, curl and jq; for the jumping clock, faketime. Lines are made slow and lossy by
# wire.c, so no netem is needed. What the machine does not have is skipped, loudly.
set -uo pipefail

here=$(cd "$(dirname "$0")" && pwd)
BINARY=$(realpath "${ARTEMIS_BINARY:?must name the binary to test}")
WIRE=$(realpath "${WIRE:?must name the built tests/chaos/wire.c}")
WORK=$(mktemp -d /tmp/artemis-chaos-XXXXXX)
NODES="1 2 3 4 5"
TTL_SECS=4
COMPARE_SECS=10
ROUNDS_SECS=$((2 * COMPARE_SECS + 2)) # two rounds of comparison, and their own time
SOON_SECS=5                           # so soon after a link's return all nodes agree
TEN_MINUTES_SECS=600
SCENARIOS="cut_link isolated flapping one_way slow lossy killed stopped clock"
AGREED=""
SKIPPED=0

# shellcheck source=tests/chaos/net.sh
. "$here/net.sh"
# shellcheck source=tests/chaos/nodes.sh
. "$here/nodes.sh"
# shellcheck source=tests/chaos/checks.sh
. "$here/checks.sh"

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
# Each sets REPORT, what it measured.

# Two nodes cannot hear each other; the other three hear both.
cut_link_scenario() {
    local healed
    cut_link 1 2
    cannot_reach 1 2
    come_and_go 1
    come_and_go 3
    hold $((TTL_SECS + 3)) shows_everything
    come_and_go 2
    healed=$(now_ms)
    heal_link 1 2
    agree_within $SOON_SECS "$healed" "after healing"
    all_keep_all
    returns_nothing $NODES
    REPORT="nobody evicted, $AGREED"
}

shows_everything() {
    local n
    for n in $NODES; do shows_all_of "$n" $NODES || return 1; done
}

# On both sides instances come and go, and each side keeps what lives on it.
isolated_scenario() {
    local healed moved
    isolate 5
    cannot_reach 5 1
    moved=$(first_of 5)
    come_and_go 5
    come_and_go 1
    move 5 2 "$moved" # its client turns to another node, and leaves there
    leave 2 "$moved"
    hold $((TTL_SECS + 3)) each_side_shows_its_own
    come_and_go 5
    come_and_go 3
    healed=$(now_ms)
    rejoin 5
    agree_within $SOON_SECS "$healed" "after the link's return"
    each_side_keeps_its_own
    returns_nothing $NODES
    REPORT=$AGREED
}

each_side_shows_its_own() {
    local n
    for n in 1 2 3 4; do shows_all_of "$n" 1 2 3 4 || return 1; done
    shows_all_of 5 5
}

each_side_keeps_its_own() {
    local n
    for n in 1 2 3 4; do keeps_all "$n" 1 2 3 4; done
    keeps_all 5 5
}

# The plug of one node has a bad contact: each time something leaves elsewhere while its lease still
# lives here. It is never out for so long that a lease could end, nor in for too short to be heard.
flapping_scenario() {
    local pause moved healed
    join 5 4
    for pause in 0.3 1.5 0.7 1.2; do
        sleep 1.5
        isolate 5
        moved=$(first_of 5)
        move 5 2 "$moved"
        leave 2 "$moved"
        come_and_go 5
        come_and_go 1
        sleep "$pause"
        healed=$(now_ms)
        rejoin 5
    done
    agree_within $SOON_SECS "$healed" "after the last return"
    all_keep_all
    returns_nothing $NODES
    REPORT="nobody evicted, $AGREED"
}

# What node 1 sends to node 2 and to node 3 is lost; what they send arrives.
one_way_scenario() {
    local healed
    cut_way 1 2
    cut_way 1 3
    cannot_reach 2 1 # the answers are lost
    come_and_go 1
    come_and_go 2
    hold $((TTL_SECS + 3)) shows_everything
    come_and_go 3
    healed=$(now_ms)
    heal_way 1 2
    heal_way 1 3
    agree_within $SOON_SECS "$healed" "after healing"
    all_keep_all
    returns_nothing $NODES
    REPORT="nobody evicted, $AGREED"
}

# Changes on every node while the lines are bad, and they agree all the same.
on_bad_lines() {
    local n changed
    for n in $NODES; do come_and_go "$n"; done
    changed=$(now_ms)
    agree_within $ROUNDS_SECS "$changed" "while it lasts"
    REPORT=$AGREED
    hold $((TTL_SECS + 2)) shows_everything
    for n in $NODES; do come_and_go "$n"; done
}

after_bad_lines() { # SINCE_MS
    agree_within $SOON_SECS "$1" "after it"
    REPORT+=", $AGREED, nobody evicted"
    all_keep_all
    returns_nothing $NODES
}

# Every packet takes 200 ms.
slow_scenario() {
    local healed
    bad_lines 200 0
    takes_ms 400
    on_bad_lines
    healed=$(now_ms)
    good_lines
    after_bad_lines "$healed"
}

# takes_ms MS: so long, at least, does an answer from another node take.
takes_ms() {
    local start took
    start=$(now_ms)
    on 1 curl -s -m 5 -o /dev/null "http://$(address 2):8080/health"
    took=$(($(now_ms) - start))
    [ "$took" -ge "$1" ] || violated "the fault is none: n2 answered n1 after $took ms"
}

# Of 100 packets, 20 are lost.
lossy_scenario() {
    local healed before
    before=$(sent_again)
    bad_lines 0 20
    on_bad_lines
    [ "$(sent_again)" -ge $((before + 10)) ] || violated "the fault is none: n1 had hardly to send anything again"
    healed=$(now_ms)
    good_lines
    after_bad_lines "$healed"
}

# The segments of TCP that node 1 has sent again so far.
sent_again() { on 1 awk '/^Tcp:/ { value = $13 } END { print value }' /proc/net/snmp; }

# A node dies, its clients turn to the next; it starts, and says ready only when it has everything.
killed_scenario() {
    local n started
    kill_node 4
    come_and_go 1
    come_and_go 3
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
        violated "n4 said ready before it had what the others have"
        diff "$WORK/wanted" "$WORK/shown.4"
    }
    agree_within $SOON_SECS "$started" "after its start"
    for n in 1 2 3 5; do keeps_all "$n" $NODES; done
    returns_nothing 1 2 3 5
    REPORT+=", $AGREED"
}

others_show_everything() {
    local n
    for n in 1 2 3 5; do shows_all_of "$n" $NODES || return 1; done
}

# Two processes stand still for three leases, and go on as if nothing had been: by their clocks all have
# ended, and they must ask before they believe that. What peers had told them meanwhile may come first,
# so two of them find more than one.
stopped_scenario() {
    local went_on
    kill -STOP "${NODE_PID[2]}" "${NODE_PID[4]}"
    cannot_reach 1 2
    cannot_reach 1 4
    come_and_go 1
    come_and_go 3
    hold $((3 * TTL_SECS)) standing_still
    went_on=$(now_ms)
    kill -CONT "${NODE_PID[2]}" "${NODE_PID[4]}"
    shows_all_of 2 $NODES
    shows_all_of 4 $NODES
    agree_within $SOON_SECS "$went_on" "after they went on"
    all_keep_all
    returns_nothing $NODES
    REPORT=$AGREED
}

standing_still() {
    local n
    for n in 1 3 5; do shows_all_of "$n" $NODES || return 1; done
}

# --- the clock ------------------------------------------------------------------------------------------
faketime_library() {
    local file
    for file in /usr/lib/*/faketime/libfaketimeMT.so.1; do
        [ -r "$file" ] && echo "$file" && return 0
    done
    return 1
}

# The node's idea of the time, against ours, in seconds.
clock_offset() {
    local date
    date=$(ask 3 /health -o /dev/null -D - | sed -n 's/^Date: \(.*\)\r$/\1/p')
    echo $(($(date -d "$date" +%s) - $(date +%s)))
}

# wind SECONDS: sets the wall clock of node 3, and waits until it tells that time.
wind() {
    local tries offset
    echo "$1" >"$WORK/clock.new" && mv "$WORK/clock.new" "$WORK/clock"
    for ((tries = 0; tries < 100; tries++)); do
        offset=$(clock_offset)
        [ $((offset - $1)) -ge -3 ] && [ $((offset - $1)) -le 3 ] && return 0
        sleep 0.1
    done
    violated "the clock of n3 was not wound by $1 s, but is at $offset s"
    return 1
}

start_with_clock() { # LIBRARY
    start_node 3 env "LD_PRELOAD=$1" "FAKETIME_TIMESTAMP_FILE=$WORK/clock" \
        FAKETIME_DONT_FAKE_MONOTONIC=1 FAKETIME_CACHE_DURATION=1
    wait_ready 3 20 || violated "n3 is not ready 20 s after its start with another clock"
}

# An instance is changed at one node and then at another; the later change must stand at all.
# later_wins FIRST SECOND WHEN
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
        skip "clock: no faketime to wind a clock with (apt-get install faketime)"
        return 1
    fi
    echo +0 >"$WORK/clock"
    kill_node 3
    start_with_clock "$library"
    agree_within $ROUNDS_SECS "$(now_ms)" "after the start of n3"
    wind +3600 && later_wins 3 1 "with n3 an hour ahead"
    wind -3600 && later_wins 2 3 "with n3 an hour behind"
    behind_while_cut_off
    kill_node 3
    echo -7200 >"$WORK/clock"
    start_with_clock "$library"
    later_wins 4 3 "with n3 started two hours behind"
    kill_node 3
    start_node 3
    wait_ready 3 20 || violated "n3 is not ready 20 s after its start"
    agree_within $ROUNDS_SECS "$(now_ms)" "after the start of n3"
    for n in 1 2 4 5; do keeps_all "$n" $NODES; done
    REPORT="the later change won with a clock +1 h, -1 h, -2 h; $AGREED"
}

# Cut off from the others, and its clock set back: its later change counts as later all the same.
behind_while_cut_off() {
    local id healed
    id=$(first_of 1)
    isolate 3
    wind -5400
    change 1 "$id"
    move 1 3 "$id"
    change 3 "$id"
    healed=$(now_ms)
    rejoin 3
    agree_within $SOON_SECS "$healed" "after a change at n3, cut off and an hour and a half behind"
}

# --- the long one ---------------------------------------------------------------------------------------
ten_minutes_scenario() {
    local end healed turn=0
    isolate 5
    cannot_reach 5 1
    end=$(($(now_ms) + TEN_MINUTES_SECS * 1000))
    while [ "$(now_ms)" -lt "$end" ]; do
        turn=$((turn + 1))
        come_and_go $((turn % 4 + 1))
        [ $((turn % 3)) -ne 0 ] || come_and_go 5
        hold 4 each_side_shows_its_own || break
    done
    healed=$(now_ms)
    rejoin 5
    agree_within $SOON_SECS "$healed" "after the link's return"
    each_side_keeps_its_own
    returns_nothing $NODES
    REPORT="$turn times instances came and went; $AGREED"
}

# --- one after the other --------------------------------------------------------------------------------
show_logs() {
    local n
    for n in $NODES; do
        printf '  --- last lines of n%s ---\n' "$n"
        tail -n 12 "$WORK/log.$n" | cut -c 1-200 | sed 's/^/  /'
    done
}

# run_scenario NAME: from agreement to agreement.
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
        printf '  %-12s ok       %s (%s in all)\n' "$1" "$REPORT" "$(seconds $(($(now_ms) - start)))"
    else
        printf '  %-12s FAILED   %s\n' "$1" "$REPORT"
        show_logs
    fi
}

start_cluster() { # SECS that the clients go on
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
    [ "$(id -u)" -eq 0 ] || { skip "all of it: namespaces need root (make && sudo make chaos)" && exit 0; }
    for tool in ip curl jq flock; do
        command -v "$tool" >/dev/null || { skip "all of it: there is no $tool on this machine" && exit 0; }
    done
    net_up 2>"$WORK/why" ||
        { skip "all of it: this machine does not allow network namespaces: $(head -1 "$WORK/why")" && exit 0; }
}

main() {
    local name chosen=${SCENARIO:-$SCENARIOS} secs=300 start
    [ "$chosen" != ten_minutes ] || secs=$((TEN_MINUTES_SECS + 120))
    for name in $chosen; do
        declare -F "${name}_scenario" >/dev/null && continue
        echo "chaos: there is no scenario $name, but: $SCENARIOS ten_minutes"
        exit 2
    done
    for name in $(compgen -e | grep '^ARTEMIS_'); do unset "$name"; done
    needs
    start=$(now_ms)
    start_cluster "$secs"
    for name in $chosen; do run_scenario "$name"; done
    printf 'chaos: %s scenarios, %s skipped, %s promises violated, in %s\n' \
        "$(wc -w <<<"$chosen")" "$SKIPPED" "$VIOLATIONS" "$(seconds $(($(now_ms) - start)))"
    [ "$VIOLATIONS" -eq 0 ]
}

main
