#!/usr/bin/env bash
# Prints each use of a retired word (tests/tools/vocabulary.txt) in code, scripts and documents, as
# FILE:LINE: WORD -> REPLACEMENT. Arguments: folders or files to check (default: all).
set -euo pipefail

table=tests/tools/vocabulary.txt
mapfile -t checked < <(git ls-files -co --exclude-standard -- "${@:-.}" | grep -vE "^$table$|/corpus/|^LICENSE" |
    while read -r f; do [ -f "$f" ] && echo "$f"; done)
[ "${#checked[@]}" -gt 0 ] || exit 0
LC_ALL=C awk -F'\t' '
    FILENAME == table && /^#/ {next}
    FILENAME == table && $1 == "allow" {allowed = allowed (allowed ? "|" : "") $2; next}
    FILENAME == table {
        word[++count] = "(^|[^a-z])(" $1 ")([^a-z]|$)"; replacement[count] = $2
        all = all (all ? "|" : "") $1
        next
    }
    FNR == 1 {any = "(^|[^a-z])(" all ")([^a-z]|$)"}
    {
        line = tolower($0)
        if (line !~ any) next
        if (allowed) gsub("(^|[^a-z])(" allowed ")([^a-z]|$)", " ", line)
        for (i = 1; i <= count; i++) {
            if (!match(line, word[i])) continue
            found = substr(line, RSTART, RLENGTH)
            gsub(/^[^a-z]+|[^a-z]+$/, "", found)
            print FILENAME ":" FNR ": " found " -> " replacement[i]
        }
    }
' table="$table" "$table" "${checked[@]}"
