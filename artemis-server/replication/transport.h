/* SPDX-License-Identifier: Apache-2.0
 *
 * transport - carries the messages of a replica by HTTP, with one curl_multi handle.
 *
 * A message becomes a request; what its answer says is handed to the replica record by record as it
 * comes, and its end as a fate. Connections are kept alive, ten to a peer at most; bodies above
 * 1 KiB are compressed. Nothing blocks but transport_wait. One thread, except for transport_wake.
 */
#pragma once

#include "artemis-server/replication/replica.h"

enum { PEER_CONNECTIONS_MAX = 10, PEER_PROBLEM_BYTES = 256, PEER_NODE_BYTES = 256 };

struct transport_options {
    const char *node_id;
    const char *cluster_id;
    const char *run_id; /* of this process, to tell it from another with the same name */
    const char *region;
    uint64_t timeout_ms;
};

struct transport;

/* What came of a message. Borrowed for the call. */
struct delivery {
    struct message *message;
    enum fate fate;
    const char *problem; /* why not, for people */
    /* Of an answer to MESSAGE_HEALTH that came: */
    bool has_health;
    struct health_answer health;
    const char *node_id; /* "" when it named none; so for the others */
    const char *region;
    const char *zone;
};
typedef void transport_delivered(void *context, const struct delivery *delivery);

/* ERR_NO_MEMORY. */
MUST_USE enum error transport_create(const struct transport_options *options,
                                     struct registry *registry, struct replica *replica,
                                     transport_delivered *delivered, void *context,
                                     struct transport **out);
/* What is under way is given up; its messages are freed. Takes NULL. */
void transport_free(struct transport *transport);

/* Sends a message to a peer at `url`; `plain` is a node of an older Artemis. */
void transport_send(struct transport *transport, const char *url, bool plain,
                    struct message *message);
/* Moves what is under way; calls back for each that has ended. True when any has. */
bool transport_run(struct transport *transport);
/* Sleeps until something moves, or transport_wake, or the time is over. */
void transport_wait(struct transport *transport, uint64_t timeout_ms);
void transport_wake(struct transport *transport); /* any thread */
