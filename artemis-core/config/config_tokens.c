/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-core/config/config_tokens.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "artemis-core/config/config_problem.h"
#include "artemis-core/config/config_value.h"

static const char list_key[] = "auth.tokens";

enum { DESCRIPTION_BYTES = 256 };

/* --- the table -------------------------------------------------------------------------------- */

/* In the order of enum auth_role, from ROLE_READ on. */
static const char *const roles[] = {"read", "write", "operator", "admin", "peer", NULL};

enum field {
    FIELD_NAME,
    FIELD_ROLE,
    FIELD_SHA256,
    FIELD_SERVICES,
    FIELD_EXPIRES,
    FIELD_MAX_SERVICES,
};

#define ROW(member)                                                                                \
    .key = "auth.tokens." #member, .offset = offsetof(struct config_token, member),                \
    .reloadable = true

const struct config_setting config_token_settings[] = {
    [FIELD_NAME] = {ROW(name), .type = CONFIG_TEXT, .form = CONFIG_FORM_TOKEN_NAME,
                    .default_note = "required",
                    .description = "Name of the token, unique; shown in the log, never secret."},
    [FIELD_ROLE] = {ROW(role), .type = CONFIG_CHOICE, .choices = roles, .default_note = "required",
                    .description = "What the holder may do; see docs/SECURITY.md."},
    [FIELD_SHA256] = {ROW(sha256), .type = CONFIG_TEXT, .form = CONFIG_FORM_SHA256, .secret = true,
                      .default_note = "required",
                      .description = "SHA-256 digest of the secret, as `artemis token new` prints "
                                     "it."},
    [FIELD_SERVICES] = {ROW(services), .type = CONFIG_LIST, .form = CONFIG_FORM_PATTERN,
                        .default_note = "all services",
                        .description = "Services that a `write` token may change, or that a `read` "
                                       "token may see; `*` stands for any text."},
    [FIELD_EXPIRES] = {ROW(expires), .type = CONFIG_TEXT, .form = CONFIG_FORM_EXPIRY,
                       .default_note = "never",
                       .description = "Day (its end), or time, in UTC after which the token is "
                                      "refused."},
    [FIELD_MAX_SERVICES] = {ROW(max_services), .type = CONFIG_NUMBER, .min = 1, .max = 10000,
                            .default_note = "no limit",
                            .description = "Maximum number of services in which a `write` token "
                                           "has instances at a node; new instances of further "
                                           "services are refused."},
};

enum { FIELDS = sizeof(config_token_settings) / sizeof(config_token_settings[0]) };
const size_t config_token_setting_count = FIELDS;

bool config_requires_token(const struct config *config)
{
    return config->auth.tokens.count > 0;
}

enum auth_role config_token_role(const struct config_token *token)
{
    return (enum auth_role)(token->role + ROLE_READ);
}

uint64_t config_token_expires_ms(const struct config_token *token)
{
    uint64_t wall_ms = 0;
    return token_expiry_read(slice_of(token->expires), &wall_ms) ? wall_ms : 0;
}

/* --- reading ---------------------------------------------------------------------------------- */

bool config_tokens_has_key(const char *key)
{
    size_t size = strlen(list_key);
    return strncmp(key, list_key, size) == 0 &&
           (key[size] == '\0' || key[size] == '[' || key[size] == '.');
}

/* The part of a source before its line: the file. */
static size_t file_size(const char *source)
{
    const char *colon = strrchr(source, ':');
    return colon ? (size_t)(colon - source) : strlen(source);
}

/* The token to which a field belongs: the last one, or a new one. NULL: no memory. */
static struct config_token *token_at(struct config_tokens *tokens, uint32_t index,
                                     const char *source)
{
    if (tokens->count) {
        struct config_token *last = &tokens->items[tokens->count - 1];
        size_t size = file_size(source);
        if (last->index == index && file_size(last->source) == size &&
            strncmp(last->source, source, size) == 0)
            return last;
    }
    struct config_token *grown =
        realloc(tokens->items, (tokens->count + 1) * sizeof(*tokens->items));
    if (!grown)
        return NULL;
    tokens->items = grown;
    struct config_token *added = &grown[tokens->count++];
    *added = (struct config_token){.index = index};
    snprintf(added->source, sizeof(added->source), "%s", source);
    return added;
}

static void describe(const struct config_setting *setting, const struct toml_value *value,
                     char out[DESCRIPTION_BYTES])
{
    struct toml_value part = config_value_invalid_part(setting, value);
    if (setting->secret)
        snprintf(out, DESCRIPTION_BYTES, "something else");
    else if (part.type == TOML_TYPE_TEXT)
        text_quote(out, DESCRIPTION_BYTES, slice_of(part.text));
    else if (part.type == TOML_TYPE_INTEGER)
        snprintf(out, DESCRIPTION_BYTES, "%lld", (long long)part.integer);
    else
        snprintf(out, DESCRIPTION_BYTES, "%s",
                 part.type == TOML_TYPE_OTHER ? part.text : "not of that type");
}

static enum error invalid_field(const struct config_setting *setting,
                                const struct toml_value *value, const char *source,
                                struct config_problem *problem)
{
    char shown[DESCRIPTION_BYTES];
    struct text allowed = {0};
    config_write_allowed(&allowed, setting);
    describe(setting, value, shown);
    config_problem_set(problem, "%s: %s: must be %s%s, is %s", source, setting->key,
                       config_value_article(setting), text_string(&allowed), shown);
    text_free(&allowed);
    return ERR_INVALID_FIELD;
}

static const struct config_setting *find_field(const char *name)
{
    for (size_t i = 0; i < FIELDS; i++)
        if (strcmp(config_token_settings[i].key + sizeof(list_key), name) == 0)
            return &config_token_settings[i];
    return NULL;
}

/* A date of TOML is passed on as a description. */
static struct toml_value without_date(const struct toml_value *value)
{
    static const char date[] = "the date ";
    if (value->type != TOML_TYPE_OTHER || strncmp(value->text, date, sizeof(date) - 1) != 0)
        return *value;
    return (struct toml_value){.type = TOML_TYPE_TEXT, .text = value->text + sizeof(date) - 1};
}

static void lower_services(struct config_list *services)
{
    for (size_t i = 0; i < services->count; i++)
        for (char *c = services->items[i]; *c; c++)
            *c = (char)tolower((unsigned char)*c);
}

static enum error set_field(struct config_token *token, const char *name,
                            const struct toml_value *given, const char *source,
                            struct config_problem *problem)
{
    const struct config_setting *setting = find_field(name);
    struct toml_value value = without_date(given);
    if (!setting)
        return config_problem_set(
            problem,
            "%s: [[auth.tokens]] has no field \"%.64s\"; it has name, role, sha256, "
            "services, expires and max_services",
            source, name);
    enum error error = config_value_store(setting, &value, (char *)token + setting->offset);
    if (error == ERR_INVALID_FIELD)
        return invalid_field(setting, given, source, problem);
    if (error) {
        config_problem_set(problem, "%s: %s: %s", source, setting->key, error_info(error)->message);
        return error;
    }
    token->given |= 1u << (setting - config_token_settings);
    lower_services(&token->services);
    return ERR_NONE;
}

enum error config_tokens_set(struct config *config, const char *key, const struct toml_value *value,
                             const char *source, struct config_problem *problem)
{
    const char *rest = key + strlen(list_key);
    char *end = NULL;
    bool in_file = strncmp(source, CONFIG_SOURCE_ENVIRONMENT, strlen(CONFIG_SOURCE_ENVIRONMENT)) &&
                   strncmp(source, "--", 2) != 0;
    if (*rest == '\0' && in_file && value->type == TOML_TYPE_LIST && value->count == 0)
        return ERR_NONE;
    unsigned long index = *rest == '[' ? strtoul(rest + 1, &end, 10) : 0;
    if (!in_file || !end || *end != ']')
        return config_problem_set(
            problem, "%s: auth.tokens: is set in a file, as tables [[auth.tokens]]", source);
    if (index >= CONFIG_TOKENS_MAX || config->auth.tokens.count > CONFIG_TOKENS_MAX)
        return config_problem_set(problem, "%s: auth.tokens: there may be at most %d tokens",
                                  source, CONFIG_TOKENS_MAX);
    struct config_token *token = token_at(&config->auth.tokens, (uint32_t)index, source);
    if (!token) {
        config_problem_set(problem, "%s: auth.tokens: %s", source,
                           error_info(ERR_NO_MEMORY)->message);
        return ERR_NO_MEMORY;
    }
    return end[1] == '.' ? set_field(token, end + 2, value, source, problem) : ERR_NONE;
}

/* --- checks ----------------------------------------------------------------------------------- */

static enum error check_complete(const struct config_token *token, struct config_problem *problem)
{
    for (enum field field = FIELD_NAME; field <= FIELD_SHA256; field++)
        if (!(token->given >> field & 1))
            return config_problem_set(problem, "%s: %s: is missing in this [[auth.tokens]]",
                                      token->source, config_token_settings[field].key);
    enum auth_role role = config_token_role(token);
    if (token->services.count && role != ROLE_READ && role != ROLE_WRITE)
        return config_problem_set(
            problem,
            "%s: auth.tokens.services: is only for the roles read and write; token "
            "\"%s\" has the role %s",
            token->source, token->name, auth_role_word(role));
    if (token->max_services && role != ROLE_WRITE)
        return config_problem_set(
            problem,
            "%s: auth.tokens.max_services: is only for the role write; token \"%s\" has the role "
            "%s",
            token->source, token->name, auth_role_word(role));
    return ERR_NONE;
}

static enum error check_unique(const struct config_token *token, const struct config_token *other,
                               struct config_problem *problem)
{
    if (strcmp(token->name, other->name) == 0)
        return config_problem_set(problem, "%s: auth.tokens.name: \"%s\" is used twice, also at %s",
                                  token->source, token->name, other->source);
    if (strcasecmp(token->sha256, other->sha256) == 0)
        return config_problem_set(
            problem, "%s: auth.tokens.sha256: tokens \"%s\" and \"%s\" have the same secret",
            token->source, other->name, token->name);
    return ERR_NONE;
}

enum error config_tokens_validate(const struct config *config, struct config_problem *problem)
{
    const struct config_tokens *tokens = &config->auth.tokens;
    if (tokens->count > CONFIG_TOKENS_MAX)
        return config_problem_set(problem, "%s: auth.tokens: there may be at most %d tokens",
                                  tokens->items[CONFIG_TOKENS_MAX].source, CONFIG_TOKENS_MAX);
    enum error error = ERR_NONE;
    for (size_t i = 0; i < tokens->count && !error; i++) {
        error = check_complete(&tokens->items[i], problem);
        for (size_t j = 0; j < i && !error; j++)
            error = check_unique(&tokens->items[i], &tokens->items[j], problem);
    }
    return error;
}

void config_tokens_free(struct config *config)
{
    for (size_t i = 0; i < config->auth.tokens.count; i++)
        free(config->auth.tokens.items[i].services.items);
    free(config->auth.tokens.items);
    config->auth.tokens = (struct config_tokens){0};
}

void config_write_token(struct text *out, const struct config_token *token)
{
    text_append_string(out, roles[token->role]);
    for (size_t i = 0; i < token->services.count; i++)
        text_printf(out, "%s%s", i == 0 ? ", services " : " ", token->services.items[i]);
    if (token->expires[0])
        text_printf(out, ", expires %s", token->expires);
    if (token->max_services)
        text_printf(out, ", max_services %u", token->max_services);
}
