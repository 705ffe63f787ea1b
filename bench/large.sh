# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# large.sh - the measurements of bench.sh about services with many instances. bench.sh sources it.

FOLLOWERS=1000
FOLLOW_ROUNDS=5

# follow DELTA: 1,000 clients follow a service of 10,000 instances with 100 changes a second. The
# server has one core (serve_on_one_core of batches.sh), the clients have another.
follow() {
    on_other_core "$PROGRAMS/follow" --port "${PORT[artemis]}" --pid "${PID[artemis]}" \
        --clients $FOLLOWERS --instances 10000 --rate 100 --delta "$1"
}

# The round whose p99 is the median; a change that was not received in any round ends it.
follow_rounds() {
    local round
    for ((round = 1; round <= FOLLOW_ROUNDS; round++)); do
        follow 1 >>"$WORK/follow.rounds" || return 1
        say "follow, round $round of $FOLLOW_ROUNDS: $(tail -n 1 "$WORK/follow.rounds")"
    done
    if grep -v 'missing=0 ' "$WORK/follow.rounds" >&2; then
        say "changes were not received"
        return 1
    fi
    sed 's/\(.* p99_ms=\([0-9.]*\).*\)/\2 \1/' "$WORK/follow.rounds" | sort -g |
        sed -n "$(((FOLLOW_ROUNDS + 1) / 2))s/^[^ ]* //p"
}

measure_follow() {
    local report
    serve_on_one_core && fill artemis 10000 10000 || return 1
    say "$FOLLOWERS long polls with delta=1, 10,000 instances, 100 changes a second"
    report=$(follow_rounds) || return 1
    # shellcheck disable=SC2046 # numbers
    set -- $(field p99_ms cores missing response_bytes rate p50_ms write_p50_ms write_p99_ms \
        <<<"$report")
    row follow "100 changes/s of 10,000 to 1,000" "$1" ms \
        "p50 $6, p99 $1 ms; $4 bytes a response, $5/s" '<= 20 ms' 'v <= 20'
    row follow "  cores" "$2" cores "$2 cores; $3 changes not received" '<= 1' "v <= 1 && $3 == 0"
    row follow "  registrations meanwhile" "$8" ms "p50 $7, p99 $8 ms until the response"
    say "the same with whole lists"
    report=$(follow 0) || return 1
    say "follow, whole: $report"
    # shellcheck disable=SC2046 # numbers
    set -- $(field p99_ms cores missing response_bytes rate p50_ms <<<"$report")
    row follow "  with whole lists" "$1" ms \
        "p50 $6, p99 $1 ms; $4 bytes a response, $5/s, $2 cores"
}

measure_large() {
    local report
    serve artemis "$BINARY" server "${COMMON[@]}" --set lease.ttl_secs=86400 &&
        fill artemis 100000 100000 || return 1
    say "responses with 100,000 instances"
    report=$("$PROGRAMS/large" --port "${PORT[artemis]}" --pid "${PID[artemis]}") || return 1
    say "large: $report"
    # shellcheck disable=SC2046 # numbers
    set -- $(field built_ms built_max_ms repeated_ms whole_ms bytes reader_bytes version_bytes \
        <<<"$report")
    row large "first byte of 100,000 instances" "$1" ms \
        "$1 ms after a change (worst $2), repeated $3; all $5 bytes $4 ms" '<= 5 ms' 'v <= 5'
    row large "  memory of a slow reader" "$6" bytes \
        "$(kib "$6") KiB each; each of another version $(kib "$7")" '<= 1 MiB' "v <= 1048576"
}
