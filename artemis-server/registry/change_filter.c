/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/registry/change_filter.h"

bool change_filter_sees(const struct instance_filter *filter, const struct change *change,
                        enum change_type *type)
{
    const struct instance *instance = change->instance;
    *type = change->type;
    if (instance_filter_matches(filter, instance))
        return true;
    *type = CHANGE_DELETE;
    return change->type != CHANGE_NEW &&
           instance_filter_matches_place(filter, instance_text(instance, FIELD_REGION),
                                         instance_text(instance, FIELD_ZONE));
}
