/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/cluster/providers/dns_plan.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { MS_PER_SEC = 1000 };

static uint64_t within(const struct dns_plan *plan, uint64_t interval_ms)
{
    if (interval_ms < plan->interval_min_ms)
        return plan->interval_min_ms;
    return interval_ms > plan->interval_max_ms ? plan->interval_max_ms : interval_ms;
}

static void read_name(struct dns_name *name, const char *text, uint64_t now_ms)
{
    const char *colon = strrchr(text, ':');
    size_t size = colon ? (size_t)(colon - text) : strlen(text);
    assert(size < sizeof(name->host));
    *name = (struct dns_name){.due_ms = now_ms};
    snprintf(name->text, sizeof(name->text), "%s", text);
    memcpy(name->host, text, size);
    if (colon)
        name->port = (uint16_t)strtoul(colon + 1, NULL, 10);
}

void dns_plan_set_names(struct dns_plan *plan, const struct config_list *names, uint64_t now_ms)
{
    assert(names->count <= CONFIG_DNS_NAMES_MAX);
    for (plan->count = 0; plan->count < names->count; plan->count++)
        read_name(&plan->names[plan->count], names->items[plan->count], now_ms);
}

/* The number of the name; plan->count: it is not there. */
static size_t find(const struct dns_plan *plan, const char *text)
{
    size_t i = 0;
    while (i < plan->count && strcmp(plan->names[i].text, text) != 0)
        i++;
    return i;
}

static void drop_kept_members(struct dns_plan *plan)
{
    bool is_complete = true;
    for (size_t i = 0; i < plan->count; i++)
        is_complete &= plan->names[i].has_response;
    if (is_complete)
        plan->kept.count = 0;
}

void dns_plan_keep_responses(struct dns_plan *plan, const struct dns_plan *before)
{
    plan->kept = before->kept;
    for (size_t i = 0; i < before->count; i++) {
        size_t number = find(plan, before->names[i].text);
        if (number < plan->count)
            plan->names[number] = before->names[i];
        else
            (void)member_list_merge(&plan->kept, &before->names[i].members);
    }
    drop_kept_members(plan);
}

bool dns_name_has_target(const struct dns_name *name, const char *target)
{
    const char *domain = name->host;
    while (domain[0] == '_' && strchr(domain, '.'))
        domain = strchr(domain, '.') + 1;
    size_t size = strlen(domain);
    size_t target_size = strlen(target);
    return target_size > size + 1 && target[target_size - size - 1] == '.' &&
           strcasecmp(target + target_size - size, domain) == 0;
}

uint64_t dns_plan_due_ms(const struct dns_plan *plan)
{
    uint64_t due_ms = UINT64_MAX;
    for (size_t i = 0; i < plan->count; i++)
        if (plan->names[i].due_ms < due_ms)
            due_ms = plan->names[i].due_ms;
    return due_ms;
}

void dns_plan_on_response(struct dns_plan *plan, size_t number, const struct member_list *members,
                          uint32_t ttl_secs, size_t left_out, uint64_t now_ms)
{
    struct dns_name *name = &plan->names[number];
    if (members->count == 0) {
        dns_plan_on_failure(plan, number, "it has no addresses", now_ms);
        return;
    }
    name->members = *members;
    name->has_response = true;
    name->retry_ms = 0;
    name->due_ms = now_ms + within(plan, ttl_secs * (uint64_t)MS_PER_SEC);
    name->problem[0] = '\0';
    drop_kept_members(plan);
    if (left_out > 0)
        snprintf(name->problem, sizeof(name->problem),
                 "it has more than %d addresses; %zu are left out", MEMBERS_MAX, left_out);
}

void dns_plan_on_targets(struct dns_plan *plan, size_t number, const struct dns_targets *targets,
                         const char *problem)
{
    struct dns_name *name = &plan->names[number];
    name->targets = *targets;
    if (problem)
        snprintf(name->problem, sizeof(name->problem), "%s", problem);
}

void dns_plan_on_failure(struct dns_plan *plan, size_t number, const char *problem, uint64_t now_ms)
{
    struct dns_name *name = &plan->names[number];
    name->retry_ms = within(plan, 2 * name->retry_ms);
    name->due_ms = now_ms + name->retry_ms;
    snprintf(name->problem, sizeof(name->problem), "%s", problem);
}

bool dns_plan_members(const struct dns_plan *plan, struct member_list *out)
{
    bool has_response = plan->count == 0 || plan->kept.count > 0;
    out->count = 0;
    for (size_t i = 0; i < plan->count; i++) {
        has_response |= plan->names[i].has_response;
        (void)member_list_merge(out, &plan->names[i].members);
    }
    (void)member_list_merge(out, &plan->kept);
    return has_response;
}

bool dns_plan_problem(const struct dns_plan *plan, char out[DNS_PROBLEM_BYTES])
{
    for (size_t i = 0; i < plan->count; i++) {
        const struct dns_name *name = &plan->names[i];
        if (!name->problem[0])
            continue;
        snprintf(out, DNS_PROBLEM_BYTES, "%s: %s", name->text, name->problem);
        return true;
    }
    return false;
}
