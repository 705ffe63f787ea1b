/* SPDX-License-Identifier: Apache-2.0
 *
 * consul_agent - an agent of Consul for tests, which is its own catalogue: services with a check
 * that has a time-to-live, and blocking queries for the passing instances of a service, as the
 * documentation of the API describes them.
 *
 * A check without an update becomes critical when its time has run out; registering a service again
 * keeps the state of its check. The index grows with each change. A query blocks while the index is
 * not above its own, up to a sixteenth longer than it says. With a token, requests without it are
 * refused. One that may not read gets an empty list, which says so only with a token.
 * DeregisterCriticalServiceAfter is checked, but has no effect.
 *
 * Any thread may call; every error fails the test.
 */
#pragma once

#include "tests/support/servers/api/json_api.h"

enum { CONSUL_SERVICES_MAX = 128 };

struct consul_service {
    char id[256], name[64], address[64], scheme[16];
    unsigned port;
    int64_t ttl_ms, deadline_ms; /* of the check; 0: it has none */
    bool is_passing;
};

struct consul_agent {
    struct json_api http;
    /* Under the lock of `http`: */
    struct consul_service services[CONSUL_SERVICES_MAX];
    size_t count;
    uint64_t index;
    unsigned resets; /* how often the index has gone back */
    /* What tests set: */
    char token[64];          /* "": requests need none */
    bool may_read;           /* the token */
    unsigned status;         /* of each request; 0: the usual one */
    const char *status_text; /* of such responses */
    const char *list;        /* of each query, which does not block; NULL: the usual one */
    const char *list_index;  /* with `list`; NULL: there is no header */
    bool changes_with_each_query;
    /* What tests read: */
    unsigned registrations, updates, queries, deregistrations, rejected_tokens;
    unsigned blocking; /* queries that block now */
    unsigned refused;  /* with `status` */
};

void consul_agent_init(struct consul_agent *agent, bool has_tls); /* starts nothing */
void consul_agent_free(struct consul_agent *agent);               /* also one that runs */
void consul_agent_start(struct consul_agent *agent);
void consul_agent_stop(struct consul_agent *agent); /* services and checks stay */

/* Registers an instance of the service "artemis" without a check, as one could do by hand. */
void consul_agent_put(struct consul_agent *agent, const char *id, const char *address,
                      unsigned port);
/* Loses all services. */
void consul_agent_forget(struct consul_agent *agent);
/* Restarts the index, and ends queries that block, as a restored snapshot does. */
void consul_agent_reset_index(struct consul_agent *agent);
/* The response to each request; 0: the usual one. */
void consul_agent_set_status(struct consul_agent *agent, unsigned status, const char *text);
/* The response to each query; NULL: the usual one. */
void consul_agent_set_list(struct consul_agent *agent, const char *list, const char *index);
void consul_agent_set_token(struct consul_agent *agent, const char *token, bool may_read);
bool consul_agent_has(struct consul_agent *agent, const char *id); /* also one that is critical */
