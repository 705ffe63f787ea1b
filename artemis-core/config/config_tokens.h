/* SPDX-License-Identifier: Apache-2.0
 *
 * config_tokens - reads, checks and frees the tokens of the settings, [[auth.tokens]] of a file.
 *
 * Internal to config (config.h is the manual). Each file adds its tokens to those of earlier files.
 */
#pragma once

#include "artemis-core/config/config.h"

/* Whether a key is about tokens: "auth.tokens", "auth.tokens[0].name". */
bool config_tokens_has_key(const char *key);
/* As config_set, for such a key. */
MUST_USE enum error config_tokens_set(struct config *config, const char *key,
                                      const struct toml_value *value, const char *source,
                                      struct config_problem *problem);
/* Checks that each token is complete, and that names and digests are unique. ERR_INVALID_FIELD. */
MUST_USE enum error config_tokens_validate(const struct config *config,
                                           struct config_problem *problem);
void config_tokens_free(struct config *config);
