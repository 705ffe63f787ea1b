# shellcheck shell=bash disable=SC2034,SC2154
# SPDX-License-Identifier: Apache-2.0
#
# secure.sh - with SECURE=yes the nodes replicate over mutual TLS, at listeners of their own. Clients
# and checks use plain HTTP, so that they see what a cluster without TLS shows. chaos.sh sources it.

PEER_PORT=8080 PEER_SCHEME=http
NODE_SETTINGS=() # of the node that is started

# Makes an authority, and a certificate for each node.
use_tls() {
    local n names=()
    for n in $NODES; do names+=("n$n,$(address "$n")"); done
    "$here/../../configs/secure/certificates.sh" "$WORK/tls" "${names[@]}" || exit 1
    PEER_PORT=9443 PEER_SCHEME=https
}

# node_settings N: sets NODE_SETTINGS.
node_settings() {
    NODE_SETTINGS=()
    [ -n "${SECURE:-}" ] || return 0
    NODE_SETTINGS=(--set "cluster.listen_addr=$(address "$1"):$PEER_PORT" --set "cluster.tls.cert=$WORK/tls/n$1.pem"
        --set "cluster.tls.key=$WORK/tls/n$1.key" --set "cluster.tls.ca=$WORK/tls/ca.pem")
}

# peer_url N: the entry of node N in cluster.peers.
peer_url() { echo "$PEER_SCHEME://$(address "$1"):$PEER_PORT"; }

# ask_peer N PATH [CURL-OPTION...]: a request to the peer listener of node N, from its own namespace.
ask_peer() {
    local credentials=()
    [ -z "${SECURE:-}" ] || credentials=(--cacert "$WORK/tls/ca.pem" --cert "$WORK/tls/n$1.pem" --key "$WORK/tls/n$1.key")
    on "$1" curl -s -m 2 "${credentials[@]}" "${TOKEN_FIELD[@]}" "${@:3}" "$(peer_url "$1")$2"
}
