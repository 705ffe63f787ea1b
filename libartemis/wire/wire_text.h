/* SPDX-License-Identifier: Apache-2.0
 *
 * wire_text - texts of a server for people: messages, which a program logs or prints.
 *
 * Pure.
 */
#pragma once

#include <stddef.h>

/* Copies a text, as one line of UTF-8. What does not fit is left out. Characters that would end the
 * line, control a terminal or change the direction of writing become blanks. */
void wire_copy_text(char *to, size_t size, const char *from);
