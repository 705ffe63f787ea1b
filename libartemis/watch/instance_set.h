/* SPDX-License-Identifier: Apache-2.0
 *
 * instance_set - the known instances of a service (or of all services), sorted by identity.
 *
 * Single changes and complete states are applied here, and each actual difference is reported. A
 * client that was disconnected therefore learns of every difference once.
 *
 * Pure. A zeroed struct is an empty set; instance_set_clear empties it.
 */
#pragma once

#include "libartemis/base/shared_instance.h"

struct instance_set {
    struct shared_instance **each; /* a reference each, sorted by shared_instance_compare */
    size_t count, capacity;
};

/* Called for each difference before it takes effect. `before` is NULL for ARTEMIS_NEW, `now` is
 * NULL for ARTEMIS_DELETE; both are borrowed for the call. If it returns an error, the set stays as
 * it was and the caller gets that error. */
typedef enum error instance_set_difference(void *context, enum artemis_change_type type,
                                           struct shared_instance *before,
                                           struct shared_instance *now);

/* Inserts or replaces the instance and takes a reference. ERR_NO_MEMORY, errors of
 * `on_difference`. */
MUST_USE enum error instance_set_put(struct instance_set *set, struct shared_instance *instance,
                                     instance_set_difference *on_difference, void *context);
/* Removes the instance with the identity of `key`, if there is one. Errors of `on_difference`. */
MUST_USE enum error instance_set_remove(struct instance_set *set, const struct shared_instance *key,
                                        instance_set_difference *on_difference, void *context);

/* Replaces the instances of one service (NULL: of all services) by `instances`, and takes
 * references. Sorts `instances`; of several with one identity, one counts. ERR_NO_MEMORY, errors of
 * `on_difference`: the set is unchanged, and the differences reported so far did not happen. */
MUST_USE enum error instance_set_replace(struct instance_set *set, const char *service_id,
                                         struct shared_instance **instances, size_t count,
                                         instance_set_difference *on_difference, void *context);
void instance_set_clear(struct instance_set *set);
