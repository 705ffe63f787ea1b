/* SPDX-License-Identifier: Apache-2.0
 *
 * config_value - checks, stores and loads the value of one setting, for each type.
 *
 * Internal to config (config.h is the manual). `at` is the field of the setting in a struct config.
 * Pure and thread-safe.
 */
#pragma once

#include "artemis-core/config/config.h"

/* Checks and stores a value. ERR_INVALID_FIELD: not allowed. ERR_NO_MEMORY. The field is unchanged
 * if it fails. */
MUST_USE enum error config_value_store(const struct config_setting *setting,
                                       const struct toml_value *value, void *at);

/* Loads a value, borrowed from the field. */
struct toml_value config_value_load(const struct config_setting *setting, const void *at);

/* Converts a text to the type of the setting; not for lists. A text that cannot be converted stays
 * a text, which config_value_store rejects. */
struct toml_value config_value_parse(const struct config_setting *setting, const char *text);

/* The part of an invalid value that is invalid: one item of a list, or the whole value. */
struct toml_value config_value_invalid_part(const struct config_setting *setting,
                                            const struct toml_value *value);

/* What precedes the allowed values in a message: "a whole number, " */
const char *config_value_article(const struct config_setting *setting);

/* Whether a text is HOST:PORT, with a port from port_min on. */
bool config_value_is_address(const char *text, uint16_t port_min);

/* Whether a text can be the id of a node. */
bool config_value_is_name(const char *text);

/* Whether a text is a label of a host name: the name of a Kubernetes namespace, for one. */
bool config_value_is_label(const char *text);

/* Appends "4 MiB", or the number of bytes if it is not a multiple of a unit. */
void config_value_write_size(struct text *out, uint64_t bytes);
