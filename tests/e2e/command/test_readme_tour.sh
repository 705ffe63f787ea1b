#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs the tour in README.md: every command in a ```console block between `<!-- tour -->` and
# `<!-- end tour -->` is run in order against a new server, and must print the lines below it.
# `...` in such a line matches any text. A command may continue after a backslash at the end of its
# line. 127.0.0.1:8080 is replaced by the address of the server, and build/artemis by the binary
# under test.
set -euo pipefail

readme="$(cd "$(dirname "$0")/../../.." && pwd)/${README:-README.md}"
binary="$(realpath "${ARTEMIS_BINARY:?must name the binary to test}")"
folder="$(mktemp -d /tmp/artemis-test-XXXXXX)"
server=0
failed=0

finish() {
    [ "$server" -eq 0 ] || kill "$server" 2>/dev/null || true
    wait
    if [ "$failed" -ne 0 ] && [ -s "$folder/log" ]; then
        printf -- '--- log of the server ---\n'
        cat "$folder/log"
    fi
    rm -rf "$folder"
}
trap finish EXIT

fail() {
    failed=1
    printf 'README tour: %s\n' "$*"
    exit 1
}

# Starts the server, waits until it listens, and sets `address`.
start_server() {
    local name deadline=$((SECONDS + 60))
    for name in $(compgen -e | grep '^ARTEMIS_' || true); do
        unset "$name"
    done
    # The shell creates the output files of a background command in the child, some time later.
    : >"$folder/out"
    "$binary" server --addr 127.0.0.1:0 >"$folder/out" 2>"$folder/log" &
    server=$!
    while [ $SECONDS -lt $deadline ]; do
        address="$(sed -n 's/^Listening on \(127\.0\.0\.1:[0-9]*\)$/\1/p' "$folder/out")"
        [ -z "$address" ] || return 0
        kill -0 "$server" 2>/dev/null || fail "the server did not start"
        sleep 0.05
    done
    fail "the server does not print its address within 60 s"
}

# Prints the console blocks of the tour.
tour() {
    # shellcheck disable=SC2016 # the backquotes are Markdown's
    sed -n '/^<!-- tour -->$/,/^<!-- end tour -->$/p' "$readme" |
        sed -n '/^```console$/,/^```$/p' | sed '/^```/d'
}

# True if a line matches the expected line.
matches() {
    local line=$1 pattern=$2 special
    for special in \\ '*' '?' '[' ']'; do
        pattern="${pattern//"$special"/\\"$special"}"
    done
    pattern="${pattern//.../*}"
    # shellcheck disable=SC2053 # it is meant as a pattern
    [[ $line == $pattern ]]
}

# Runs the command and compares its output with $expected. $shown has the expected line where the
# output matches, so that diff prints only the other lines.
run_step() {
    local command=$1 output i shown="$folder/shown" wanted="$folder/wanted"
    local -a lines=()
    command="${command//127.0.0.1:8080/$address}"
    command="${command//build\/artemis/"$binary"}"
    output="$(ARTEMIS_URL="http://$address" bash -c "$command" 2>&1 </dev/null)" || true
    [ -z "$output" ] || mapfile -t lines <<<"$output"
    printf '%s\n' "\$ $1" | tee "$shown" >"$wanted"
    for i in "${!expected[@]}"; do
        printf '%s\n' "${expected[i]//127.0.0.1:8080/$address}" >>"$wanted"
    done
    for i in "${!lines[@]}"; do
        if [ "$i" -lt "${#expected[@]}" ] &&
            matches "${lines[i]}" "${expected[i]//127.0.0.1:8080/$address}"; then
            printf '%s\n' "${expected[i]//127.0.0.1:8080/$address}" >>"$shown"
        else
            printf '%s\n' "${lines[i]}" >>"$shown"
        fi
    done
    diff -u --label "README.md" --label "output" "$wanted" "$shown" || failed=1
}

# Runs every step of the tour.
run_tour() {
    local line command="" steps=0 open=0
    expected=()
    while IFS= read -r line; do
        if [ "$open" -eq 1 ]; then
            command+=$'\n'"$line"
        elif [[ $line == '$ '* ]]; then
            [ -z "$command" ] || run_step "$command"
            expected=()
            command="${line#\$ }"
            steps=$((steps + 1))
        elif [ -z "$command" ]; then
            fail "a console block begins with output: $line"
        else
            expected+=("$line")
        fi
        open=0
        if [[ $line == *\\ ]] && [ "${#expected[@]}" -eq 0 ]; then
            open=1
        fi
    done < <(tour)
    [ "$steps" -gt 0 ] || fail "no command between <!-- tour --> and <!-- end tour -->"
    run_step "$command"
    printf 'README tour: %d commands\n' "$steps"
}

[ -r "$readme" ] || fail "there is no $readme"
start_server
run_tour
[ "$failed" -eq 0 ] || fail "README.md and the output differ (above)"
kill -TERM "$server"
wait "$server" || fail "the server did not exit with 0"
server=0
