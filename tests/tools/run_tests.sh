#!/usr/bin/env bash
# Runs the given test programs, JOBS at a time (default: the number of cores). Prints a line for each,
# and the whole output of those that fail.
set -u

if [ "${1:-}" = --one ]; then
    start=$(date +%s%N)
    if output=$("$2" 2>&1); then result=ok code=0; else result="FAILED ($?)" code=1; fi
    ms=$((($(date +%s%N) - start) / 1000000))
    if [ "$code" -eq 0 ]; then output=; else output=$'\n'$output; fi
    printf '  %-12s %6d ms  %s%s\n' "$result" "$ms" "$2" "$output"
    exit "$code"
fi

[ $# -gt 0 ] || { echo "no test matches"; exit 1; }
if printf '%s\0' "$@" | xargs -0 -n 1 -P "${JOBS:-$(nproc)}" "$0" --one; then
    echo "all $# passed"
else
    echo "some of $# failed"
    exit 1
fi
