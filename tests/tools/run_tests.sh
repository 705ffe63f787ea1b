#!/usr/bin/env bash
# Runs each test program given, prints a line for each, and the whole output of those that fail.
set -u
failed=0 ran=0
for test in "$@"; do
    ran=$((ran + 1))
    start=$(date +%s%N)
    if output=$("$test" 2>&1); then verdict=ok; else verdict="FAILED ($?)"; failed=$((failed + 1)); fi
    printf '  %-8s %6d ms  %s\n' "$verdict" $((($(date +%s%N) - start) / 1000000)) "$test"
    [ "$verdict" = ok ] || printf '%s\n' "$output"
done
[ "$ran" -gt 0 ] || { echo "no test matches"; exit 1; }
[ "$failed" -eq 0 ] && echo "all $ran passed" || { echo "$failed of $ran failed"; exit 1; }
