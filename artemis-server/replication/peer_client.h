/* SPDX-License-Identifier: Apache-2.0
 *
 * peer_client - carries the messages of a replica by HTTP, with one curl_multi handle.
 *
 * A message becomes a request; what its answer says is handed to the replica record by record as it
 * comes, and its end as a fate. Connections are kept alive, ten to a peer at most; bodies above
 * 1 KiB are compressed. Nothing blocks but peer_client_wait. One thread, except for
 * peer_client_wake.
 */
#pragma once

#include "artemis-server/replication/replicator.h"

enum { PEER_CONNECTIONS_MAX = 10, PEER_PROBLEM_BYTES = 256, PEER_NODE_BYTES = 256 };

struct peer_client_options {
    const char *node_id;
    const char *cluster_id;
    const char *run_id; /* of this process, to tell it from another with the same name */
    const char *region;
    uint64_t timeout_ms;
};

struct peer_client;

/* What came of a message. Borrowed for the call. */
struct delivery {
    struct message *message;
    enum send_result fate;
    const char *problem; /* why not, for people */
    /* Of an answer to MESSAGE_HEALTH that came: */
    bool has_health;
    struct health_answer health;
    const char *node_id; /* "" when it named none; so for the others */
    const char *region;
    const char *zone;
};
typedef void peer_client_delivered(void *context, const struct delivery *delivery);

/* ERR_NO_MEMORY. */
MUST_USE enum error peer_client_create(const struct peer_client_options *options,
                                       struct registry *registry, struct replicator *replica,
                                       peer_client_delivered *delivered, void *context,
                                       struct peer_client **out);
/* What is under way is given up; its messages are freed. Takes NULL. */
void peer_client_free(struct peer_client *transport);

/* Sends a message to a peer at `url`; `plain` is a node of an older Artemis. */
void peer_client_send(struct peer_client *transport, const char *url, bool plain,
                      struct message *message);
/* Moves what is under way; calls back for each that has ended. True when any has. */
bool peer_client_run(struct peer_client *transport);
/* Sleeps until something moves, or peer_client_wake, or the time is over. */
void peer_client_wait(struct peer_client *transport, uint64_t timeout_ms);
void peer_client_wake(struct peer_client *transport); /* any thread */
