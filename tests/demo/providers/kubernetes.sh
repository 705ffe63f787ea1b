# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154
#
# The provider kubernetes: the nodes are the pods of a headless service. The API server is that of
# the tests.
settings() {
    echo '[cluster.kubernetes]'
    echo 'service = "artemis"'
    echo "api_server = \"$(sed -n 's/^url //p' "$work/kubernetes.log")\""
    echo "account_dir = \"$work/account\""
}
start_server() {
    mkfifo "$work/pods"
    start_program kubernetes "${DEMO_DIR:?must name the folder of kubernetes_server}/kubernetes_server" \
        "$peer_port" "$work/account" "$work/pods"
    until_true "the API server listens" grep -q '^url ' "$work/kubernetes.log"
}
set_members() {
    local name pods=""
    for name; do pods+="$name=${hosts[$name]} "; done
    echo "$pods" >"$work/pods"
}
