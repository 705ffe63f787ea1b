/* SPDX-License-Identifier: Apache-2.0
 *
 * change_filter - a change as a client sees it that has only the instances that match a filter.
 *
 * For such a client, an instance that begins to match is new or changed, and one that does not
 * match any more is deleted. Long polls with `delta` and WebSocket subscriptions see changes in
 * this way. Pure; any thread.
 */
#pragma once

#include "artemis-core/model/instance_filter.h"
#include "artemis-server/registry/change_log.h"

/* False: the client does not see the change, since the instance matches neither before nor after
 * it. Else *type is what it is to the client. Of an instance whose metadata or protocol changes,
 * only the old status is known: if it does not match now, it may be deleted without having
 * matched. */
bool change_filter_sees(const struct instance_filter *filter, const struct change *change,
                        enum change_type *type);
