/* SPDX-License-Identifier: Apache-2.0
 *
 * token_services - the services in which a token has registered instances at this node, for the
 * limit auth.tokens.max_services.
 *
 * Each node counts for itself, and from its start on: what a token has registered elsewhere or
 * before does not count. A service counts until it has no instances, those of other clients
 * included. Services without instances are removed when a further one needs a place.
 *
 *     token_services_begin(...), registry_register(...), token_services_end(...)
 *
 * Any thread may call. The lock is held while a shard of the registry is locked.
 */
#pragma once

#include <pthread.h>
#include <sys/queue.h>

#include "artemis-server/registry/registry.h"

enum {
    TOKEN_SERVICE_BUCKETS = 256,
    TOKEN_SERVICES_CHECK_MS = 1000, /* between two checks for services without instances */
};

struct token_service;
LIST_HEAD(token_service_list, token_service);

/* Zero: none. */
struct token_services {
    pthread_mutex_t lock;
    uint32_t count;
    uint64_t checked_ms;
    struct token_service_list *buckets; /* NULL: none yet */
};

void token_services_init(struct token_services *services);
void token_services_free(struct token_services *services);
/* Counts the service (canonical id) of an instance that is about to be registered. ERR_OVER_QUOTA:
 * it would be one more than max. ERR_NO_MEMORY. */
MUST_USE enum error token_services_begin(struct token_services *services, uint32_t max,
                                         struct registry *registry, struct slice service_id,
                                         struct moment now);
/* The registration has succeeded or failed. A service of which all have failed does not count. */
void token_services_end(struct token_services *services, const struct registry *registry,
                        struct slice service_id, bool registered);
