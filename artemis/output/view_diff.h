/* SPDX-License-Identifier: Apache-2.0
 *
 * view_diff - prints the differences between two nodes (record_diff), as text and as JSON.
 *
 * All text is escaped for a terminal. `columns_max` is the width to fit; 0: no limit. Pure but for
 * the stream.
 */
#pragma once

#include "artemis-core/base/text.h"
#include "artemis/call/record_diff.h"

#include <stdint.h>
#include <stdio.h>

/* One of the two nodes. */
struct diff_node {
    const char *name; /* for messages */
    const char *url;
    uint64_t instances; /* number that the node reports */
};

/* Prints one line for each key, in the order of the report, and a summary. */
void view_diff(const struct diff_report *report, const struct diff_node nodes[2], FILE *out,
               size_t columns_max);

/* Appends the report as one JSON object. Check text_failed afterwards. */
void view_diff_json(const struct diff_report *report, const struct diff_node nodes[2],
                    struct text *out);
