# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# checks.sh - the guarantees, checked on every node over HTTP. chaos.sh sources it.
#
# A scenario calls begin, injects its fault, and calls the checks. violated prints a failed check at once;
# the scenario continues and counts as failed.

now_ms() { echo $((${EPOCHREALTIME/[.,]/} / 1000)); }
seconds() { printf '%d.%02d s' $(($1 / 1000)) $(($1 % 1000 / 10)); } # MS

VIOLATIONS=0
violated() {
    VIOLATIONS=$((VIOLATIONS + 1))
    printf '  VIOLATED: %s\n' "$*"
}

# --- state ----------------------------------------------------------------------------------------
# Lines `SERVICE/INSTANCE PORT GENERATION`, sorted.
wanted() { # NODE...: the instances of the clients of these nodes
    awk '{ printf "s%d/i%d %d %d\n", $1 % 4, $1, 1000 + $1, $2 }' "${@/#/$WORK/wanted.}" | sort
}

shown() { # N
    ask "$1" /api/discovery/services -f |
        jq -r '.services[].instances[]? | "\(.service_id)/\(.instance_id) \(.port) \(.metadata.generation)"' | sort
}

digests() { ask_peer "$1" /api/replication/registry/digest -f -H 'X-Artemis-Replication: true'; }

version() { ask "$1" /api/discovery/services -f | jq .version; }

# --- agreement ----------------------------------------------------------------------------------------------
read_node() { # N: into files, because all nodes are read at the same time
    shown "$1" >"$WORK/shown.$1"
    digests "$1" >"$WORK/digests.$1"
    is_ready "$1" && echo ready >"$WORK/ready.$1" || echo "not ready" >"$WORK/ready.$1"
}

# agree: true if every node is ready, shows exactly what is wanted, and all digests are equal.
agree() {
    local n pids=()
    for n in $NODES; do
        read_node "$n" &
        pids+=($!)
    done
    wait "${pids[@]}"
    # shellcheck disable=SC2086 # a list of words
    wanted $NODES >"$WORK/wanted"
    for n in $NODES; do
        cmp -s "$WORK/wanted" "$WORK/shown.$n" && [ "$(cat "$WORK/ready.$n")" = ready ] &&
            [ -s "$WORK/digests.$n" ] && cmp -s "$WORK/digests.1" "$WORK/digests.$n" || return 1
    done
}

print_disagreement() {
    local n
    for n in $NODES; do
        printf '  n%s is %s; wanted but not shown (-), shown but not wanted (+):\n' "$n" "$(cat "$WORK/ready.$n")"
        diff "$WORK/wanted" "$WORK/shown.$n" | sed -n 's/^</    -/p; s/^>/    +/p' | head -12
        cmp -s "$WORK/digests.1" "$WORK/digests.$n" || echo "    its digests differ from those of n1"
    done
}

# agree_within SECS SINCE_MS WHEN: waits until the nodes agree; sets AGREED to the time as text.
# shellcheck disable=SC2034 # for the scenarios
agree_within() {
    local took
    while :; do
        if agree; then
            took=$(($(now_ms) - $2))
            break
        fi
        took=$(($(now_ms) - $2))
        [ "$took" -le $(($1 * 1000)) ] || break
        sleep 0.02
    done
    AGREED="agreed $(seconds "$took") $3"
    # A check that started before the deadline counts by the time of its end.
    [ "$took" -gt $(($1 * 1000)) ] || return 0
    violated "the nodes do not agree within $1 s $3"
    print_disagreement
    return 1
}

# compared_within SECS: waits until every node reports no difference in its last anti-entropy round.
compared_within() {
    local n deadline=$(($(now_ms) + $1 * 1000)) bad
    while :; do
        bad=""
        for n in $NODES; do
            bad+=$(ask "$n" /api/status/cluster -f | jq -r --arg n "n$n" '.peers[] |
                select(.health != "self" and (.health != "up" or .digests_differing != 0)) |
                "\($n) of \(.node_id // .url): \(.health), \(.digests_differing) digests differ; "')
        done
        [ -n "$bad" ] || return 0
        [ "$(now_ms)" -lt "$deadline" ] || break
        sleep 0.1
    done
    violated "after two anti-entropy rounds: $bad"
    return 1
}

# --- changes during a scenario ---------------------------------------------------------------------------
# begin: deletions and rejections count from here. What is registered now must stay.
begin() {
    local n
    for n in $NODES; do
        version "$n" >"$WORK/version.$n"
        wanted "$n" | cut -d' ' -f1 >"$WORK/staying.$n"
    done
    : >"$WORK/gone"
    : >"$WORK/refused"
}

# changes N: what changed at N since begin: lines `SERVICE/INSTANCE new|change|delete TIME`, in order.
changes() {
    ask "$1" "/api/discovery/services-delta?version=$(cat "$WORK/version.$1")" -f |
        jq -r 'if .delta == null then error(.response_status.reason) else
            .delta[][] | "\(.instance.service_id)/\(.instance.instance_id) \(.change_type) \(.change_time)" end'
}

gone() { awk '{ printf "s%d/i%d\n", $1 % 4, $1 }' "$WORK/gone" | sort -u; }

# staying HOME...: instances that were wanted at begin and not unregistered since.
staying() { cat "${@/#/$WORK/staying.}" | sort | comm -23 - <(gone); }

# evicted_nothing_of N HOME...: N deleted no instance of these nodes' clients that must stay.
evicted_nothing_of() {
    local lost
    changes "$1" >"$WORK/changes" || violated "n$1 does not list its changes"
    lost=$(awk '$2 == "delete" { print $1 }' "$WORK/changes" | sort -u | comm -12 - <(staying "${@:2}"))
    [ -z "$lost" ] && return 0
    violated "n$1 evicted renewed instances: $(tr '\n' ' ' <<<"$lost")"
    return 1
}

# no_evictions: no node deleted a renewed instance, and no heartbeat was refused.
no_evictions() {
    local n
    for n in $NODES; do evicted_nothing_of "$n" $NODES; done
    [ -s "$WORK/refused" ] || return 0
    violated "heartbeats were refused: $(head -5 "$WORK/refused" | tr '\n' ';')"
}

# returns_nothing NODE...: no instance that was unregistered and deleted since begin returned.
returns_nothing() {
    local n back
    for n in "$@"; do
        changes "$n" >"$WORK/changes" || violated "n$n does not list its changes"
        back=$(awk 'NR == FNR { left["s" $1 % 4 "/i" $1] = $2; next }
            $1 in left && $2 == "delete" && $3 >= left[$1] { went[$1] }
            $1 in went && $2 == "new" { print $1 }' "$WORK/gone" "$WORK/changes" | sort -u)
        [ -z "$back" ] || violated "n$n has unregistered instances again: $(tr '\n' ' ' <<<"$back")"
    done
}

# cannot_reach A B: fails if the fault has no effect.
cannot_reach() {
    on "$1" curl -s -m 0.5 -o /dev/null "http://$(address "$2"):8080/health" || return 0
    violated "the fault has no effect: n$1 still reaches n$2"
}

# hold SECS COMMAND...: repeats the command for this long; fails when it fails.
hold() {
    local end=$(($(now_ms) + $1 * 1000))
    while [ "$(now_ms)" -lt "$end" ]; do
        "${@:2}" || return 1
        sleep 0.1
    done
}

# shows_all_of N HOME...: N shows all instances of these nodes' clients that must stay.
shows_all_of() {
    local missing
    missing=$(staying "${@:2}" | comm -23 - <(shown "$1" | cut -d' ' -f1))
    [ -z "$missing" ] && return 0
    violated "n$1 does not show: $(tr '\n' ' ' <<<"$missing")"
    return 1
}
