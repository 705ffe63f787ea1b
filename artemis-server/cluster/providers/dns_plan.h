/* SPDX-License-Identifier: Apache-2.0
 *
 * dns_plan - decides when each name of cluster.dns.names is resolved, and keeps what was found.
 *
 * A name is resolved again when the lowest TTL of its response has passed, within the interval of
 * the settings. A failure keeps the last response; the name is resolved again after the minimum
 * interval, and after twice as long with each further failure, up to the maximum. A response
 * without addresses counts as a failure: a mistake in a zone must not empty the topology.
 *
 * Pure. Times are monotonic milliseconds. Not thread-safe.
 */
#pragma once

#include "artemis-core/config/config.h"
#include "artemis-server/cluster/providers/dns_response.h"
#include "artemis-server/cluster/topology.h"

enum { DNS_PROBLEM_BYTES = CONFIG_TEXT_BYTES + DNS_HOST_BYTES + 100 };

/* Which target of an SRV record has which member. */
struct dns_targets {
    size_t count;
    struct {
        char host[DNS_HOST_BYTES];
        char url[MEMBER_URL_BYTES];
    } items[MEMBERS_MAX];
};

struct dns_name {
    char text[CONFIG_TEXT_BYTES]; /* as in the settings */
    char host[DNS_HOST_BYTES];    /* what is asked for */
    uint16_t port;                /* 0: it has SRV records, and these have the ports */
    bool has_response;
    struct member_list members; /* of the last response */
    struct dns_targets targets; /* where they come from SRV records */
    uint64_t due_ms;
    uint64_t retry_ms;                 /* the wait after the last failure; 0: it did not fail */
    char problem[DNS_HOST_BYTES + 96]; /* "": none */
};

struct dns_plan {
    uint64_t interval_min_ms, interval_max_ms;
    size_t count;
    struct dns_name names[CONFIG_DNS_NAMES_MAX];
    struct member_list kept; /* of names that a reload removed */
};

/* Reads names like "artemis.example.org:8080" and "_artemis._tcp.example.org", which
 * config_validate has accepted. All are due at once. */
void dns_plan_set_names(struct dns_plan *plan, const struct config_list *names, uint64_t now_ms);
/* Copies the state of the names that another plan has too. The members of its other names are kept
 * until each name of this plan has had a response: a mistake in a new name must not empty the
 * topology. */
void dns_plan_keep_responses(struct dns_plan *plan, const struct dns_plan *before);
/* Whether the target of an SRV record is in the domain of the service: n1.example.org for
 * _artemis._tcp.example.org. Its certificate must have that name, which comes from the network. */
bool dns_name_has_target(const struct dns_name *name, const char *target);
/* When the next name is due; UINT64_MAX: there is none. */
uint64_t dns_plan_due_ms(const struct dns_plan *plan);
/* The response of a name. `left_out` addresses were too many. */
void dns_plan_on_response(struct dns_plan *plan, size_t number, const struct member_list *members,
                          uint32_t ttl_secs, size_t left_out, uint64_t now_ms);
/* The same of a name of a service. `problem`: a target failed, and its members are the earlier
 * ones; NULL: none. */
void dns_plan_on_targets(struct dns_plan *plan, size_t number, const struct dns_targets *targets,
                         const char *problem);
void dns_plan_on_failure(struct dns_plan *plan, size_t number, const char *problem,
                         uint64_t now_ms);
/* The members of all names. False: there are names, and none has had a response yet. */
bool dns_plan_members(const struct dns_plan *plan, struct member_list *out);
/* Writes the problem of the first name that has one, after that name. False: none has. */
bool dns_plan_problem(const struct dns_plan *plan, char out[DNS_PROBLEM_BYTES]);
