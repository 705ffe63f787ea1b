/* SPDX-License-Identifier: Apache-2.0
 *
 * config_listeners - the rules of the listeners: TLS, and "closed by default".
 *
 * Internal to config (config.h is the manual). Pure.
 */
#pragma once

#include "artemis-core/config/config.h"

/* ERR_INVALID_FIELD fills *problem. */
MUST_USE enum error config_listeners_check(const struct config *config,
                                           struct config_problem *problem);
/* Whether HOST, or HOST:PORT, is an address of the loopback interface, or "localhost". */
bool config_address_is_loopback(const char *address);
/* Appends a line for each listener that is not protected or sends secrets in clear text. */
void config_listeners_warn(const struct config *config, struct text *out);
