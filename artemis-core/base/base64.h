/* SPDX-License-Identifier: Apache-2.0
 *
 * base64 - base64 with padding, as JSON APIs use it for bytes (with nettle).
 *
 * Pure and thread-safe. Failed allocations are recorded in the text.
 */
#pragma once

#include "artemis-core/base/text.h"

void base64_append(struct text *out, struct slice bytes);
/* Appends the bytes. False: it is no base64, or memory is missing; `out` may have a part of it. */
bool base64_read(struct slice base64, struct text *out);
