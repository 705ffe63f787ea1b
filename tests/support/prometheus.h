/* SPDX-License-Identifier: Apache-2.0
 *
 * prometheus - reads the text format of /metrics, strictly: what a scraper might stumble over fails
 * the test.
 */
#pragma once

#include <stdbool.h>

/* Every line is a comment or a sample, every sample belongs to a family with HELP and TYPE before
 * it, no series comes twice, and the buckets of histograms add up. */
void prometheus_check(const char *text);

/* Is there a sample whose name contains `part`? */
bool prometheus_has(const char *text, const char *part);

/* The sum over all series of the metric `name` whose labels contain `labels` ("" for all); -1 when
 * there is none. */
double prometheus_sum(const char *text, const char *name, const char *labels);
