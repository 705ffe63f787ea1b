# shellcheck shell=bash disable=SC2154
# SPDX-License-Identifier: Apache-2.0
#
# status.sh - the commands status and logs of cluster.sh. Sourced by cluster.sh, whose functions and
# variables it uses.

# A node that runs and refuses connections is starting or draining; its log shows which.
unresponsive_state() {
    tail -n 200 "$(log_of "$1")" 2>/dev/null | awk '
        /^Loading configuration/ { state = "starting" }
        /draining signal=/ { state = "draining" }
        END { print state ? state : "starting" }'
}

# lag_to K RESPONSE: prints the lag of a peer in ms, or why it is unknown.
lag_to() {
    local url
    url=$(peer_url "${PORTS[$1]}")
    if ! [[ $2 =~ \"url\":\""$url"\",\"health\":\"([a-z]+)\"[^}]*\"lag_ms\":([0-9]+) ]]; then
        echo -
    elif [ "${BASH_REMATCH[1]}" != up ]; then
        echo "${BASH_REMATCH[1]}"
    else
        echo "${BASH_REMATCH[2]}"
    fi
}

# status_row K FILE: the file holds the response of the node, or curl's exit code.
status_row() {
    local k pid state=down instances=- response="" row
    if pid=$(pid_of "$1"); then
        response=$(<"$2")
        if [[ $response == *"\"node_id\":\"node$1\""* ]] &&
            [[ $response =~ \"state\":\"([a-z]+)\".*\"instances\":([0-9]+),\"services\" ]]; then
            state=${BASH_REMATCH[1]} instances=${BASH_REMATCH[2]}
        elif [ "$response" = 28 ]; then
            state=timeout
        else
            state=$(unresponsive_state "$1")
        fi
    fi
    row=node$1$'\t'${pid:--}$'\t'${PORTS[$1]}$'\t'$state$'\t'$instances
    for k in "${NODES[@]}"; do
        if [ "$k" -eq "$1" ]; then row+=$'\t.'; else row+=$'\t'$(lag_to "$k" "$response"); fi
    done
    echo "$row"
}

# Prints tab-separated columns from stdin aligned: 9 nodes fit 80 characters.
print_table() {
    awk -F'\t' '
        { for (i = 1; i <= NF; i++) if (length(cell[NR, i] = $i) > wide[i]) wide[i] = length($i) }
        END {
            for (row = 1; row <= NR; row++)
                for (i = 1; i <= NF; i++)
                    printf "%" (i == 1 || i == 4 ? "-" : "") wide[i] "s%s", cell[row, i], \
                        i == NF ? "\n" : i < 6 ? "  " : " "
        }'
}

cmd_status() {
    local k work rows=$'NODE\tPID\tPORT\tSTATE\tINSTANCES' ready=0
    require_cluster
    work=$(mktemp -d)
    for k in "${NODES[@]}"; do # in parallel: a node that does not respond takes 2 s
        { http_get "$(url_of "$k")/api/status/cluster" >"$work/$k" || echo $? >"$work/$k"; } &
        rows+=$'\t'to$k
    done
    wait
    for k in "${NODES[@]}"; do rows+=$'\n'$(status_row "$k" "$work/$k"); done
    rm -rf "$work"
    print_table <<<"$rows"
    ready=$(grep -c $'\tready\t' <<<"$rows" || true)
    echo "$ready of $COUNT ready; to1, to2 ...: replication lag to that node, in ms"
    [ "$ready" -eq "$COUNT" ]
}

# Prefixes each line with the name of its node; tail -v prints the file name when it changes.
prefix_lines() {
    local line name=""
    while IFS= read -r line; do
        if [[ $line =~ ^'==> '.*/(node[1-9])\.log' <=='$ ]]; then
            name=${BASH_REMATCH[1]}
        elif [ -n "$line" ]; then
            printf '%s | %s\n' "$name" "$line"
        fi
    done
}

cmd_logs() {
    local argument how=(-n +1) files=("$DIR"/logs/node[1-"$COUNT"].log) one=""
    require_cluster
    for argument in "$@"; do
        if [ "$argument" = -f ]; then
            how=(-n "$LAST_LINES" --pid=$$ -F)
        else
            [ -z "$one" ] || usage_error "logs takes one node or all; see \`./cluster.sh help\`"
            read_node "$argument"
            one=$NODE files=("$(log_of "$NODE")")
        fi
    done
    if [ -n "$one" ]; then
        tail "${how[@]}" "${files[@]}"
    else
        tail -v "${how[@]}" "${files[@]}" | prefix_lines
    fi
}
