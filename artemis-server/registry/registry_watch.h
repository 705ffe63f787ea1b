/* SPDX-License-Identifier: Apache-2.0
 *
 * registry_watch - changes as they come, for the one who pushes them to clients.
 *
 * Every change has a version, one more than the one before. A watcher remembers the version up to
 * which it has seen the log, reads on from there, and awaits the next when it has read all. The
 * state of a service comes with the version of the service's last change, so state and changes fit
 * together without a gap.
 *
 * Any thread may call, but only one may await.
 */
#pragma once

#include "artemis-server/registry/change_log.h"
#include "artemis-server/registry/registry.h"

/* Sets who is called when there is a change that is awaited; before any change is made. */
void registry_on_version(struct registry *registry, change_log_waker *wake, void *context);
/* As change_log_await: false when there is a change after `version` already. */
MUST_USE bool registry_await(struct registry *registry, uint64_t version);
/* As change_log_dismiss: to be called before what the waker needs is freed. */
void registry_dismiss(struct registry *registry);
/* As change_log_read. */
MUST_USE enum error registry_changes(struct registry *registry, uint64_t version,
                                     struct change *out, size_t max, size_t *count);

/* The version of a service's last change; 0: not known. `id` is canonical. */
uint64_t registry_service_version(struct registry *registry, struct slice id);
/* All members of a service, of any status, and its version; none and 0 where it is not known.
 * Released with registry_members_free. ERR_NO_MEMORY. */
struct registry_members {
    struct instance **instances;
    size_t count;
    uint64_t version;
};
MUST_USE enum error registry_members(struct registry *registry, struct slice id,
                                     struct registry_members *out);
void registry_members_free(struct registry_members *members);
