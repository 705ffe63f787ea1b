/* SPDX-License-Identifier: Apache-2.0
 *
 * status - what the replication thread publishes about its peers and itself.
 *
 * The replication thread copies its status in, at most every STATUS_INTERVAL_MS; request threads
 * copy it out. The lock is held for these copies alone, so no request waits while the replication
 * thread reads a snapshot or compresses a message.
 */
#pragma once

#include <pthread.h>

#include "artemis-server/cluster/topology.h"
#include "artemis-server/replication/replicator.h"

enum { STATUS_INTERVAL_MS = 20, PEER_NAME_BYTES = 256, PEER_ERROR_BYTES = 256 };

struct peer_status {
    char url[MEMBER_URL_BYTES];
    char name[MEMBER_NAME_BYTES];  /* that its certificate must have; "": the host of the url */
    char node_id[PEER_NAME_BYTES]; /* "": not known yet */
    char region[PEER_NAME_BYTES];  /* "": not sent; the same for the zone */
    char zone[PEER_NAME_BYTES];
    char client_url[MEMBER_URL_BYTES]; /* where clients reach it; "": at `url` */
    bool shares_node_id;               /* another peer has the same node id */
    char last_error[PEER_ERROR_BYTES]; /* "": none */
    uint64_t last_error_wall_ms;
    enum send_result last_error_result;  /* of the message that failed, */
    enum message_kind last_error_kind;   /* and its kind */
    uint64_t sent_bytes, received_bytes; /* of the bodies of messages and responses, compressed */
    int64_t clock_offset_ms; /* the peer's wall clock minus this node's, to about a second */
    struct peer_view view;
};

struct replication_status {
    pthread_mutex_t lock;
    pthread_cond_t on_flushed;
    struct peer_status peers[MEMBERS_MAX];
    size_t peer_count;
    struct replicator_stats stats;
    uint64_t flushed;      /* the last flush request that is complete */
    uint64_t published_ms; /* monotonic */
};

void replication_status_init(struct replication_status *status);
void replication_status_free(struct replication_status *status);

/* Publishes the peers that have a url, except this node itself. Called by the replication thread
 * alone. */
void replication_status_publish(struct replication_status *status,
                                const struct peer_status peers[MEMBERS_MAX],
                                const struct replicator_stats *stats, uint64_t flushed,
                                struct moment now);
/* Copies the peers; their ages are as of `now`. Returns their number. */
size_t replication_status_peers(struct replication_status *status, struct moment now,
                                struct peer_status out[MEMBERS_MAX]);
void replication_status_stats(struct replication_status *status, struct replicator_stats *stats);
/* Waits until this flush request is complete; false: not before deadline_ms (monotonic). */
bool replication_status_wait_flushed(struct replication_status *status, uint64_t request,
                                     uint64_t deadline_ms);

/* Logs a health of a peer that is new. */
void peer_status_log_health(const struct peer_status *peer);
/* Logs that a peer is suspect. */
void peer_status_log_suspect(const struct peer_status *peer);
/* Sets the last error, or ends it: when a message is delivered of the kind that has failed, or,
 * where the peer was silent, any message. */
void peer_status_note_result(struct peer_status *peer, enum message_kind kind,
                             enum send_result result, const char *error_text, struct moment now);
/* The word for the health of a peer in JSON: "suspect" in place of "up" for one that is silent. */
const char *peer_health_word(const struct peer_view *view);
