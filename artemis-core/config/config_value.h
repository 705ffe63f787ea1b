/* SPDX-License-Identifier: Apache-2.0
 *
 * config_value - what a single setting may hold: how a value of each type is checked, stored and
 * loaded.
 *
 * Private to the room of config (see config.h, which is its manual). `at` is the field of the
 * setting within a struct config. Pure and thread-safe.
 */
#pragma once

#include "artemis-core/config/config.h"

/* ERR_INVALID_FIELD when the value is not allowed; ERR_NO_MEMORY. The field is left alone then. */
MUST_USE enum error config_value_store(const struct config_setting *setting,
                                       const struct toml_value *value, void *at);

/* Lent by the field. */
struct toml_value config_value_load(const struct config_setting *setting, const void *at);

/* Reads a text as a value of the setting's type. What does not parse stays text, for the check to
 * refuse it. Not for lists. */
struct toml_value config_value_parse(const struct config_setting *setting, const char *text);

/* The part of a refused value that is to blame: one item of a list, or all of it. */
struct toml_value config_value_culprit(const struct config_setting *setting,
                                       const struct toml_value *value);

/* What stands before the allowed values in a message: "a whole number, " */
const char *config_value_article(const struct config_setting *setting);

/* "4 MiB", or plain bytes where no unit divides them. */
void config_value_write_size(struct text *out, uint64_t bytes);
