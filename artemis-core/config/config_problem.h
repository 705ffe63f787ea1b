/* SPDX-License-Identifier: Apache-2.0
 *
 * config_problem - what is wrong with a setting, and where its value comes from.
 *
 * Internal to config (config.h is the manual). Pure and thread-safe.
 */
#pragma once

#include "artemis-core/config/config.h"

/* Writes the text of a problem. Returns ERR_INVALID_FIELD. */
__attribute__((format(printf, 2, 3))) enum error config_problem_set(struct config_problem *problem,
                                                                    const char *format, ...);

/* Where the value of a key was set: a file and line, an environment variable, "default". */
const char *config_source_of(const struct config *config, const char *key);
