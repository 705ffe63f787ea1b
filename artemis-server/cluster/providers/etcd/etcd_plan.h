/* SPDX-License-Identifier: Apache-2.0
 *
 * etcd_plan - decides which request to etcd is next, and keeps the nodes that have been found.
 *
 * Each node has the key PREFIX/NODE with its address, under a lease that it renews. The plan reads
 * all keys, watches them from the next revision on, and registers this node. The watch and the
 * other requests use one endpoint. After a failure of any of them everything starts again at the
 * next endpoint: at once until each endpoint has failed, then after a growing time. The nodes stay
 * as they were.
 *
 * A node whose key is deleted is removed at once. One that is missing when all keys are read again
 * stays for the time-to-live of a lease: an etcd that has lost its data must not empty the
 * topology. A lease that is gone is replaced, and so is the key of this node.
 *
 * A server that fails, ends the watch, or deletes the key of this node again and again gets each
 * request later than before, although each works: the pauses begin again only after ten seconds
 * without one. A pause is at most two seconds, and at most half the time between two renewals.
 *
 * Pure. Times are monotonic milliseconds. Not thread-safe.
 */
#pragma once

#include "artemis-core/config/config.h"
#include "artemis-server/cluster/providers/etcd/etcd_response.h"
#include "artemis-server/cluster/providers/found_nodes.h"
#include "artemis-server/cluster/topology.h"

enum { ETCD_PROBLEM_BYTES = 512, ETCD_WARNING_BYTES = 256, ETCD_PREFIX_BYTES = 264 };

enum etcd_step {
    ETCD_AUTHENTICATE,
    ETCD_RENEW,
    ETCD_READ,
    ETCD_WATCH, /* a stream; the next steps do not wait for its end */
    ETCD_GRANT,
    ETCD_PUT,
    ETCD_VOTERS,
    ETCD_REVOKE, /* of a lease, with the key; only at the end, while etcd_plan_has_lease */
    ETCD_NO_STEP,
};

/* Pauses before something is repeated; they get longer. */
struct etcd_pauses {
    unsigned count;
    uint64_t last_ms;
};

struct etcd_plan {
    const struct config *config;    /* borrowed; of this node */
    const struct config *settings;  /* borrowed; cluster.etcd */
    const char *peer_url;           /* borrowed */
    char prefix[ETCD_PREFIX_BYTES]; /* of all keys, with the slash */
    bool has_user;
    char token[ETCD_TOKEN_BYTES]; /* of the user; "": not authenticated */
    bool is_token_accepted;       /* a request with it has succeeded */
    size_t endpoint;              /* of cluster.etcd.endpoints */
    bool is_calling;              /* a request other than the watch is in flight */
    bool has_failed_since;        /* that request began: its endpoint has failed already */
    bool has_read, is_watching;   /* since the last failure */
    bool is_watched;              /* etcd has confirmed the watch */
    uint64_t watch_until_ms;      /* when it must have been confirmed */
    uint64_t revision;            /* of the last reading */
    uint64_t lease;               /* 0: none */
    uint64_t old_lease; /* of another time-to-live: the key of this node may have it; 0: none */
    uint64_t ttl_ms, renew_ms;
    bool is_registered;
    bool has_lost_key;      /* the key was deleted since the last ETCD_PUT began */
    uint64_t own_key_lease; /* that the key of this node has in etcd; 0: there is no key */
    uint64_t voters_ms;
    size_t voters;                    /* 0: unknown */
    unsigned failures;                /* since the last success of all steps */
    struct etcd_pauses failing;       /* after failures, */
    struct etcd_pauses restarting;    /* and before what is repeated without a failure */
    uint64_t retry_ms;                /* no step begins before */
    char problem[ETCD_PROBLEM_BYTES]; /* of the last failure; "": all steps have succeeded since */
    size_t count;
    struct found_node nodes[MEMBERS_MAX]; /* the others */
    size_t left_out;                      /* beyond MEMBERS_MAX at the last reading */
    char invalid[CONFIG_TEXT_BYTES];      /* a node whose key has no valid address; "": none */
    bool has_list;                        /* the keys have been read once */
    const char *changed; /* what has changed the list since etcd_plan_take_list; NULL: nothing */
};

/* `peer_url` is the address of this node for its peers. */
void etcd_plan_init(struct etcd_plan *plan, const struct config *config, const char *peer_url);
/* Uses cluster.etcd of `settings` from now on. Requests that are in flight, the watch included,
 * must have been aborted. Everything is read again from the first endpoint. The nodes stay, and so
 * do the lease and the key of this node; with another time-to-live the key gets a new lease, and
 * the old one ends without it. The prefix does not change. */
void etcd_plan_set_settings(struct etcd_plan *plan, const struct config *settings, uint64_t now_ms);

/* The step that is to begin now; ETCD_NO_STEP: none before etcd_plan_due_ms. */
enum etcd_step etcd_plan_next(const struct etcd_plan *plan, uint64_t now_ms);
uint64_t etcd_plan_due_ms(const struct etcd_plan *plan); /* UINT64_MAX: never */
/* The timeout of a request other than the watch: less than what is left of a lease that is not
 * renewed in time. */
uint64_t etcd_plan_timeout_ms(const struct etcd_plan *plan);
/* The request of a step: its URL, and its body, but for ETCD_AUTHENTICATE (etcd_write_user). False:
 * out of memory. */
bool etcd_plan_write(const struct etcd_plan *plan, enum etcd_step step, struct text *url,
                     struct text *body);
/* The body of ETCD_AUTHENTICATE, from a text like USER:PASSWORD. False: it is another text, or
 * memory is missing. */
bool etcd_write_user(const char *credentials, struct text *body);

/* The request of the step has been started. */
void etcd_plan_on_start(struct etcd_plan *plan, enum etcd_step step, uint64_t now_ms);
/* The 2xx response of a request other than the watch. */
void etcd_plan_on_response(struct etcd_plan *plan, enum etcd_step step, struct slice body,
                           uint64_t now_ms);
/* A line of the watch. False: the watch has to end. */
bool etcd_plan_on_line(struct etcd_plan *plan, struct slice line, uint64_t now_ms);
/* A request has failed, or the watch has ended. `status` is that of HTTP, 0 without a response;
 * `body` is that of the response; `problem` says what failed. */
void etcd_plan_on_failure(struct etcd_plan *plan, enum etcd_step step, long status,
                          struct slice body, const char *problem, uint64_t now_ms);

/* Removes the nodes whose time has run out, and ends a watch that is not confirmed. To be called
 * when etcd_plan_due_ms has passed. */
void etcd_plan_expire(struct etcd_plan *plan, uint64_t now_ms);
/* Writes the list if it has changed, and what has changed it. */
bool etcd_plan_take_list(struct etcd_plan *plan, struct member_list *out, const char **reason);
/* Whether the key of this node may have a lease that is not revoked yet. */
bool etcd_plan_has_lease(const struct etcd_plan *plan);
/* Whether this node is registered and has a list that is followed. */
bool etcd_plan_is_well(const struct etcd_plan *plan);
/* Whether all endpoints have failed since the plan was well. */
bool etcd_plan_is_failing(const struct etcd_plan *plan);
/* What works but should be changed; false: nothing. */
bool etcd_plan_warning(const struct etcd_plan *plan, char out[ETCD_WARNING_BYTES]);
