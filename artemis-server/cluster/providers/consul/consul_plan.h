/* SPDX-License-Identifier: Apache-2.0
 *
 * consul_plan - decides which request to Consul is next, and keeps the nodes that have been found.
 *
 * Each node is an instance of one service, registered at an agent with a check that has a
 * time-to-live, which the node updates. An agent that does not know the check gets the registration
 * again. The plan also reads the passing instances with blocking queries, each from the index of
 * the last one. Each of the two goes on while the other fails, and repeats what has failed after a
 * growing time; the nodes stay as they were.
 *
 * A node that is missing in the response of a blocking query is removed at once. One that is
 * missing when the whole list is read again, at the start, after a failure or when the index has
 * gone back, stays for the time-to-live: a Consul that has lost its data must not empty the
 * topology. Nor must rules that hide all instances: once this node has been registered and
 * updated, also with earlier settings, an empty list is a failure where others are known.
 *
 * Pure. Times are monotonic milliseconds. Not thread-safe.
 */
#pragma once

#include "artemis-core/config/config.h"
#include "artemis-server/cluster/providers/consul/consul_response.h"
#include "artemis-server/cluster/providers/found_nodes.h"
#include "artemis-server/cluster/topology.h"

enum {
    CONSUL_PROBLEM_BYTES = 512,
    CONSUL_WARNING_BYTES = 256,
    /* How long Consul may block a query. Where its index has gone back, it blocks for that time. */
    CONSUL_WAIT_SECS = 10,
    /* Minimum time between the starts of two queries: an index may change with each of them. */
    CONSUL_READ_INTERVAL_MS = 250,
};

enum consul_step {
    CONSUL_REGISTER,
    CONSUL_UPDATE, /* the check is passing */
    CONSUL_READ,   /* a query that may block; the other steps do not wait for its end */
    CONSUL_DEREGISTER,
    CONSUL_NO_STEP,
};

struct consul_task {
    bool is_calling;   /* its request is in flight */
    uint64_t due_ms;   /* no request of it begins before */
    unsigned failures; /* in a row */
};

struct consul_plan {
    const struct config *config;   /* borrowed; of this node */
    const struct config *settings; /* borrowed; cluster.consul */
    const char *peer_url;          /* borrowed */
    char id[CONSUL_ID_BYTES];      /* of the instance: SERVICE-NODE_ID */
    uint64_t ttl_ms;
    struct consul_task registration, reading;
    bool may_be_registered; /* a registration has been sent */
    bool is_registered;
    bool is_updated;                    /* since the registration */
    bool was_updated;                   /* at any time, also with earlier settings */
    uint64_t index;                     /* of the next query; 0: the whole list is read again */
    uint64_t read_ms;                   /* when the last query began */
    unsigned failures;                  /* of both tasks since the start */
    char problem[CONSUL_PROBLEM_BYTES]; /* of the last failure */
    size_t count;
    struct found_node nodes[MEMBERS_MAX]; /* the others */
    size_t left_out;                      /* beyond MEMBERS_MAX in the last list */
    char invalid[CONSUL_WARNING_BYTES];   /* an instance without a valid address; "": none */
    bool has_list;                        /* a list has been read */
    bool is_empty;            /* the last response has no instance, not even this node */
    bool has_own, has_double; /* this node, and another with its id, are in the last list */
    uint64_t own_until_ms;    /* when its absence becomes a warning; 0: it is there */
    bool is_missing;          /* that time has passed */
    const char *changed; /* what has changed the list since consul_plan_take_list; NULL: nothing */
};

/* The response to a query. The headers are NULL where they are missing. */
struct consul_list {
    struct slice body;
    const char *index;    /* X-Consul-Index */
    const char *filtered; /* X-Consul-Results-Filtered-By-ACLs */
};

/* `peer_url` is the address of this node for its peers, http[s]://HOST:PORT. */
void consul_plan_init(struct consul_plan *plan, const struct config *config, const char *peer_url);
/* Uses cluster.consul of `settings` from now on, which has the same service. Requests that are in
 * flight must have been cancelled. This node registers again, and the list is read again. */
void consul_plan_set_settings(struct consul_plan *plan, const struct config *settings,
                              uint64_t now_ms);

/* The step that is to begin now; CONSUL_NO_STEP: none before consul_plan_due_ms. */
enum consul_step consul_plan_next(const struct consul_plan *plan, uint64_t now_ms);
uint64_t consul_plan_due_ms(const struct consul_plan *plan); /* UINT64_MAX: never */
/* The timeout of a request. That of CONSUL_READ includes the time that Consul may block. */
uint64_t consul_plan_timeout_ms(const struct consul_plan *plan, enum consul_step step);
/* "GET" or "PUT" */
const char *consul_plan_method(enum consul_step step);
/* The request of a step: its URL, and its body; the body of a GET is empty. False: out of memory.
 */
bool consul_plan_write(const struct consul_plan *plan, enum consul_step step, struct text *url,
                       struct text *body);

/* The request of the step has been started. */
void consul_plan_on_start(struct consul_plan *plan, enum consul_step step, uint64_t now_ms);
/* The 2xx response of CONSUL_REGISTER or CONSUL_UPDATE. */
void consul_plan_on_success(struct consul_plan *plan, enum consul_step step, uint64_t now_ms);
/* The 2xx response of CONSUL_READ. `random` is any number, for the time of the next try. */
void consul_plan_on_list(struct consul_plan *plan, const struct consul_list *list, uint64_t random,
                         uint64_t now_ms);
/* A request has failed. `status` is that of HTTP, 0 without a response; `body` is that of the
 * response; `problem` says what failed. */
void consul_plan_on_failure(struct consul_plan *plan, enum consul_step step, long status,
                            struct slice body, const char *problem, uint64_t random,
                            uint64_t now_ms);

/* Removes the nodes whose time has run out. To be called when consul_plan_due_ms has passed. */
void consul_plan_expire(struct consul_plan *plan, uint64_t now_ms);
/* Writes the list if it has changed, and what has changed it. */
bool consul_plan_take_list(struct consul_plan *plan, struct member_list *out, const char **reason);
/* Whether the last request of each task has succeeded. */
bool consul_plan_is_well(const struct consul_plan *plan);
/* What works but should be changed; false: nothing. */
bool consul_plan_warning(const struct consul_plan *plan, char out[CONSUL_WARNING_BYTES]);
