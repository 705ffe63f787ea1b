# shellcheck shell=bash disable=SC2034
# SPDX-License-Identifier: Apache-2.0
#
# regions.sh - the scenario with two regions. chaos.sh sources it.

# Nodes 4 and 5 are in another region, 150 ms away. Renewals reach it every two thirds of a second, a sixth
# of TTL_SECS. Then the link between the regions is cut.
regions_scenario() {
    local n changed restored
    for n in 4 5; do
        REGION[$n]=east
        kill_node "$n"
        start_node "$n"
    done
    for n in 4 5; do
        wait_ready "$n" 20 || violated "n$n is not ready 20 s after its start in another region"
    done
    split_regions 75 4 5
    takes_ms 300 4 # with a new connection
    agree_within $SOON_SECS "$(now_ms)" "after the start in two regions"
    begin
    make_changes 1
    make_changes 4
    changed=$(now_ms)
    agree_within $SOON_SECS "$changed" "between two regions"
    REPORT=$AGREED
    hold $TTL_SECS shows_everything # a health check shows the region of a peer
    is_remote 1 4 true
    is_remote 4 1 true
    is_remote 4 5 false
    no_evictions
    cut_regions
    cannot_reach 1 4
    make_changes 2
    make_changes 5
    hold $((TTL_SECS + 1)) each_region_shows_its_own
    make_changes 1
    make_changes 4
    restored=$(now_ms)
    restore_regions
    agree_within $SOON_SECS "$restored" "after the cut"
    REPORT+=", $AGREED"
    each_region_evicted_nothing_of_its_own
    returns_nothing $NODES
    join_regions
}

# is_remote N PEER WORD: checks what N shows about a peer.
is_remote() {
    local word
    word=$(ask "$1" /api/status/cluster -f | jq -r --arg id "n$2" '.peers[] | select(.node_id == $id).remote')
    [ "$word" = "$3" ] || violated "n$1 shows remote $word for n$2 instead of $3"
}

each_region_shows_its_own() {
    local n
    for n in 1 2 3; do shows_all_of "$n" 1 2 3 || return 1; done
    for n in 4 5; do shows_all_of "$n" 4 5 || return 1; done
}

each_region_evicted_nothing_of_its_own() {
    local n
    for n in 1 2 3; do evicted_nothing_of "$n" 1 2 3; done
    for n in 4 5; do evicted_nothing_of "$n" 4 5; done
}
