/* SPDX-License-Identifier: Apache-2.0
 *
 * peer_client - sends the messages of a replicator over HTTP, with one curl_multi handle.
 *
 * Each message becomes one request. The items of its response go to the replicator as they arrive,
 * its end as a send result. Connections are kept alive, at most ten to a peer; bodies above 1 KiB
 * are compressed. Only peer_client_wait blocks. One thread, except for peer_client_wake.
 */
#pragma once

#include "artemis-server/replication/replicator.h"

enum { PEER_CONNECTIONS_MAX = 10, PEER_ERROR_BYTES = 256, PEER_NAME_BYTES = 256 };

struct peer_client_options {
    const char *node_id;
    const char *cluster_id;
    const char *epoch; /* of this process, to tell it from another with the same name */
    const char *region;
    uint64_t timeout_ms;
};

struct peer_client;

/* What came of a message. Borrowed for the call. */
struct peer_response {
    struct message *message;
    enum send_result result;
    const char *error_text; /* why not, for people */
    /* Of an answer to MESSAGE_HEALTH that came: */
    bool has_health;
    struct health_response health;
    const char *node_id; /* "" when it named none; so for the others */
    const char *region;
    const char *zone;
};
typedef void peer_client_on_response(void *context, const struct peer_response *response);

/* ERR_NO_MEMORY. */
MUST_USE enum error peer_client_create(const struct peer_client_options *options,
                                       struct registry *registry, struct replicator *replicator,
                                       peer_client_on_response *on_response, void *context,
                                       struct peer_client **out);
/* What is under way is given up; its messages are freed. Takes NULL. */
void peer_client_free(struct peer_client *client);

/* Sends a message to a peer at `url`; `legacy` is a node of an older Artemis. */
void peer_client_send(struct peer_client *client, const char *url, bool legacy,
                      struct message *message);
/* Moves what is under way; calls back for each that has ended. True when any has. */
bool peer_client_run(struct peer_client *client);
/* Sleeps until something moves, or peer_client_wake, or the time is over. */
void peer_client_wait(struct peer_client *client, uint64_t timeout_ms);
void peer_client_wake(struct peer_client *client); /* any thread */
