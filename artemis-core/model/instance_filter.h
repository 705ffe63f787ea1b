/* SPDX-License-Identifier: Apache-2.0
 *
 * instance_filter - which instances of a service a client asks for, and which of them come first.
 *
 * A filter selects instances by status, region, zone and metadata; an instance must match all that
 * is given. With a near place (`near=REGION/ZONE` on the wire) the instances of that zone come
 * first, then those of other zones of its region, then the others.
 *
 * The texts of a filter are borrowed. Pure; any thread.
 */
#pragma once

#include "artemis-core/model/instance.h"

enum {
    FILTER_METADATA_MAX = 8,          /* metadata entries in a filter */
    FILTER_METADATA_BYTES_MAX = 1024, /* of their names and values together */
    /* A filter as text: the statuses, and each of its other texts with a tag and its size. */
    FILTER_PART_BYTES = 1 + sizeof(uint16_t),
    FILTER_KEY_BYTES_MAX = 1 + (4 + 2 * FILTER_METADATA_MAX) * FILTER_PART_BYTES +
                           4 * ID_BYTES_MAX + FILTER_METADATA_BYTES_MAX,
};

/* Sets of statuses: a bit 1 << enum instance_status for each. */
enum {
    STATUSES_UP = 1 << STATUS_UP,
    STATUSES_ALL = (1 << (STATUS_OTHER + 1)) - 1,
};

struct instance_filter {
    unsigned statuses;
    struct slice region, zone;                           /* size 0: any */
    struct slice near_region, near_zone;                 /* size 0: no order */
    struct metadata_entry metadata[FILTER_METADATA_MAX]; /* sorted by name */
    size_t metadata_count;
};

/* How near an instance is to the near place of a filter. */
enum nearness { NEAR_ZONE, NEAR_REGION, NEAR_BEYOND, NEARNESS_COUNT };

/* The number of instances at each distance. */
struct near_counts {
    bool is_given; /* the filter has a near place */
    size_t count[NEARNESS_COUNT];
};

/* --- reading ---------------------------------------------------------------------------------- */

/* Each returns ERR_INVALID_FIELD with `problem` ("must be ..., is ..."), and leaves the filter as
 * it was then. */

/* Statuses, separated by commas, or "all". "unknown" includes other texts. */
MUST_USE enum error instance_filter_read_statuses(struct slice words, unsigned *statuses,
                                                  char problem[PROBLEM_BYTES]);
/* The id of a region or a zone. */
MUST_USE enum error instance_filter_read_id(struct slice id, struct slice *out,
                                            char problem[PROBLEM_BYTES]);
/* REGION/ZONE, which are separated at the first slash. */
MUST_USE enum error instance_filter_read_near(struct slice place, struct instance_filter *filter,
                                              char problem[PROBLEM_BYTES]);
/* Adds a metadata entry that instances must have. */
MUST_USE enum error instance_filter_add_metadata(struct instance_filter *filter,
                                                 struct metadata_entry entry,
                                                 char problem[PROBLEM_BYTES]);

/* --- deciding --------------------------------------------------------------------------------- */

/* The filter selects by status alone, and has no near place. */
static inline bool instance_filter_is_plain(const struct instance_filter *filter)
{
    return filter->region.size == 0 && filter->zone.size == 0 && filter->near_region.size == 0 &&
           filter->metadata_count == 0;
}

static inline bool instance_filter_selects_all(const struct instance_filter *filter)
{
    return instance_filter_is_plain(filter) && filter->statuses == STATUSES_ALL;
}

/* Whether an instance of this place can match at all. These fields never change. */
bool instance_filter_matches_place(const struct instance_filter *filter, struct slice region,
                                   struct slice zone);
bool instance_filter_matches(const struct instance_filter *filter, const struct instance *instance);
enum nearness instance_filter_nearness(const struct instance_filter *filter, struct slice region,
                                       struct slice zone);
/* Moves the instances that match to the front, the nearest first, and the others behind them.
 * Returns how many match; *near counts these. */
size_t instance_filter_apply(const struct instance_filter *filter, struct instance **instances,
                             size_t count, struct near_counts *near);

/* Writes the filter as text: two filters select and order alike if their texts are equal. Returns
 * the size. */
size_t instance_filter_key(const struct instance_filter *filter, char out[FILTER_KEY_BYTES_MAX]);
/* Reads such a text, from which the filter borrows its texts. */
void instance_filter_of_key(struct slice key, struct instance_filter *out);
