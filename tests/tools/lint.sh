#!/usr/bin/env bash
# Checks the rules of the project that a machine can check. A finding names the rule, what to do
# instead, and the place. `make lint` has compiled each header by itself before.
set -uo pipefail

failures=0
# rule NAME WHAT-TO-DO FINDINGS
rule() {
    [ -n "$3" ] || return 0
    printf 'lint: %s: %s\n' "$1" "$2"
    printf '%s\n' "$3" | sed 's/^/  /'
    failures=$((failures + 1))
}
# Tracked and new files that exist, by pattern.
files() {
    git ls-files -co --exclude-standard -- "$@" | while read -r f; do [ -f "$f" ] && echo "$f"; done
}

mapfile -t sources < <(files '*.c' '*.h' '*.cpp')
mapfile -t headers < <(printf '%s\n' "${sources[@]}" | grep '\.h$')
mapfile -t product < <(printf '%s\n' "${sources[@]}" | grep -E '^(artemis(-core|-server|-web)?|libartemis)/')
mapfile -t scripts < <(files '*.sh' .ci/run)
includes=$(grep -HE '^#include "' "${product[@]}" | sed -E 's/^([^:]*):#include "([^"]*)".*/\1 \2/')

# --- layers: artemis -> artemis-web -> artemis-server -> artemis-core; artemis -> libartemis -> artemis-core
layer() { # LAYER ALLOWED-REGEX
    rule "layers" "$1 may include only $2 (calls point down)" \
        "$(grep "^$1/" <<<"$includes" | grep -vE " ($2)/" || true)"
}
layer artemis-core 'artemis-core'
layer artemis-server 'artemis-core|artemis-server'
layer artemis-web 'artemis-core|artemis-server|artemis-web'
layer libartemis 'artemis-core|libartemis'
layer artemis 'artemis-core|artemis-server|artemis-web|libartemis|artemis'

# --- no cycles ----------------------------------------------------------------------------------------
# A module is a header with its .c, and the files of the folder whose names continue its name: foo.c,
# foo.h, foo_bar.c, foo_internal.h. tsort prints the members of each cycle.
cycles() { sort -u | awk '$1 != $2' | tsort 2>&1 >/dev/null | sed -E 's/^tsort: (-: )?//' |
    awk '/input contains a loop/ {if (line) print line; line = ""; next} {line = line (line ? " -> " : "") $0} END {if (line) print line}'; }
modules=$(printf '%s\n' "${product[@]}" | sed -E 's/\.(c|h|cpp)$//' | sort -u | awk '
    {all[$0] = 1; order[++count] = $0}
    END {for (i = 1; i <= count; i++) {
        name = order[i]; folder = name; sub(/[^\/]*$/, "", folder); module = name
        for (at = length(folder) + 1; at < length(name); at++)
            if (substr(name, at + 1, 1) == "_" && substr(name, 1, at) in all) {module = substr(name, 1, at); break}
        print name, module}}')
module_edges=$(awk '
    function stem(path) {sub(/\.(c|h|cpp)$/, "", path); return path}
    NR == FNR {module[$1] = $2; next}
    {print module[stem($1)], module[stem($2)]}' <(echo "$modules") <(echo "$includes"))
rule "cycle of modules" "break it: pass what the lower module needs, or move the shared part below both" \
    "$(cycles <<<"$module_edges")"

# The same for folders. A file in the top folder of a layer counts as a module.
rule "cycle of folders" "break it: pass what the lower folder needs, or move the shared part below both" \
    "$(awk 'function place(module) {if (gsub("/", "/", module) > 1) sub(/\/[^\/]*$/, "", module); return module}
        {print place($1), place($2)}' <<<"$module_edges" | cycles)"

# --- where libraries and system calls belong ------------------------------------------------------------
home() { # HEADER-REGEX WHERE-REGEX
    rule "homes" "<$1> belongs in $2" \
        "$(grep -nHE "^#include <($1)" "${product[@]}" | grep -vE "^($2)" || true)"
}
home 'jansson.h' 'artemis-core/json/|artemis/|artemis-server/cluster/providers/|libartemis/wire/'
home 'microhttpd.h' 'artemis-web/(http|connections/loop)'
home 'gnutls/' 'artemis-server/tls/|artemis-web/tls/'
home 'curl/' 'artemis-server/replication/peer_client|artemis-server/cluster/providers/provider_http|artemis/call/|libartemis/'
home 'zlib.h' 'artemis-core/base/'
home 'murmurhash.h' 'artemis-core/ring/'
home 'xxhash.h' 'artemis-server/|artemis-web/push/'
home 'wslay/' 'artemis-web/push/|libartemis/'
home 'nettle/' 'artemis-core/base/'
home 'toml' 'artemis-core/config/'
home 'sqlite3.h' 'artemis-server/storage/'
home 'ares.h' 'artemis-server/cluster/providers/provider_dns'
# System calls belong in few folders; in these, the modules that decide are pure as well: they take
# time and randomness as arguments.
home 'pthread.h' 'artemis/|artemis-web/(connections|http|push|frames)/|artemis-server/|libartemis/client/'
home '(sys/socket|sys/epoll|sys/eventfd|netdb|poll|netinet/tcp).h' 'artemis/|artemis-web/(connections|http|push|frames|tls)/|artemis-server/(log_writer|replication/|cluster/providers/provider_)|libartemis/(client|wire)/'
home '(fcntl|sys/stat|unistd|ifaddrs).h' 'artemis/|artemis-web/|artemis-server/(log_writer|process_stats|replication/|storage/|tls/|audit/|cluster/providers/provider_)|libartemis/(client|wire)/'
pure='artemis-core/|artemis-server/(cluster/providers/(consul/|etcd/|kubernetes/)?(consul|dns|etcd|kubernetes)_|registry/(guard|lease_|shard|timing_wheel)|replication/(outbox|replicator|anti_entropy|peer_requests))|artemis-web/(registry_calls|push/(topics|messages|protocol)|frames/frame)|libartemis/(watch/|wire/(wire|handshake|list_reader|push_frames))'
rule "purity" "this module decides: no thread, socket, file or clock" \
    "$(grep -nHE '#include <(pthread|sys/(socket|stat|epoll|eventfd)|fcntl|netdb|poll|unistd)\.h>|\b(fopen|open|socket|clock_gettime|gettimeofday)\(' "${product[@]}" | grep -E "^($pure)" | grep -v '^[^:]*:[0-9]*: \*' || true)"
rule "clock" "only clock.c of artemis-server and of libartemis read a clock (and the command line, to wait)" \
    "$(grep -nHE '\b(clock_gettime|gettimeofday|time)\((CLOCK|&|NULL)' "${product[@]}" | grep -vE '^(artemis-server|libartemis/base)/clock.c|^artemis/' || true)"

# --- banned calls ---------------------------------------------------------------------------------------
rule "banned" "use snprintf, memcpy with a known size, strtoul with a check, log_line; no popen or system" \
    "$(grep -nHE '\b(strcpy|strcat|sprintf|gets|atoi|atol|system|popen|alloca|strtok)\(' "${product[@]}" || true)"
# Patterns, the cluster and the scheme are no secrets. The order of tokens by digest may end early:
# nobody can choose a digest.
rule "comparison of secrets" "use text_equal_secret or sha256_equal: others end at the first difference" \
    "$(grep -nHE '\b(memcmp|bcmp|str(n|case|ncase)?cmp|slice_equal)\(' artemis-core/base/sha256.c artemis-core/auth/*.c artemis-server/auth/*.c artemis-web/http/authentication.c | grep -vE 'patterns|cluster|scheme|digest\.bytes' || true)"
rule "printing" "below the binary nothing is printed: log_line (the library: its log callback)" \
    "$(printf '%s\n' "${product[@]}" | grep -vE '^artemis/|artemis-server/log' | xargs grep -nHE '\b(printf|fprintf|puts|perror)\(' || true)"
# --- the table of limits --------------------------------------------------------------------------------
# Each setting, constant, metric and test that it names exists.
limit_names() { sed -n '/^## Limits/,/^## Readers/p' docs/SECURITY.md | grep '^|' | grep -oE '`[^`]*`' | tr -d '`' | sort -u; }
missing_limits() {
    limit_names | while read -r name; do
        case $name in
        test_*) [ -n "$(files "*/$name.c" "*/$name.sh")" ] || echo "$name" ;;
        artemis_*) grep -rqF "\"${name%%\{*}\"" artemis-web/metrics || echo "$name" ;;
        *.*) grep -qE "[(]${name%.*}, ${name##*.}[,)]" artemis-core/config/config_table.c || echo "$name" ;;
        *[A-Z]*) grep -qwF -- "$name" "${headers[@]}" "${product[@]}" || echo "$name" ;;
        esac
    done
}
rule "limits" "docs/SECURITY.md must name settings, constants, metrics and tests that exist" "$(missing_limits)"

rule "left over" "finish it, or write an issue" \
    "$(grep -nHwiE 'TODO|FIXME|XXX' "${sources[@]}" "${scripts[@]}" Makefile | grep -v '^tests/tools/lint.sh' || true)"

# --- sizes ----------------------------------------------------------------------------------------------
rule "file size" "a file has at most 600 lines: split it into two modules" \
    "$(wc -l "${sources[@]}" "${scripts[@]}" | awk '$2 != "total" && $1 > 600 {print $2 ": " $1 " lines"}')"
rule "folder size" "a folder has at most 25 files: arrange them into folders by topic" \
    "$(printf '%s\n' "${sources[@]}" "${scripts[@]}" | sed 's|/[^/]*$||' | sort | uniq -c | awk '$1 > 25 {print $2 ": " $1 " files"}')"
rule "comment width" "a line of a comment has at most 100 columns (clang-format leaves comments alone)" \
    "$(LC_ALL=C awk '
        FNR == 1 {off = 0}
        /clang-format off/ {off = 1}
        /clang-format on/ {off = 0}
        !off && length($0) > 100 && /^[ \t]*(\/\*|\*|\/\/)/ {
            line = $0
            gsub(/[\200-\277]/, "", line) # of a UTF-8 character, one byte counts
            if (length(line) > 100) print FILENAME ":" FNR ": " length(line) " columns"
        }
    ' "${sources[@]}")"
rule "function size" "a function has at most 60 lines: name its parts" \
    "$(printf '%s\n' "${sources[@]}" | grep -E '\.(c|cpp)$' | xargs awk '
        FNR == 1 {open = 0}
        /^[a-zA-Z_].*\(/ && !/;[ \t]*$/ {name = $0}
        /^\{/ {open = FNR}
        /^\}/ {if (open && FNR - open > 60) {sub(/\(.*/, "", name); print FILENAME ": " name ", " FNR - open " lines"}; open = 0}
    ')"

# --- headers --------------------------------------------------------------------------------------------
rule "manual" "a header begins with ' * NAME - what the module is for'" \
    "$(awk 'function report() {if (file && !found) print file}
        FNR == 1 {report(); file = FILENAME; found = 0; name = file; sub(/.*\//, "", name); sub(/\.h$/, "", name)}
        FNR <= 5 && index($0, " * " name " - ") == 1 {found = 1}
        END {report()}' "${headers[@]}")"
rule "guard" "a header has #pragma once" "$(grep -L '^#pragma once' "${headers[@]}" || true)"
rule "own header first" "a source includes its own header first" \
    "$(for source in "${product[@]}"; do
        own="${source%.c}.h"
        [ "$own" = "$source" ] || [ ! -f "$own" ] || echo "$source $own"
    done | while read -r source own; do
        read -r _ first < <(grep -m1 '^#include' "$source")
        [ "$first" = "\"$own\"" ] || echo "$source: $first"
    done)"

# --- layout and scripts ---------------------------------------------------------------------------------
# Only files that changed since they were found clean.
stamp=build/lint/layout
[ -f "$stamp" ] && [ ! .clang-format -nt "$stamp" ] || { mkdir -p "${stamp%/*}"; touch -d @0 "$stamp"; }
started=$(mktemp)
changed=$(for f in "${sources[@]}"; do [ "$f" -nt "$stamp" ] && echo "$f"; done)
if ! command -v clang-format >/dev/null; then
    echo "lint: layout not checked: clang-format is not installed (apt-get install clang-format)"
elif [ -n "$changed" ]; then
    layout=$(xargs -P "$(nproc)" -n 16 clang-format --dry-run <<<"$changed" 2>&1 | grep -E 'warning:' | cut -d: -f1 | sort | uniq -c | head -20)
    rule "layout" "make format" "$layout"
    [ -n "$layout" ] || mv "$started" "$stamp"
fi
rm -f "$started"
if command -v shellcheck >/dev/null; then
    rule "scripts" "shellcheck" "$(shellcheck -S warning -e SC2086,SC2046 "${scripts[@]}" 2>&1 | head -30)"
else
    echo "lint: scripts not checked: shellcheck is not installed (apt-get install shellcheck)"
fi

# --- vocabulary -----------------------------------------------------------------------------------------
rule "vocabulary" "write the term on the right (tests/tools/vocabulary.txt)" \
    "$(tests/tools/vocabulary.sh || true)"

# --- tests that a document names ------------------------------------------------------------------------
# The last column of the table of faults: tests, scenarios of chaos, worlds of the simulator.
proofs=$(sed -n '/^## Faults/,/^## /p' docs/REPLICATION.md | grep '^|' | sed -E 's/^\|.*\|([^|]*)\|$/\1/' | grep -oE '`[^`]+`' | tr -d '`' | sort -u)
rule "proofs" "docs/REPLICATION.md names a test, scenario or world that does not exist" \
    "$(while read -r kind name; do
        case $kind in
        chaos) grep -q "^${name}_scenario()" tests/chaos/*.sh ;;
        sim) grep -q "^    {\"$name\"," tests/sim/sim_worlds.c ;;
        *) grep -rqE "^static void $kind\(" tests/e2e tests/unit ;;
        esac || echo "$kind $name"
    done <<<"$proofs")"

# --- documents that are generated from the code ---------------------------------------------------------
rule "generated documents" "make docs" "$(tests/tools/generated_docs.sh --check)"

[ "$failures" -eq 0 ] || { echo "lint: $failures findings"; exit 1; }
echo "lint: ${#sources[@]} files are clean"
