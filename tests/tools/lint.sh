#!/usr/bin/env bash
# The house rules, as far as a machine can check them. Each rule says what to do instead.
set -uo pipefail

failures=0
fail() {
    printf '%s\n' "$1" | sed 's/^/  /'
    failures=$((failures + 1))
}
# rule NAME WHAT-TO-DO FINDINGS
rule() {
    if [ -n "$3" ]; then
        printf 'lint: %s: %s\n' "$1" "$2"
        fail "$3"
    fi
}

mapfile -t sources < <(git ls-files -co --exclude-standard -- '*.c' '*.h' '*.cpp' | while read -r f; do [ -f "$f" ] && echo "$f"; done)
mapfile -t headers < <(printf '%s\n' "${sources[@]}" | grep '\.h$')
mapfile -t production < <(printf '%s\n' "${sources[@]}" | grep -E '^(artemis(-core|-server|-web)?|libartemis)/')
mapfile -t scripts < <(git ls-files -co --exclude-standard -- '*.sh' .ci/run | while read -r f; do [ -f "$f" ] && echo "$f"; done)

# --- layers: artemis -> artemis-web -> artemis-server -> artemis-core; artemis -> libartemis -> artemis-core
layer() { # LAYER ALLOWED-REGEX
    local files
    files=$(printf '%s\n' "${production[@]}" | grep "^$1/")
    rule "layers" "$1 may include only $2 (calls point down)" \
        "$(grep -nHE '^#include "' $files | grep -vE "#include \"($2)/" || true)"
}
layer artemis-core 'artemis-core'
layer artemis-server 'artemis-core|artemis-server'
layer artemis-web 'artemis-core|artemis-server|artemis-web'
layer libartemis 'artemis-core|libartemis'
layer artemis 'artemis-core|artemis-server|artemis-web|libartemis|artemis'

# --- libraries have one home each ---------------------------------------------------------------------
home() { # HEADER WHERE-REGEX
    rule "homes" "<$1> belongs in $2" \
        "$(grep -nHE "^#include <$1" "${production[@]}" | grep -vE "^($2)" || true)"
}
home 'jansson.h' 'artemis-core/json/codec|artemis/(client|cmd|output)/|libartemis/wire/wire.c'
home 'microhttpd.h' 'artemis-web/'
home 'curl/' 'artemis-server/replication/peer_client.c|artemis/client/client_(http|url)|libartemis/(base/settings|client/client|wire/http).'
home 'zlib.h' 'artemis-core/base/gzip.c'
home 'xxhash.h' 'artemis-server/registry/(registry|node_id_table).c|artemis-server/replication/outbox.c|artemis-web/push/topics.c'
home 'wslay/wslay.h' 'artemis-web/push/|libartemis/|tests/'
home 'nettle/.*' 'artemis-core/base/websocket_handshake.c|tests/'
home 'toml' 'artemis-core/config/toml.cpp'

# --- purity ----------------------------------------------------------------------------------------------
pure=$(printf '%s\n' "${production[@]}" | grep -E '^artemis-core/|registry/(guard|hash_index|lease_wheel|shard|shard_replication|slab|hlc)\.|replication/(outbox|replicator|anti_entropy)|push/(frame|topics|messages|handshake)\.|libartemis/(base/(instance_argument|servers|shared_instance)|client/registrations|watch/[a-z_]+|wire/(handshake|wire))\.')
rule "purity" "what decides has no thread, socket, file or clock: take it as an argument" \
    "$(grep -nHE '#include <(pthread|sys/socket|sys/stat|fcntl|netdb|poll|unistd)\.h>|\b(fopen|open|socket|clock_gettime|gettimeofday|time)\(' $pure | grep -v '^[^:]*:[0-9]*: \*' || true)"
rule "clock" "only clock.c of artemis-server and of libartemis read a clock (and the command line, to wait)" \
    "$(grep -nHE '\b(clock_gettime|gettimeofday|time)\((CLOCK|&|NULL)' "${production[@]}" | grep -vE '^(artemis-server|libartemis/base)/clock.c|^artemis/' || true)"

# --- banned calls -------------------------------------------------------------------------------------------
rule "banned" "use snprintf, memcpy with a known size, strtoul with a check, log_line; no popen or system" \
    "$(grep -nHE '\b(strcpy|strcat|sprintf|gets|atoi|atol|system|popen|alloca|strtok)\(' "${production[@]}" || true)"
rule "printing" "below the binary nothing is printed: log_line (the library: its log callback)" \
    "$(printf '%s\n' "${production[@]}" | grep -vE '^artemis/|artemis-server/log.c' | xargs grep -nHE '\b(printf|fprintf|puts|perror)\(' || true)"
rule "left over" "finish it, or write an issue" \
    "$(grep -nHwiE 'TODO|FIXME|XXX' "${sources[@]}" "${scripts[@]}" Makefile | grep -v '^tests/tools/lint.sh' || true)"

# --- sizes ----------------------------------------------------------------------------------------------------
rule "file size" "a file has at most 600 lines: it holds two rooms" \
    "$(wc -l "${sources[@]}" | awk '$2 != "total" && $1 > 600 {print $2 ": " $1 " lines"}')"
rule "comment width" "a line of a comment has at most 100 columns, as code has (clang-format leaves comments alone)" \
    "$(LC_ALL=C awk '
        FNR == 1 {off = 0}
        /clang-format off/ {off = 1}
        /clang-format on/ {off = 0}
        !off && /^[ \t]*(\/\*|\*|\/\/)/ {
            line = $0
            gsub(/[\200-\277]/, "", line) # of a UTF-8 character, one byte counts
            if (length(line) > 100) print FILENAME ":" FNR ": " length(line) " columns"
        }
    ' "${sources[@]}")"
rule "function size" "a function has at most 60 lines: name its parts" \
    "$(awk '
        FNR == 1 {open = 0}
        /^[a-zA-Z_].*\(/ && !/;[ \t]*$/ {name = $0}
        /^\{/ {open = FNR}
        /^\}/ {if (open && FNR - open > 60) {sub(/\(.*/, "", name); print FILENAME ": " name ", " FNR - open " lines"}; open = 0}
    ' $(printf '%s\n' "${sources[@]}" | grep -E '\.(c|cpp)$'))"

# --- headers ----------------------------------------------------------------------------------------------------
for header in "${headers[@]}"; do
    name=$(basename "$header" .h)
    head -5 "$header" | grep -q "^ \* $name - " ||
        rule "manual" "a header opens with ' * $name - what the room is for'" "$header"
    grep -q '^#pragma once' "$header" || rule "guard" "a header has #pragma once" "$header"
done
flags=(-std=c17 -fsyntax-only -I. -D_GNU_SOURCE -DARTEMIS_VERSION='"lint"' -Wall -Wextra)
for header in "${headers[@]}"; do
    rule "self-contained" "a header compiles alone: include what it uses" \
        "$(echo "#include \"$header\"" | ${CC:-cc} "${flags[@]}" -xc - 2>&1 | head -3)"
done
for source in "${production[@]}"; do
    own="${source%.c}.h"
    [ "$own" != "$source" ] && [ -f "$own" ] || continue
    first=$(grep -m1 '^#include' "$source")
    [ "$first" = "#include \"$own\"" ] || rule "own header first" "$source begins with its own header" "$first"
done

# --- layout and scripts -------------------------------------------------------------------------------------------
if command -v clang-format >/dev/null; then
    rule "layout" "make format" \
        "$(clang-format --dry-run "${sources[@]}" 2>&1 | grep -E 'warning:' | cut -d: -f1 | sort | uniq -c | head -20)"
else
    echo "lint: layout not checked: clang-format is not installed (apt-get install clang-format)"
fi
if command -v shellcheck >/dev/null; then
    rule "scripts" "shellcheck" "$(shellcheck -S warning -e SC2086,SC2046 "${scripts[@]}" 2>&1 | head -30)"
else
    echo "lint: scripts not checked: shellcheck is not installed (apt-get install shellcheck)"
fi

# --- documents that are printed from the code ------------------------------------------------------------------------
rule "generated documents" "make docs" "$(tests/tools/generated_docs.sh --check)"

[ "$failures" -eq 0 ] && echo "lint: ${#sources[@]} files keep the house rules" || { echo "lint: $failures findings"; exit 1; }
