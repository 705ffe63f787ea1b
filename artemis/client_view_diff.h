/* SPDX-License-Identifier: Apache-2.0
 *
 * client_view_diff - what two nodes disagree on (client_diff), for people and as JSON.
 *
 * All text is made safe; `columns_max` is the width to fit, 0 for none. Pure but for the stream.
 */
#pragma once

#include "artemis-core/base/text.h"
#include "artemis/client_diff.h"

#include <stdint.h>
#include <stdio.h>

/* One of the two nodes. */
struct diff_node {
    const char *name; /* what it is called in the sentences */
    const char *url;
    uint64_t instances; /* how many it says it has */
};

/* A line for each key, in the order of the report, and a sentence that sums up. */
void client_view_diff(const struct diff_report *report, const struct diff_node nodes[2], FILE *out,
                      size_t columns_max);

/* Appends it as one JSON object. Ask text_failed. */
void client_view_diff_json(const struct diff_report *report, const struct diff_node nodes[2],
                           struct text *out);
