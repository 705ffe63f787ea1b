/* SPDX-License-Identifier: Apache-2.0
 *
 * event_log - the recent events of the cluster, for operators: which member joined or left, when
 * and why, and the failures of membership providers.
 *
 * A subscriber of the topology (topology.h). It logs each event, and keeps the last
 * CLUSTER_EVENTS_MAX, where each member that joins or leaves has an event of its own. The node id
 * of a member is not known when it joins; it is added to that event when the member leaves. Any
 * thread may read the events.
 */
#pragma once

#include "artemis-server/cluster/topology.h"

enum { CLUSTER_EVENTS_MAX = 256, CLUSTER_REASON_BYTES = 384 };

enum cluster_log_kind {
    CLUSTER_LOG_JOINED,
    CLUSTER_LOG_LEFT,
    CLUSTER_LOG_BLOCKED,
    CLUSTER_LOG_STARTED,
    CLUSTER_LOG_START_FAILED,
    CLUSTER_LOG_STOPPED,
    CLUSTER_LOG_STOP_FAILED,
    CLUSTER_LOG_PROVIDER_FAILED,
    CLUSTER_LOG_PROVIDER_RECOVERED,
};

struct cluster_log_event {
    uint64_t number; /* from 1 on */
    uint64_t wall_ms;
    enum cluster_log_kind kind;
    char url[MEMBER_URL_BYTES];        /* of the member; "": none */
    char node_id[MEMBER_NAME_BYTES];   /* "": not known when it happened */
    char reason[CLUSTER_REASON_BYTES]; /* "": none */
    size_t members;                    /* in the topology afterwards */
};

/* Writes the node id of the member at this url, "" if it is not known. */
typedef void event_log_find_id(void *context, const char *url, char out[MEMBER_NAME_BYTES]);

struct event_log {
    pthread_mutex_t lock;
    event_log_find_id *find_id; /* NULL: there are no ids */
    void *context;
    uint64_t last; /* the number of the newest; 0: there was none */
    struct cluster_log_event events[CLUSTER_EVENTS_MAX];
};

void event_log_init(struct event_log *log);
void event_log_free(struct event_log *log);
/* The subscriber; the context is the log. */
void event_log_on_event(void *context, const struct cluster_event *event);
/* Copies the event with the lowest number above `after`. False: there is none. */
bool event_log_next(struct event_log *log, uint64_t after, struct cluster_log_event *out);
/* The kind of an event other than CLUSTER_TOPOLOGY_UPDATED. */
enum cluster_log_kind cluster_log_kind_of(enum cluster_event_kind kind);
/* The word for a kind in JSON. */
const char *cluster_log_word(enum cluster_log_kind kind);
