/* SPDX-License-Identifier: Apache-2.0
 *
 * problem - fills the struct artemis_problem that a caller of the library passes.
 *
 * Pure.
 */
#pragma once

#include "libartemis/artemis.h"

#include "artemis-core/base/error.h"

/* Fills *problem unless it is NULL, and returns `error`. Text that does not fit is cut. */
enum artemis_error problem_set(struct artemis_problem *problem, enum artemis_error error,
                               const char *format, ...) __attribute__((format(printf, 3, 4)));

enum artemis_error problem_no_memory(struct artemis_problem *problem);
