/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/call/server_credentials.h"

#include <stdlib.h>

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

bool server_credentials_are_given(const struct server_credentials *credentials)
{
    return credentials->cacert || credentials->cert || credentials->key;
}
