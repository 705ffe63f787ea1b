/* SPDX-License-Identifier: Apache-2.0
 *
 * cmocka_all - cmocka.h with the headers that it wants before itself, in its order.
 */
#pragma once

/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */
