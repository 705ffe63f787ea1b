/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/call/token_option.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "artemis-core/auth/token.h"
#include "artemis/terminal/input_file.h"

static const char *variable(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

static enum error make(struct slice secret, const char *origin, char **authorization,
                       char problem[ARGS_PROBLEM_MAX])
{
    while (secret.size && isspace((unsigned char)secret.data[secret.size - 1]))
        secret.size--;
    if (!token_secret_is_valid(secret)) {
        snprintf(problem, ARGS_PROBLEM_MAX,
                 "%s: must be the secret of a token, %d to %d letters, digits and -._~+/=", origin,
                 TOKEN_SECRET_BYTES_MIN, TOKEN_SECRET_BYTES_MAX);
        return ERR_INVALID_FIELD;
    }
    char *value = NULL;
    if (asprintf(&value, "Bearer %.*s", (int)secret.size, secret.data) < 0)
        return ERR_NO_MEMORY;
    *authorization = value;
    return ERR_NONE;
}

static enum error read_file(const char *path, const char *origin, char **authorization,
                            char problem[ARGS_PROBLEM_MAX])
{
    struct text content = {0};
    enum error error = input_file_read(path, &content, problem);
    if (!error)
        error = make((struct slice){content.data, content.size}, origin, authorization, problem);
    if (content.data)
        explicit_bzero(content.data, content.capacity);
    text_free(&content);
    return error;
}

enum error token_option_read(const struct args *args, char **authorization,
                             char problem[ARGS_PROBLEM_MAX])
{
    const char *secret = args_text(args, "token");
    const char *file = args_text(args, "token-file");
    *authorization = NULL;
    if (secret)
        return make(slice_of(secret), "--token", authorization, problem);
    if (file)
        return read_file(file, "--token-file", authorization, problem);
    if ((secret = variable("ARTEMIS_TOKEN")))
        return make(slice_of(secret), "ARTEMIS_TOKEN", authorization, problem);
    if ((file = variable("ARTEMIS_TOKEN_FILE")))
        return read_file(file, "ARTEMIS_TOKEN_FILE", authorization, problem);
    return ERR_NONE;
}

void token_option_free(char *authorization)
{
    if (authorization)
        explicit_bzero(authorization, strlen(authorization));
    free(authorization);
}
