# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154
#
# The provider consul: nodes register at an agent of Consul, which is that of the tests.
settings() {
    echo '[cluster.consul]'
    echo "address = \"$(sed -n 's/^url //p' "$work/consul.log")\""
}
start_server() {
    start_program consul "${DEMO_DIR:?must name the folder of consul_server}/consul_server"
    until_true "the agent listens" grep -q '^url ' "$work/consul.log"
}
