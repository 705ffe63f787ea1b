/* SPDX-License-Identifier: Apache-2.0
 *
 * consul_response - reads the responses of the HTTP API of Consul (v1).
 *
 * The responses come from the network: what is not valid is refused as a whole.
 *
 * Pure. Functions that return a bool return false where the response is not valid, or memory is
 * missing.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "artemis-core/base/text.h"
#include "artemis-server/cluster/topology.h"

enum { CONSUL_ID_BYTES = 1024, CONSUL_MESSAGE_BYTES = 160 };

/* A passing instance of the service. Borrowed for the call. */
struct consul_instance {
    char id[CONSUL_ID_BYTES];   /* unique for each agent; cut if it is longer */
    char url[MEMBER_URL_BYTES]; /* from its address, its port and Meta.scheme; "": not valid */
};

typedef void consul_instance_handler(void *context, const struct consul_instance *instance);

/* Passes on the instances whose checks are all passing. If the list is not valid, none is. */
bool consul_read_instances(struct slice body, consul_instance_handler *on_instance, void *context);
/* The value of X-Consul-Index; NULL is not valid. The index is at least 1, also where Consul sends
 * 0: a query with 0 would not block. */
bool consul_read_index(const char *header, uint64_t *index);
/* The text of a failed request, in printable ASCII; "" if it has none. */
void consul_read_message(struct slice body, char out[CONSUL_MESSAGE_BYTES]);
