#!/usr/bin/env bash
# Runs the given test programs, JOBS at a time (default: the number of cores). Prints a line for each
# with its duration and processor time, and the whole output of those that fail.
#
# TIMES names a file with the durations of earlier runs; this run appends its own. Tests that took
# longest start first, so that none runs alone at the end. Those without a duration start before them.
set -u

if [ "${1:-}" = --one ]; then
    TIMEFORMAT=$'\n%3R %3U %3S'
    if output=$({ time "$2" 2>&1; } 2>&1); then result=ok code=0; else result="FAILED ($?)" code=1; fi
    read -r real user sys <<<"${output##*$'\n'}"
    ms=$((10#${real/[.,]/}))
    cpu_ms=$((10#${user/[.,]/} + 10#${sys/[.,]/}))
    if [ "$code" -eq 0 ]; then output=; else output=$'\n'${output%$'\n'*}; fi
    printf '  %-12s %6d ms, cpu %6d ms  %s%s\n' "$result" "$ms" "$cpu_ms" "$2" "$output"
    [ -z "${TIMES:-}" ] || echo "$ms ${2#build/*/}" >>"$TIMES"
    exit "$code"
fi

in_order() { # TEST...
    [ -s "${TIMES:-}" ] || { printf '%s\n' "$@" && return; }
    # The last duration counts. The name of a test has no variant.
    printf '%s\n' "$@" | awk -v times="$TIMES" '
        BEGIN { while ((getline line <times) > 0) { split(line, part, " "); ms[part[2]] = part[1] } }
        { name = $0; sub(/^build\/[^\/]+\//, "", name); print (name in ms ? ms[name] : 1000000000), $0 }' |
        sort -s -n -r -k 1,1 | cut -d ' ' -f 2-
}

[ $# -gt 0 ] || { echo "no test matches"; exit 1; }
if in_order "$@" | xargs -d '\n' -n 1 -P "${JOBS:-$(nproc)}" "$0" --one; then
    echo "all $# passed"
else
    echo "some of $# failed"
    exit 1
fi
