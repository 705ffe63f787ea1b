/* SPDX-License-Identifier: Apache-2.0
 *
 * node_setting - a setting of the node on this host, for commands that use its files: an option of
 * the command, the settings that --config names, or an environment variable, in this order.
 *
 * Not thread-safe.
 */
#pragma once

#include "artemis-core/config/config.h"
#include "artemis/terminal/args.h"

/* clang-format off */
#define CONFIG_OPTION                                                                              \
    {.name = "config", .value = "FILE", .description = "settings of the node on this host"}
/* clang-format on */

/* Writes the setting `key` (a text), or "" if it is not set anywhere; `option` has its value if it
 * is given. Prints the error of a file. Returns an exit code. */
int node_setting_read(const struct args *args, const char *option, const char *key,
                      char out[CONFIG_TEXT_BYTES]);
