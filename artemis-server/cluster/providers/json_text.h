/* SPDX-License-Identifier: Apache-2.0
 *
 * json_text - copies texts out of the JSON of a server that a provider does not trust.
 *
 * Pure.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "artemis-core/base/text.h"

/* Copies a text that fits. False: it is missing, is no text, or has a zero byte. */
bool json_text_copy(const json_t *value, char *out, size_t size);
/* Copies the printable ASCII of a text, as much as fits; "" if there is none. */
void json_text_copy_printable(struct slice text, char *out, size_t size);
