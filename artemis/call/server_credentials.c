/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/call/server_credentials.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *read_one(const struct args *args, const char *option, const char *variable)
{
    const char *given = args_text(args, option);
    const char *environment = getenv(variable);
    if (given)
        return given;
    return environment && *environment ? environment : NULL;
}

void server_credentials_read(const struct args *args, struct server_credentials *credentials)
{
    *credentials = (struct server_credentials){
        .cacert = read_one(args, "cacert", "ARTEMIS_CACERT"),
        .cert = read_one(args, "cert", "ARTEMIS_CERT"),
        .key = read_one(args, "key", "ARTEMIS_KEY"),
    };
}

bool server_credentials_are_readable(const struct server_credentials *credentials,
                                     char problem[ARGS_PROBLEM_MAX])
{
    const struct {
        const char *name;
        const char *file;
    } files[] = {
        {"cacert", credentials->cacert}, {"cert", credentials->cert}, {"key", credentials->key}};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (files[i].file && access(files[i].file, R_OK) != 0) {
            snprintf(problem, ARGS_PROBLEM_MAX, "--%s: cannot read %s: %s", files[i].name,
                     files[i].file, strerror(errno));
            return false;
        }
    return true;
}

bool server_credentials_are_given(const struct server_credentials *credentials)
{
    return credentials->cacert || credentials->cert || credentials->key;
}
