# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# checks.sh - what must hold, asked of every node over HTTP. To be sourced by chaos.sh.
#
# A scenario says begin, makes its fault, and asks. What is violated is told at once by violated; the
# scenario goes on, and counts as failed.

now_ms() { echo $((${EPOCHREALTIME/[.,]/} / 1000)); }
seconds() { printf '%d.%02d s' $(($1 / 1000)) $(($1 % 1000 / 10)); } # MS

VIOLATIONS=0
violated() {
    VIOLATIONS=$((VIOLATIONS + 1))
    printf '  VIOLATED: %s\n' "$*"
}

# --- what there is ----------------------------------------------------------------------------------------
# Lines `SERVICE/INSTANCE PORT GENERATION`, sorted.
wanted() { # NODE...: of the clients whose home they are
    awk '{ printf "s%d/i%d %d %d\n", $1 % 4, $1, 1000 + $1, $2 }' "${@/#/$WORK/wanted.}" | sort
}

shown() { # N
    ask "$1" /api/discovery/services -f |
        jq -r '.services[].instances[]? | "\(.service_id)/\(.instance_id) \(.port) \(.metadata.generation)"' | sort
}

digests() { ask "$1" /api/replication/registry/digest -f -H 'X-Artemis-Replication: true'; }

version() { ask "$1" /api/discovery/services -f | jq .version; }

# --- agreement ----------------------------------------------------------------------------------------------
look_at() { # N: into files, as all nodes are asked at a time
    shown "$1" >"$WORK/shown.$1"
    digests "$1" >"$WORK/digests.$1"
    is_ready "$1" && echo ready >"$WORK/ready.$1" || echo "not ready" >"$WORK/ready.$1"
}

# agree: do all nodes show just what is wanted, are they ready, and are their digests the same?
agree() {
    local n pids=()
    for n in $NODES; do
        look_at "$n" &
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

tell_disagreement() {
    local n
    for n in $NODES; do
        printf '  n%s is %s; against what is wanted (-) it shows (+):\n' "$n" "$(cat "$WORK/ready.$n")"
        diff "$WORK/wanted" "$WORK/shown.$n" | sed -n 's/^</    -/p; s/^>/    +/p' | head -12
        cmp -s "$WORK/digests.1" "$WORK/digests.$n" || echo "    its digests differ from those of n1"
    done
}

# agree_within SECS SINCE_MS WHEN: sets AGREED, in words.
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
    # What was under way when the time was up still counts by its own time.
    [ "$took" -gt $(($1 * 1000)) ] || return 0
    violated "the nodes do not agree within $1 s $3"
    tell_disagreement
    return 1
}

# compared_within SECS: every node says of every peer that the last comparison found no difference.
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
    violated "after two rounds of comparison: $bad"
    return 1
}

# --- what the nodes did meanwhile ---------------------------------------------------------------------------
# begin: from here on, deletions and refusals count. All that is wanted now is to stay.
begin() {
    local n
    for n in $NODES; do
        version "$n" >"$WORK/version.$n"
        wanted "$n" | cut -d' ' -f1 >"$WORK/staying.$n"
    done
    : >"$WORK/gone"
    : >"$WORK/refused"
}

# happened N: what changed at N since begin, lines `SERVICE/INSTANCE new|change|delete TIME` in their order.
happened() {
    ask "$1" "/api/discovery/services-delta?version=$(cat "$WORK/version.$1")" -f |
        jq -r 'if .delta == null then error(.response_status.reason) else
            .delta[][] | "\(.instance.service_id)/\(.instance.instance_id) \(.change_type) \(.change_time)" end'
}

gone() { awk '{ printf "s%d/i%d\n", $1 % 4, $1 }' "$WORK/gone" | sort -u; }

# staying HOME...: what was there at begin, and was not asked to go.
staying() { cat "${@/#/$WORK/staying.}" | sort | comm -23 - <(gone); }

# keeps_all N HOME...: N deleted nothing that lives at those homes.
keeps_all() {
    local lost
    happened "$1" >"$WORK/happened" || violated "n$1 does not tell what changed"
    lost=$(awk '$2 == "delete" { print $1 }' "$WORK/happened" | sort -u | comm -12 - <(staying "${@:2}"))
    [ -z "$lost" ] && return 0
    violated "n$1 evicted what lived: $(tr '\n' ' ' <<<"$lost")"
    return 1
}

# all_keep_all: no node deleted anything that lived; and no client was told that it is not there.
all_keep_all() {
    local n
    for n in $NODES; do keeps_all "$n" $NODES; done
    [ -s "$WORK/refused" ] || return 0
    violated "heartbeats were refused: $(head -5 "$WORK/refused" | tr '\n' ';')"
}

# returns_nothing NODE...: what was unregistered since begin, and went there since, did not come back.
returns_nothing() {
    local n back
    for n in "$@"; do
        happened "$n" >"$WORK/happened" || violated "n$n does not tell what changed"
        back=$(awk 'NR == FNR { left["s" $1 % 4 "/i" $1] = $2; next }
            $1 in left && $2 == "delete" && $3 >= left[$1] { went[$1] }
            $1 in went && $2 == "new" { print $1 }' "$WORK/gone" "$WORK/happened" | sort -u)
        [ -z "$back" ] || violated "n$n took back what was unregistered: $(tr '\n' ' ' <<<"$back")"
    done
}

# cannot_reach A B: so that no scenario passes for want of its fault.
cannot_reach() {
    on "$1" curl -s -m 0.5 -o /dev/null "http://$(address "$2"):8080/health" || return 0
    violated "the fault is none: n$1 still reaches n$2"
}

# hold SECS COMMAND...: for so long, asked again and again, it is true.
hold() {
    local end=$(($(now_ms) + $1 * 1000))
    while [ "$(now_ms)" -lt "$end" ]; do
        "${@:2}" || return 1
        sleep 0.1
    done
}

# shows_all_of N HOME...: N shows all that lives at those homes.
shows_all_of() {
    local missing
    missing=$(staying "${@:2}" | comm -23 - <(shown "$1" | cut -d' ' -f1))
    [ -z "$missing" ] && return 0
    violated "n$1 does not show what lives: $(tr '\n' ' ' <<<"$missing")"
    return 1
}
