/* SPDX-License-Identifier: Apache-2.0
 *
 * response_budget - limits the memory of the response bodies that clients have not read yet.
 *
 * A client that does not read its response keeps the body in memory until its connection is closed.
 * Large bodies that belong to one request, and the buffers of one that is encoded while it is sent,
 * are therefore counted, for all connections together. Cached responses are shared and have budgets
 * of their own (response_cache.h).
 *
 * Any web thread may call.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "artemis-core/base/text.h"

struct MHD_Response;
struct web;

enum {
    UNREAD_BODIES_BYTES_MAX = 512 * 1024 * 1024,
    UNREAD_COUNTED_BYTES_MIN = 64 * 1024, /* smaller bodies are not counted */
};

/* Whether a body of so many bytes and those that are not read yet exceed the budget together. A
 * body does not if all others are read. */
bool response_budget_exceeded(const struct web *web, size_t bytes);
/* Counts buffers until the same is subtracted. */
void response_budget_add(struct web *web, size_t bytes);
void response_budget_subtract(struct web *web, size_t bytes);
/* Makes a response of the body, takes it over, and counts it until the response is freed. NULL:
 * without memory; the body is unchanged then. */
struct MHD_Response *response_budget_create(struct web *web, struct text *body);
