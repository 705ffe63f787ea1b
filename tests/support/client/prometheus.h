/* SPDX-License-Identifier: Apache-2.0
 *
 * prometheus - reads the text format of /metrics strictly: a deviation from the format fails the
 * test.
 */
#pragma once

#include <stdbool.h>

/* Checks that every line is a comment or a sample, that every sample belongs to a family with HELP
 * and TYPE before it, that the names of counters, and no others, end in _total, that no series is
 * repeated, and that the buckets of histograms add up. Where promtool is installed, it checks the
 * text too. */
void prometheus_check(const char *text);

/* Is there a sample whose name contains `part`? */
bool prometheus_has(const char *text, const char *part);

/* The sum over all series of the metric `name` whose labels contain `labels` ("" for all); -1 when
 * there is none. */
double prometheus_sum(const char *text, const char *name, const char *labels);
