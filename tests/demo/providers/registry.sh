# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154
#
# The provider registry: nodes register in the store of the others, through a seed.
settings() { echo "seeds = [\"$(peer_address a)\"]"; }
# Where no other node is registered any more, the last one stays in the topology; it is down.
has_left() { ! sees "$@"; }
