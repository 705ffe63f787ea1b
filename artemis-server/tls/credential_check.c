/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-server/tls/credential_check.h"

#include "artemis-server/tls/credential_store.h"

enum { DAY_MS = 24 * 60 * 60 * 1000 };

static void warn(const struct credential_source *source, const struct credentials *credentials,
                 uint64_t wall_ms, struct text *warnings)
{
    uint64_t days = (credentials_expiry_ms(credentials) - wall_ms) / DAY_MS;
    if (days < EXPIRY_WARNING_DAYS)
        text_printf(warnings, "%s: %s expires in %llu days; replace it\n",
                    source->keys[CREDENTIAL_CERT], source->paths[CREDENTIAL_CERT],
                    (unsigned long long)days);
    if (credentials_key_is_exposed(credentials))
        text_printf(warnings, "%s: %s can be read or changed by other users; run chmod 600\n",
                    source->keys[CREDENTIAL_KEY], source->paths[CREDENTIAL_KEY]);
}

enum error credential_check_source(const struct credential_source *source, uint64_t wall_ms,
                                   struct text *warnings, char problem[CREDENTIALS_PROBLEM_BYTES])
{
    struct credentials *credentials;
    enum error error = credentials_load(source, wall_ms, &credentials, problem);
    if (error)
        return error;
    warn(source, credentials, wall_ms, warnings);
    credentials_unref(credentials);
    return ERR_NONE;
}

enum error credential_check(const struct config *config, uint64_t wall_ms, struct text *warnings,
                            char problem[CREDENTIALS_PROBLEM_BYTES])
{
    enum error error = ERR_NONE;
    for (enum config_listener listener = 0; listener < CONFIG_LISTENERS && !error; listener++) {
        struct credential_source source;
        if (credential_source_of(config, listener, &source))
            error = credential_check_source(&source, wall_ms, warnings, problem);
    }
    return error;
}
