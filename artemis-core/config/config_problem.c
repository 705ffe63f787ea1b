/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-core/config/config_problem.h"

#include <stdarg.h>
#include <stdio.h>

enum error config_problem_set(struct config_problem *problem, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(problem->text, sizeof(problem->text), format, arguments);
    va_end(arguments);
    return ERR_INVALID_FIELD;
}

const char *config_source_of(const struct config *config, const char *key)
{
    return config_source(config, config_find(key));
}
