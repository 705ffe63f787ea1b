#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs the commands of cluster.sh with real nodes on free ports, in a folder of its own. At the end it
# kills the nodes by the process ids in the pid files.
set -euo pipefail

script="$(cd "$(dirname "$0")/../../.." && pwd)/cluster.sh"
binary="$(realpath "${ARTEMIS_BINARY:?must name the binary to test}")"
folder="$(mktemp -d /tmp/artemis-test-XXXXXX)"
cluster="$folder/a cluster" # a blank, to see that all is quoted
base=0
scenario="setup"
code=0
output=""
others=() # background processes of the test
passed=0

# --- helpers ------------------------------------------------------------------------------------

finish() {
    local result=$? pid file
    trap - EXIT
    for file in "$folder"/*/pids/node*.pid; do
        [ -s "$file" ] || continue
        pid=$(<"$file")
        # A stale pid file may name another process: the command must contain our folder.
        if tr '\0' '\n' 2>/dev/null <"/proc/$pid/cmdline" | grep -qF "$folder/"; then
            kill -KILL "$pid" 2>/dev/null || true
        fi
    done
    for pid in "${others[@]}"; do kill -KILL "$pid" 2>/dev/null || true; done
    wait 2>/dev/null
    if [ "$result" -ne 0 ]; then
        tail -n 20 "$folder"/*/logs/*.log 2>/dev/null || true
    fi
    rm -rf "$folder"
    exit "$result"
}
trap finish EXIT
trap 'exit 130' INT TERM

fail() {
    printf 'cluster.sh: %s: %s\n' "$scenario" "$*"
    printf -- '--- exit code %s, output:\n%s\n' "$code" "$output"
    exit 1
}

# Removes variables that would reach the nodes from the environment of the test.
clear_environment() {
    local name
    for name in $(compgen -e | grep -E '^(ARTEMIS|CLUSTER)_' || true); do
        unset "$name"
    done
    export CLUSTER_DIR="$cluster" ARTEMIS_BINARY="$binary"
    export ARTEMIS_LEASE_TTL_SECS=3600 # no lease may end on a slow machine
}

# Sets $output (both streams) and $code.
run() {
    code=0
    output=$("$script" "$@" 2>&1) || code=$?
}

# expect CODE PATTERN...: of the last run; each pattern must match a line.
expect() {
    local pattern
    [ "$code" -eq "$1" ] || fail "the exit code should be $1"
    for pattern in "${@:2}"; do
        grep -qE -- "$pattern" <<<"$output" || fail "the output should match: $pattern"
    done
}

# expect_error CODE PATTERN COMMAND...: one line on stderr, nothing on stdout.
expect_error() {
    local out
    out=$("$script" "${@:3}" 2>"$folder/stderr") && code=0 || code=$?
    output=$(<"$folder/stderr")
    [ -z "$out" ] || fail "errors belong on stderr: $out"
    [ "$(wc -l <"$folder/stderr")" -eq 1 ] || fail "an error is one line"
    expect "$1" "^cluster\.sh: .*$2"
}

# eventually WHAT COMMAND...
eventually() {
    local what=$1 deadline=$((SECONDS + 30))
    shift
    until "$@"; do
        [ $SECONDS -lt $deadline ] || fail "$what, not within 30 s"
        sleep 0.05
    done
}

is_free() { ! { : <>"/dev/tcp/127.0.0.1/$1"; } 2>/dev/null; }

# Picks ports below those that the kernel gives to outgoing connections.
pick_base() {
    local tries port
    for ((tries = 0; tries < 50; tries++)); do
        base=$((15000 + RANDOM % 15000))
        for ((port = base; port < base + 9; port++)); do
            is_free "$port" || continue 2
        done
        return 0
    done
    fail "no nine free ports in a row"
}

pid_of() { cat "$cluster/pids/node$1.pid"; }
url() { echo "http://127.0.0.1:$((base + $1 - 1))$2"; }
ask() { curl -q -s --noproxy '*' --max-time 5 "$@"; }
serves() { [ "$(ask -o /dev/null -w '%{http_code}' "$(url "$1" /ready)")" = 200 ]; }
is_gone() { ! grep -qs '^State:.[^ZX]' "/proc/$1/status"; }

# register K INSTANCE
register() {
    local key='"region_id":"local","zone_id":"zone1","service_id":"web","instance_id":'
    ask -d "{\"instances\":[{$key\"$2\",\"ip\":\"10.0.0.1\",\"port\":80}]}" \
        "$(url "$1" /api/registry/register)" | grep -q '"success"' ||
        fail "node$1 took no registration"
}

has_instance() { ask "$(url "$1" '/api/discovery/service?service_id=web')" | grep -q "\"$2\""; }

# has_row NODE STATE INSTANCES: in the table of the last run.
has_row() {
    local port=$((base + $1 - 1))
    grep -qE "^node$1 +[0-9-]+ +$port +$2 +$3 " <<<"$output" || fail "no row: node$1 $2 $3"
}

# --- scenarios --------------------------------------------------------------------------------------

without_a_cluster() {
    run help && expect 0 'start \[N\] \[BASE_PORT\]' 'kill NODE'
    run && expect 2 '^usage:'
    run stop && expect 0 'nothing to stop'
    run clean && expect 0 'nothing to clean'
    expect_error 1 'start' status
    expect_error 1 'start' kill node1
    expect_error 1 'start' logs
    [ ! -e "$cluster" ] || fail "these commands should create no files"
}

wrong_usage_is_reported() {
    local n
    for n in 0 10 -1 two 3.5 ''; do
        expect_error 2 "from 1 to 9, is '$n'; try" start "$n"
    done
    expect_error 2 "from 1 to 65533, is '65534'; try" start 3 65534
    expect_error 2 "is 'http'; try" start 3 http
    expect_error 2 'help' start 3 "$base" more
    expect_error 2 'help' status node1
    expect_error 2 "'destroy'.*help" destroy
    [ ! -e "$cluster" ] || fail "wrong usage should create no files"
}

a_missing_binary_is_reported() {
    ARTEMIS_BINARY=$folder/none expect_error 1 'make' start 1 "$base"
}

a_foreign_folder_is_not_touched() {
    mkdir "$folder/photos"
    touch "$folder/photos/one"
    CLUSTER_DIR=$folder/photos expect_error 1 'CLUSTER_DIR' start 1 "$base"
    CLUSTER_DIR=$folder/photos run clean
    expect 1 'CLUSTER_DIR'
    [ -e "$folder/photos/one" ] || fail "a file that is not of the cluster was removed"
}

three_nodes_are_one_cluster() {
    local k
    # These variables would give all nodes the same identity.
    ARTEMIS_SERVER_NODE_ID=x ARTEMIS_SERVER_LISTEN_ADDR=127.0.0.1:1 ARTEMIS_CLUSTER_PEERS='' \
        run start 3 "$base"
    expect 0 'node1 is ready' 'node2 is ready' 'node3 is ready' \
        "^export ARTEMIS_URL=$(url 1 ''),$(url 2 ''),$(url 3 '')\$"
    ask "$(url 1 /api/status/cluster)" >"$folder/seen"
    [ "$(grep -o '"health":"up"' "$folder/seen" | wc -l)" -eq 2 ] ||
        fail "start returned before node1 was connected to the others"
    for k in 1 2 3; do
        serves "$k" || fail "start returned, and node$k is not ready"
        grep -qx "Loading configuration from $cluster/config/node$k.toml" \
            "$cluster/logs/node$k.log" ||
            fail "node$k was not started with its config file"
        [ -d "$cluster/data/node$k" ] || fail "node$k has no data folder"
        [ "$(cut -d' ' -f6 "/proc/$(pid_of $k)/stat")" = "$(pid_of $k)" ] ||
            fail "node$k has no session of its own: Ctrl-C would end it"
    done
    register 1 web-1
    for k in 2 3; do eventually "the registration reaches node$k" has_instance $k web-1; done
}

status_is_a_table() {
    local k
    run status
    expect 0 '^NODE +PID +PORT +STATE +INSTANCES +to1 +to2 +to3$' '^3 of 3 ready'
    for k in 1 2 3; do
        has_row "$k" ready 1
        grep -qE "^node$k +$(pid_of "$k") " <<<"$output" || fail "the table has another process"
    done
    expect 0 '^node1 .* \. +[0-9]+ +[0-9]+$' '^node3 .* [0-9]+ +[0-9]+ +\.$'
}

a_double_start_is_refused() {
    local before
    before=$(pid_of 1)
    expect_error 1 'node1, node2 and node3 run already.*restart' start 3 "$base"
    expect_error 1 'node1, node2 and node3 run already' start
    expect_error 1 'without --secure runs already.*stop' start 3 "$base" --secure
    expect_error 2 "start has no option '--secured'" start --secured
    expect_error 1 "a cluster of 3 nodes .*stop" start 4 "$base"
    expect_error 1 "a cluster of 3 nodes .*stop" start 3 $((base + 1))
    [ "$before" = "$(pid_of 1)" ] || fail "the refused start has restarted node1"
    serves 1 || fail "node1 does not serve any more"
}

a_killed_node_comes_back_alone() {
    local first third k
    first=$(pid_of 1) third=$(pid_of 3)
    expect_error 2 "'node4'.*node1 to node3" kill node4
    expect_error 2 'node2' kill
    run kill node2 && expect 0 'node2, process [0-9]+, is killed.*start'
    run kill 2 && expect 0 'node2 does not run'
    run status && expect 1 '^2 of 3 ready'
    has_row 1 ready 1
    has_row 2 down -
    for k in 1 3; do has_instance $k web-1 || fail "node$k does not serve beside a dead one"; done
    register 3 web-2
    run start && expect 0 'node1 and node3 run already; starting only node2' 'node2 is ready'
    ! grep -qE 'node[13] is ready' <<<"$output" || fail "more than node2 was started"
    for k in 1 2; do has_instance 2 web-$k || fail "node2 is ready without what the others know"; done
    [ "$first $third" = "$(pid_of 1) $(pid_of 3)" ] || fail "a node that ran was started again"
}

logs_have_the_names_of_the_nodes() {
    run logs && expect 0 '^node1 \| Listening' '^node2 \| Listening' '^node3 \| Listening'
    run logs 2 && expect 0 '^Listening' "^Node ID: node2,"
    expect_error 2 "'node7'" logs node7
    : >"$folder/followed"
    "$script" logs -f >"$folder/followed" 2>&1 &
    others+=($!)
    eventually "logs -f shows node3" grep -q '^node3 | ' "$folder/followed"
    echo 'a line to be seen' >>"$cluster/logs/node1.log"
    eventually "logs -f follows" grep -q '^node1 | a line to be seen' "$folder/followed"
    kill "${others[-1]}"
}

restart_keeps_registrations() {
    local first second k
    first=$(pid_of 1) second=$(pid_of 2)
    run restart node2 && expect 0 'node2 is ready'
    [ "$first" = "$(pid_of 1)" ] || fail "node1 was restarted, too"
    [ "$second" != "$(pid_of 2)" ] || fail "node2 was not restarted"
    register 1 web-3
    run restart && expect 0 'node1 is ready' 'node2 is ready' 'node3 is ready'
    [ "$first" != "$(pid_of 1)" ] || fail "node1 was not restarted"
    for k in 1 2 3; do has_instance $k web-3 || fail "the registration is lost at node$k"; done
}

a_stale_pid_file_harms_no_process() {
    local other_pid third
    sleep 600 &
    other_pid=$!
    others+=("$other_pid")
    third=$(pid_of 3)
    run kill node2 && expect 0
    # The pid of node2 belongs to another process now, and all files are as before.
    echo "$other_pid" >"$cluster/pids/node2.pid"
    cp "$cluster/pids/node1.command" "$cluster/pids/node2.command"
    kill -KILL "$third"
    eventually "node3 dies" is_gone "$third"
    run status && expect 1 '^1 of 3 ready'
    has_row 2 down -
    run kill node2
    expect 0 "process $other_pid of its pid file is sleep.*not touched" 'does not run'
    echo "$other_pid" >"$cluster/pids/node2.pid"
    run start
    expect 0 'starting only node2 and node3' 'node3 had ended by itself' 'node2 is ready'
    ! is_gone "$other_pid" || fail "a process that is no node was killed"
}

stop_is_harmless_twice() {
    local k pids
    pids=$(for k in 1 2 3; do pid_of "$k"; done)
    run stop && expect 0 '^node1, node2 and node3 have ended$'
    for k in $pids; do is_gone "$k" || fail "process $k still runs"; done
    grep -q 'stopped' "$cluster/logs/node1.log" || fail "node1 was not shut down"
    run stop && expect 0 'nothing to stop'
    run status && expect 1 '^0 of 3 ready'
}

a_port_in_use_is_reported() {
    local pid
    CLUSTER_DIR="$folder/other" run start 1 $((base + 1))
    expect 0 'node1 is ready'
    pid=$(<"$folder/other/pids/node1.pid")
    expect_error 1 "port $((base + 1)) of node2 .*process $pid, .*BASE_PORT" start 3 "$base"
    is_free "$base" || fail "node1 was started, though node2 could not be"
    CLUSTER_DIR="$folder/other" run clean
    expect 0 'node1 has ended'
}

# A program that becomes ready late, or never.
write_program() {
    printf '#!/usr/bin/env bash\n%s\n' "$1" >"$folder/program"
    chmod +x "$folder/program"
}

a_failed_start_leaves_nothing() {
    local pid failed="$folder/failed"
    write_program "echo 'out of cheese'; exit 3"
    CLUSTER_DIR=$failed ARTEMIS_BINARY=$folder/program run start 1 "$base"
    expect 1 'node1 has ended during its start' 'node1 | out of cheese' 'the start has failed'
    [ ! -e "$failed" ] || fail "the failed start has left files"
    # node1 ignores SIGTERM, too. `read` waits without a child process.
    write_program "trap '' TERM; echo started; echo \$\$ >>'$folder/pids'; exec 8<> <(:)
        until read -r -u 8; do :; done"
    CLUSTER_DIR=$failed CLUSTER_START_SECS=6 ARTEMIS_BINARY=$folder/program run start 2 "$base"
    expect 1 'waiting for node1 and node2' 'node2 is not ready after 6 s' 'node2 | started'
    [ "$(wc -l <"$folder/pids")" -eq 2 ] || fail "two programs should have been started"
    while read -r pid; do is_gone "$pid" || fail "process $pid still runs"; done <"$folder/pids"
    [ ! -e "$failed" ] || fail "the failed start has left files"
    CLUSTER_DIR=$failed run stop && expect 0 'nothing to stop'
    # In the folder of a stopped cluster only the new layout is removed.
    write_program 'exit 3'
    ARTEMIS_BINARY=$folder/program run start 2 "$base"
    expect 1 'the start has failed'
    run stop && expect 0 'nothing to stop'
    [ -e "$cluster/logs/node1.log" ] || fail "the logs of the cluster were removed"
}

an_interrupted_start_leaves_nothing() {
    local pid
    write_program "exec 8<> <(:); read -r -t 60 -u 8"
    ARTEMIS_BINARY=$folder/program "$script" start 2 "$base" >"$folder/interrupted" 2>&1 &
    others+=($!)
    eventually "node2 is started" test -s "$cluster/pids/node2.pid"
    pid=$(pid_of 2)
    kill -TERM "${others[-1]}"
    eventually "start ends" is_gone "${others[-1]}"
    grep -q 'interrupted; stopping' "$folder/interrupted" || fail "start does not report the signal"
    is_gone "$pid" || fail "node2 still runs"
    run stop && expect 0 'nothing to stop'
}

nine_nodes_are_configured() {
    local k i peers
    run start 9 "$base" && expect 0 'node9 is ready'
    for k in 1 2 3 4 5 6 7 8 9; do
        peers=""
        for i in 1 2 3 4 5 6 7 8 9; do
            [ "$i" -eq "$k" ] || peers+="${peers:+, }\"$(url "$i" '')\""
        done
        grep -qF "peers = [$peers]" "$cluster/config/node$k.toml" || fail "peers of node$k"
        grep -qF "listen_addr = \"127.0.0.1:$((base + k - 1))\"" "$cluster/config/node$k.toml" ||
            fail "port of node$k"
        grep -qF "node_id = \"node$k\"" "$cluster/config/node$k.toml" || fail "name of node$k"
    done
    [ "$(grep -h '^cluster_id' "$cluster"/config/*.toml | sort -u | wc -l)" -eq 1 ] ||
        fail "the nodes are of several clusters"
    run status && expect 0 '^9 of 9 ready'
    ! grep -qE '^.{81}' <<<"$output" || fail "the table is wider than 80"
}

one_node_is_a_cluster() {
    run stop && expect 0
    run start 1 "$base" && expect 0 'node1 is ready'
    grep -qx 'peers = \[\]' "$cluster/config/node1.toml" || fail "a node alone has peers"
    [ ! -e "$cluster/config/node2.toml" ] || fail "node2 is left from the cluster before"
    run status && expect 0 '^1 of 1 ready'
    expect_error 2 'use node1$' kill node2
}

# Its ports are 100 and 200 above the others, and may be in use.
a_secure_cluster_has_tls() {
    local try pem=$cluster/tls
    run stop && expect 0
    for ((try = 0; try < 5; try++)); do
        run start 3 "$((base + try))" --secure
        [ "$code" -ne 0 ] || break
    done
    expect 0 'node3 is ready' "^export ARTEMIS_URL=https://.* ARTEMIS_CERT='.*client.pem'"
    eval "$(grep '^export' <<<"$output")"
    for ((try = 0; try < 100; try++)); do # node1 may see only later that the others are ready
        output=$("$binary" cluster 2>&1) && break
        sleep 0.1
    done
    expect 0 'node2 +up' 'node3 +up' '^2 of 2 peers are up'
    ! ask --cacert "$pem/ca.pem" -f "${ARTEMIS_URL%%,*}/health" || fail "a client needs a certificate"
    ask --cacert "$pem/ca.pem" --cert "$pem/client.pem" --key "$pem/client.key" -f \
        "${ARTEMIS_URL%%,*}/health" >/dev/null || fail "a client with a certificate is served"
    [ "$(ask --cacert "$pem/ca.pem" --cert "$pem/client.pem" --key "$pem/client.key" -o /dev/null \
        -w '%{http_code}' "${ARTEMIS_URL%%,*}/metrics")" = 401 ] || fail "a client needs a token too"
    output=$("$binary" admin status --socket "$cluster/data/node2/admin.sock")
    expect 0 'node id +node2'
    output=$("$binary" config show)
    expect 0 'server.max_connections_per_address +1000 ' 'tls.max_handshakes_per_address +100 ' \
        'ratelimit.client_requests_per_second +1000 '
    output=$(certtool --certificate-info --infile "$pem/client.pem" 2>/dev/null ||
        openssl x509 -noout -text -in "$pem/client.pem")
    expect 0 'TLS W(WW|eb) Client'
    ! grep -qE 'TLS W(WW|eb) Server' <<<"$output" || fail "the certificate of a client is for no server"
    unset ARTEMIS_URL ARTEMIS_CACERT ARTEMIS_CERT ARTEMIS_KEY ARTEMIS_TOKEN_FILE
    run restart node2 && expect 0 'node2 is ready'
    run status && expect 0 '^3 of 3 ready' '^node2.* 0 +\. +0'
    run stop && expect 0
    run start 1 "$base" && expect 0 'node1 is ready' '^export ARTEMIS_URL=http://'
}

clean_removes_everything() {
    local pid
    pid=$(pid_of 1)
    run clean && expect 0 'node1 has ended' 'is removed'
    is_gone "$pid" || fail "clean has left node1"
    [ ! -e "$cluster" ] || fail "clean has left files"
    run clean && expect 0 'nothing to clean'
}

clear_environment
pick_base
for scenario in without_a_cluster wrong_usage_is_reported a_missing_binary_is_reported a_foreign_folder_is_not_touched \
    three_nodes_are_one_cluster status_is_a_table a_double_start_is_refused \
    a_killed_node_comes_back_alone logs_have_the_names_of_the_nodes restart_keeps_registrations \
    a_stale_pid_file_harms_no_process stop_is_harmless_twice a_port_in_use_is_reported \
    a_failed_start_leaves_nothing an_interrupted_start_leaves_nothing \
    nine_nodes_are_configured one_node_is_a_cluster a_secure_cluster_has_tls clean_removes_everything; do
    "$scenario"
    passed=$((passed + 1))
done
printf 'cluster.sh: %d scenarios\n' "$passed"
