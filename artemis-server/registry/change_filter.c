/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/registry/change_filter.h"

/* Whether an instance that does not match may have matched before the change. */
static bool may_have_matched(const struct instance_filter *filter, const struct change *change)
{
    if (change->type != CHANGE_CHANGE || !(filter->statuses >> change->old_status & 1))
        return false;
    struct instance_filter before = *filter;
    before.statuses = STATUSES_ALL; /* the current status does not count */
    if (change->other_texts)
        before.metadata_count = 0;
    return instance_filter_matches(&before, change->instance);
}

bool change_filter_sees(const struct instance_filter *filter, const struct change *change,
                        enum change_type *type)
{
    *type = change->type;
    if (instance_filter_matches(filter, change->instance))
        return true;
    *type = CHANGE_DELETE;
    return may_have_matched(filter, change);
}
