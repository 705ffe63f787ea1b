/* SPDX-License-Identifier: Apache-2.0
 *
 * registry_watch - changes as they come, for the one who pushes them to clients.
 *
 * Every change has a revision, one more than the one before. A watcher remembers the revision up to
 * which it has seen the log, reads on from there, and awaits the next when it has read all. The
 * state of a service comes with the revision of the service's last change, so state and changes fit
 * together without a gap.
 *
 * Any thread may call, but only one may await.
 */
#pragma once

#include "artemis-server/registry/change_log.h"
#include "artemis-server/registry/registry.h"

/* Sets who is called when there is a change that is awaited; before any change is made. */
void registry_on_revision(struct registry *registry, change_log_wakeup *wake, void *context);
/* As change_log_arm_wakeup: false when there is a change after `revision` already. */
MUST_USE bool registry_arm_wakeup(struct registry *registry, uint64_t revision);
/* As change_log_disarm_wakeup: to be called before what the waker needs is freed. */
void registry_disarm_wakeup(struct registry *registry);
/* As change_log_read. */
MUST_USE enum error registry_changes(struct registry *registry, uint64_t revision,
                                     struct change *out, size_t max, size_t *count);

/* The revision of a service's last change; 0: not known. `id` is canonical. */
uint64_t registry_service_revision(struct registry *registry, struct slice id);
/* Whether the service, or any one where `id` is "*", has changed after `revision`. Also true where
 * the revision is not of this node's log, and where the service is no longer known. */
bool registry_has_newer(struct registry *registry, struct slice id, uint64_t revision);
/* All members of a service, of any status, and its revision; none and 0 where it is not known.
 * Released with registry_members_free. ERR_NO_MEMORY. */
struct registry_members {
    struct instance **instances;
    size_t count;
    uint64_t revision;
};
MUST_USE enum error registry_members(struct registry *registry, struct slice id,
                                     struct registry_members *out);
void registry_members_free(struct registry_members *members);
