/* SPDX-License-Identifier: Apache-2.0
 *
 * Fuzzes the responses of Consul: what is read keeps its limits, the list of nodes stays valid, and
 * no response makes the plan send requests without a pause. The first byte selects the request, the
 * first line is the header with the index, and the rest is the body.
 */
#include "artemis-server/cluster/providers/consul/consul_plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/support/fuzz.h"

enum { HEADER_BYTES = 64, NOW_MS = 1000000 };

static void check_plan(struct consul_plan *plan)
{
    struct member_list members;
    char warning[CONSUL_WARNING_BYTES];
    const char *reason;
    assert(plan->count <= MEMBERS_MAX);
    for (size_t i = 0; i < plan->count; i++)
        assert(strncmp(plan->nodes[i].url, "http", 4) == 0);
    if (consul_plan_take_list(plan, &members, &reason))
        assert(members.count <= plan->count && reason[0]);
    assert(consul_plan_warning(plan, warning) == (warning[0] != '\0'));
    for (const char *c = plan->problem; *c; c++)
        assert(*c >= 0x20 && *c < 0x7f);
    assert(plan->reading.is_calling || plan->reading.due_ms > NOW_MS);
}

/* The response to a query, of a plan that has a node and an index. */
static void read_list(struct consul_plan *plan, struct slice body, const char *index)
{
    static const char known[] =
        "[{\"Node\":{},\"Service\":{\"ID\":\"n1\",\"Address\":\"10.0.0.1\",\"Port\":1}}]";
    consul_plan_on_start(plan, CONSUL_READ, NOW_MS);
    consul_plan_on_list(plan, &(struct consul_list){SLICE(known), "5", NULL}, 0, NOW_MS);
    assert(plan->count == 1 && plan->index == 5);
    consul_plan_on_start(plan, CONSUL_READ, NOW_MS);
    consul_plan_on_list(plan, &(struct consul_list){body, index, NULL}, 0, NOW_MS);
    if (!consul_plan_is_well(plan))
        assert(plan->problem[0] && plan->index == 0 && plan->count >= 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct config config;
    static struct consul_plan plan;
    static const long statuses[] = {0, 403, 404, 429, 500, 503};
    char index[HEADER_BYTES];
    if (size == 0)
        return 0;
    const char *text = (const char *)data + 1;
    const char *end = memchr(text, '\n', size - 1);
    size_t line = end ? (size_t)(end - text) : 0;
    struct slice body = {text + line, size - 1 - line};
    snprintf(index, sizeof(index), "%.*s", (int)line, text);
    config.cluster.consul.ttl_secs = 10;
    memcpy(config.cluster.consul.service, "artemis", sizeof("artemis"));
    memcpy(config.server.node_id, "own", sizeof("own"));
    consul_plan_init(&plan, &config, "http://10.0.0.1:9");
    read_list(&plan, body, end ? index : NULL);
    check_plan(&plan);
    enum consul_step step = data[0] % 2 ? CONSUL_UPDATE : CONSUL_REGISTER;
    plan.is_registered = step == CONSUL_UPDATE;
    consul_plan_on_start(&plan, step, NOW_MS);
    consul_plan_on_failure(&plan, step, statuses[data[0] / 2 % 6], body, "problem", 0, NOW_MS);
    assert(plan.registration.due_ms > NOW_MS);
    check_plan(&plan);
    return 0;
}
