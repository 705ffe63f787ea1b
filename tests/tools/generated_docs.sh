#!/usr/bin/env bash
# The tables in README and docs/ that the binary generates, between `<!-- artemis X reference -->` and
# `<!-- end -->`. --write updates them; --check names each file that differs.
set -euo pipefail

binary=${ARTEMIS_BINARY:-build/artemis}
mode=${1:---check}

# Prints the file with each table replaced by the output of the binary.
regenerate() {
    local line command
    while IFS= read -r line; do
        printf '%s\n' "$line"
        if [[ $line =~ ^'<!-- artemis '([a-z]+)' reference -->'$ ]]; then
            command=${BASH_REMATCH[1]}
            "$binary" "$command" reference
            while IFS= read -r line && [ "$line" != '<!-- end -->' ]; do :; done
            printf '%s\n' "$line"
        fi
    done <"$1"
}

for file in README.md docs/*.md; do
    grep -q '^<!-- artemis [a-z]* reference -->$' "$file" || continue
    renewed=$(regenerate "$file"; echo x)
    [ "${renewed%x}" = "$(cat "$file"; echo)"$'\n' ] || [ "${renewed%x}" = "$(cat "$file")"$'\n' ] && continue
    if [ "$mode" = --write ]; then
        printf '%s' "${renewed%x}" >"$file"
        echo "$file: updated"
    else
        echo "$file: a table differs from the output of $binary"
    fi
done
