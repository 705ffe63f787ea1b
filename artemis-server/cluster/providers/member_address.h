/* SPDX-License-Identifier: Apache-2.0
 *
 * member_address - adds an address of the settings, or one that a provider has found, to a list of
 * members. Pure.
 */
#pragma once

#include "artemis-core/config/config.h"
#include "artemis-server/cluster/topology.h"

/* With cluster.tls, an address without a scheme gets https://, and the member the name that its
 * certificate must have ("": its host). Errors as member_list_add. */
MUST_USE enum error member_address_add(struct member_list *members, const struct config *config,
                                       const char *address, const char *name);
/* Whether a text that a node has registered is the url of a peer; with cluster.tls, only https is.
 */
bool member_address_is_url(const struct config *config, const char *text);
