/* SPDX-License-Identifier: Apache-2.0
 *
 * view_admin - prints the responses of the admin socket and of a reload as text.
 *
 * All text is escaped for a terminal. A missing field is left out. Pure but for the stream.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

/* One line of name and value for each member that is a text, a number or a boolean. */
void view_admin_status(const json_t *root, FILE *out);
/* One line for each changed setting, and a summary. */
void view_reload(const json_t *root, FILE *out);
/* True if the response is of a reload, and certificates of the node could not be used. */
bool view_reload_has_failed(const json_t *root);
