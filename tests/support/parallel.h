/* SPDX-License-Identifier: Apache-2.0
 *
 * parallel - runs the tests of a program side by side, each in a process of its own.
 *
 * For tests that mostly wait. A test shares nothing with the others: it gets a copy of the static
 * variables of the program, chooses its own ports and folders, and its servers end with it. The
 * output of a test is printed when it has ended. Nothing may be set up before: ports that were
 * chosen by the program would be those of every test.
 */
#pragma once

#include "tests/support/cmocka_all.h"

/* The exit code of main: 0 if all tests have passed. */
#define PARALLEL_RUN(tests) parallel_run(tests, sizeof(tests) / sizeof(tests)[0])
int parallel_run(const struct CMUnitTest tests[], size_t count);
