/* SPDX-License-Identifier: Apache-2.0
 *
 * filter_args - the options that select instances by region, zone, metadata and status, and that
 * name a near place; for requests by HTTP, and for calls of the library.
 *
 * Values are checked before anything is sent. Pure.
 */
#pragma once

#include "artemis-core/base/error.h"
#include "artemis-core/base/text.h"
#include "artemis-core/model/instance_filter.h"
#include "artemis/terminal/args.h"
#include "libartemis/artemis.h"

/* Rows for a command's table. */
/* clang-format off */
#define FILTER_OPTIONS                                                                             \
    {.name = "region", .value = "R", .description = "only instances of this region"},              \
    {.name = "zone", .value = "Z", .description = "only instances of this zone"},                  \
    {.name = "meta", .value = "K=V", .description = "only with this metadata; may be repeated"},   \
    {.name = "status", .value = "S",                                                               \
     .description = "only of these, such as up,starting; or all"}
#define NEAR_OPTION                                                                                \
    {.name = "near", .value = "R/Z", .description = "the nearest to this region and zone first"}
/* clang-format on */

/* Reads the options, and --near if the command has it (`has_near`). The texts are borrowed.
 * ERR_INVALID_FIELD: `problem` names the option. */
MUST_USE enum error filter_args_read(const struct args *args, bool has_near,
                                     struct instance_filter *filter,
                                     char problem[ARGS_PROBLEM_MAX]);
/* Appends the options as parameters of a query to a path. Check text_failed afterwards. */
void filter_args_append(const struct args *args, bool has_near, struct text *path);

/* The options for the library. */
struct library_filter {
    struct artemis_filter filter;
    struct artemis_metadata metadata[FILTER_METADATA_MAX];
    struct text names; /* of the metadata */
};
/* The options, which were checked; without --status every status. The texts are borrowed.
 * ERR_NO_MEMORY. Released with filter_args_free in any case. `out` must not move. */
MUST_USE enum error filter_args_library(const struct args *args, struct library_filter *out);
void filter_args_free(struct library_filter *filter);
