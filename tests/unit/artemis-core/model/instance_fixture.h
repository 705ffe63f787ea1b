/* SPDX-License-Identifier: Apache-2.0
 *
 * instance_fixture - shared by the tests of instances: a spec that is accepted, and its instance.
 */
#pragma once

#include "artemis-core/model/instance.h"

#include "tests/support/cmocka_all.h"

static inline struct instance_spec good_spec(void)
{
    return (struct instance_spec){
        .text =
            {
                [FIELD_REGION] = SLICE("lab"),
                [FIELD_ZONE] = SLICE("zone1"),
                [FIELD_SERVICE] = SLICE("orders"),
                [FIELD_INSTANCE] = SLICE("i1"),
                [FIELD_IP] = SLICE("10.0.0.1"),
            },
        .port = 8080,
    };
}

static inline struct instance *made(const struct instance_spec *spec)
{
    struct instance *instance = NULL;
    struct field_problem problem = {"none", ""};
    enum error error = instance_create(spec, &instance, &problem);
    if (error)
        fail_msg("%s: %s", problem.field, problem.problem);
    return instance;
}
