/* SPDX-License-Identifier: Apache-2.0
 *
 * peer_client - sends the messages of a replicator over HTTP, with one curl_multi handle.
 *
 * Each message becomes one request. Its response is passed to the handler: each record as it
 * arrives, then the send result. Connections are kept alive, at most ten to a peer. Bodies above
 * 1 KiB are compressed, and to a remote peer those above 256 bytes. Only peer_client_wait blocks.
 * One thread, except for peer_client_wake.
 *
 * With credentials, peers are called with TLS: this node shows its certificate, and that of the
 * peer must be signed by one of the authorities and have the name of the peer's address, or without
 * one the host of its URL. Each request uses the current credentials, in a new connection after
 * they have changed.
 */
#pragma once

#include "artemis-server/cluster/blocks.h"
#include "artemis-server/replication/replicator.h"
#include "artemis-server/replication/status.h"
#include "artemis-server/tls/credential_store.h"

enum { PEER_CONNECTIONS_MAX = 10 };

struct peer_client_options {
    const char *node_id;
    const char *cluster_id;
    const char *epoch; /* of this process: distinguishes it from another with the same node id */
    const char *region;
    const char *token; /* "": none is sent */
    bool remote_gzip;  /* false: nothing is compressed between this node and a remote peer */
    uint64_t timeout_ms;
    struct credential_store *credentials; /* NULL: those of the system, without a certificate */
    enum tls_version min_version;
    struct blocks *blocks; /* borrowed; NULL: there is no block list */
};

/* The end of a message. Borrowed for the call, except for the message. */
struct peer_response {
    struct message *message; /* owned by the handler from here on */
    enum send_result result;
    const char *error_text;  /* "" when it was delivered */
    const uint64_t *digests; /* of a delivered MESSAGE_DIGEST; otherwise NULL */
    struct slice blocks;     /* the text of a delivered MESSAGE_BLOCKS; otherwise empty */
    bool is_clock_ahead;     /* further than it is followed before the members are asked */
    uint64_t sent_bytes;     /* of the bodies, as they were sent: compressed */
    uint64_t received_bytes;
    /* Of a delivered MESSAGE_HEALTH: */
    bool has_health;
    struct health_response health;
    uint64_t wall_ms;    /* the peer's wall clock, in whole seconds; 0: not sent */
    const char *node_id; /* "": not sent or not valid; the same for the region and the zone */
    const char *region;
    const char *zone;
    const char *client_url; /* where clients reach it */
};

struct peer_client_handler {
    void (*on_record)(void *context, const struct message *message,
                      const struct wire_record *record);
    void (*on_response)(void *context, const struct peer_response *response);
    void *context;
};

struct peer_client;

/* ERR_NO_MEMORY. */
MUST_USE enum error peer_client_create(const struct peer_client_options *options,
                                       struct registry *registry,
                                       const struct peer_client_handler *handler,
                                       struct peer_client **out);
/* Aborts the requests in flight and frees their messages. Accepts NULL. */
void peer_client_free(struct peer_client *client);

struct peer_address {
    const char *url;
    const char *name; /* that its certificate must have; "": the host of the url */
    bool is_legacy;
    bool is_remote;
};

/* Sends a message to the peer at that address, and takes ownership of it. */
void peer_client_send(struct peer_client *client, const struct peer_address *peer,
                      struct message *message);
/* Aborts the requests in flight to the peer with this number of the replicator, without a response
 * to the handler, and frees their messages. Not within the handler. */
void peer_client_cancel(struct peer_client *client, uint32_t peer);
/* Moves data of the requests in flight and calls the handler. True if any request ended. */
bool peer_client_run(struct peer_client *client);
/* Sleeps until data can be moved, peer_client_wake is called, or timeout_ms has passed. */
void peer_client_wait(struct peer_client *client, uint64_t timeout_ms);
void peer_client_wake(struct peer_client *client); /* any thread */
