/* SPDX-License-Identifier: Apache-2.0
 *
 * Fuzzes the responses of etcd: what is read keeps its limits, and the list of nodes stays valid.
 * The first byte selects the kind of the response.
 */
#include "artemis-server/cluster/providers/etcd/etcd_plan.h"

#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/support/fuzz.h"

static char *endpoints[] = {"127.0.0.1:1"};

static void check_list(struct etcd_plan *plan)
{
    struct member_list members;
    const char *reason;
    assert(plan->count <= MEMBERS_MAX);
    for (size_t i = 0; i < plan->count; i++)
        assert(plan->nodes[i].id[0] && strncmp(plan->nodes[i].url, "http", 4) == 0);
    if (etcd_plan_take_list(plan, &members, &reason))
        assert(members.count <= plan->count && reason[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct config config;
    static struct etcd_plan plan;
    static const enum etcd_step steps[] = {ETCD_READ, ETCD_GRANT, ETCD_RENEW, ETCD_VOTERS,
                                           ETCD_AUTHENTICATE};
    if (size == 0)
        return 0;
    config.cluster.etcd.endpoints = (struct config_list){1, endpoints};
    config.cluster.etcd.prefix[0] = '/';
    etcd_plan_init(&plan, &config, "http://127.0.0.1:2");
    struct slice body = {(const char *)data + 1, size - 1};
    if (data[0] % 6 == 5) {
        plan.has_list = plan.has_read = plan.is_watching = true;
        (void)etcd_plan_on_line(&plan, body, 1);
    } else {
        etcd_plan_on_start(&plan, steps[data[0] % 6], 1);
        etcd_plan_on_response(&plan, steps[data[0] % 6], body, 1);
    }
    check_list(&plan);
    etcd_plan_on_failure(&plan, ETCD_PUT, 500, body, "problem", 1);
    for (const char *c = plan.problem; *c; c++)
        assert(*c >= 0x20 && *c < 0x7f);
    return 0;
}
