# shellcheck shell=bash disable=SC2034,SC2154
# SPDX-License-Identifier: Apache-2.0
#
# tls.sh - the row of bench.sh about TLS: heartbeats on connections that stay open, against a bare
# libmicrohttpd with TLS. To be sourced.

# The pair of serve_pair, with TLS and the same certificate.
serve_tls_pair() {
    local pem=$WORK/tls/node.pem key=$WORK/tls/node.key port
    stop_pair
    "$HERE/../configs/secure/certificates.sh" "$WORK/tls" node,127.0.0.1 || return 1
    serve_artemis 86400 --set server.tls_listen_addr=127.0.0.1:0 --set "tls.cert=$pem" \
        --set "tls.key=$key" && fill artemis 10000 || return 1
    response_of artemis heartbeat >"$WORK/heartbeat.answer" || return 1
    serve yardstick "$PROGRAMS/yardstick" --heartbeat "$WORK/heartbeat.answer" --cert "$pem" \
        --key "$key" || return 1
    port=$(sed -n 's/^Listening with TLS on 127\.0\.0\.1:\([0-9]*\)$/\1/p' "$WORK/artemis.log")
    URL[artemis]=https://127.0.0.1:$port
    URL[yardstick]=https://127.0.0.1:${PORT[yardstick]}
}

# Rounds are longer than those of plain HTTP, because each begins with a handshake per connection.
measure_heartbeat_tls() {
    local ROUNDS=12 ROUND_SECS=2
    serve_tls_pair || return 1
    compare_under_load heartbeat "heartbeat over TLS" 0.6 1.67 heartbeat-tls
    stop_pair
}
