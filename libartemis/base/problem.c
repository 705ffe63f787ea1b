/* SPDX-License-Identifier: Apache-2.0 */
#include "libartemis/base/problem.h"

#include <stdarg.h>
#include <stdio.h>

static const char *const texts[] = {
    [ARTEMIS_OK] = "done",
    [ARTEMIS_INVALID] = "an argument is invalid",
    [ARTEMIS_REFUSED] = "the server refused",
    [ARTEMIS_TIMED_OUT] = "not done in time",
    [ARTEMIS_UNKNOWN] = "not registered by this client",
    [ARTEMIS_NO_MEMORY] = "out of memory",
    [ARTEMIS_SYSTEM] = "the system refused",
    [ARTEMIS_UNCERTAIN] = "it may have been done",
    [ARTEMIS_OVER_LIMIT] = "over a limit of the client",
};

const char *artemis_error_text(enum artemis_error error)
{
    size_t index = (size_t)error;
    return index < sizeof texts / sizeof *texts ? texts[index] : "an error of a later version";
}

const char *artemis_version(void)
{
    return ARTEMIS_VERSION;
}

enum artemis_error problem_set(struct artemis_problem *problem, enum artemis_error error,
                               const char *format, ...)
{
    if (!problem)
        return error;
    problem->error = error;
    va_list args;
    va_start(args, format);
    vsnprintf(problem->text, sizeof problem->text, format, args);
    va_end(args);
    return error;
}

enum artemis_error problem_no_memory(struct artemis_problem *problem)
{
    return problem_set(problem, ARTEMIS_NO_MEMORY, "out of memory");
}
