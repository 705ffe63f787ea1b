/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-core/config/config_value.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "artemis-core/base/sha256.h"

enum { SOCKET_PATH_BYTES = 108 };

/* --- syntax of texts -------------------------------------------------------------------------- */

/* Names are sent in HTTP headers, which lose blanks at both ends. */
static bool is_line(const struct config_setting *setting, const char *text)
{
    (void)setting;
    size_t size = strlen(text);
    if (size == 0 || size >= CONFIG_TEXT_BYTES || text[0] == ' ' || text[size - 1] == ' ')
        return false;
    for (const char *c = text; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7F)
            return false;
    return text_is_utf8(slice_of(text));
}

bool config_value_is_name(const char *text)
{
    return is_line(NULL, text) && text_is_safe(slice_of(text));
}

static bool is_name(const struct config_setting *setting, const char *text)
{
    (void)setting;
    return config_value_is_name(text);
}

static bool is_word(const struct config_setting *setting, const char *text)
{
    for (const char *const *word = setting->choices; *word; word++)
        if (strcmp(*word, text) == 0)
            return true;
    return false;
}

static bool is_host(const char *text, size_t size)
{
    char host[CONFIG_TEXT_BYTES];
    if (size == 0 || size >= sizeof(host))
        return false;
    memcpy(host, text, size);
    host[size] = '\0';
    if (host[0] == '[' && host[size - 1] == ']') {
        host[size - 1] = '\0';
        return inet_pton(AF_INET6, host + 1, &(struct in6_addr){0}) == 1;
    }
    return strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_") ==
           size;
}

static bool is_address_within(const char *text, uint64_t port_min, uint64_t port_max)
{
    const char *colon = strrchr(text, ':');
    if (!colon || strlen(text) >= CONFIG_TEXT_BYTES || !is_host(text, (size_t)(colon - text)))
        return false;
    size_t digits = strspn(colon + 1, "0123456789");
    if (digits == 0 || digits > 5 || colon[1 + digits] != '\0')
        return false;
    unsigned long port = strtoul(colon + 1, NULL, 10);
    return port >= port_min && port <= port_max;
}

static bool is_address(const struct config_setting *setting, const char *text)
{
    return is_address_within(text, setting->min, setting->max);
}

static bool is_optional_address(const struct config_setting *setting, const char *text)
{
    return text[0] == '\0' || is_address(setting, text);
}

bool config_value_is_address(const char *text, uint16_t port_min)
{
    return is_address_within(text, port_min, UINT16_MAX);
}

static bool is_peer(const struct config_setting *setting, const char *text)
{
    static const char *const schemes[] = {"http://", "https://"};
    if (strlen(text) >= CONFIG_TEXT_BYTES)
        return false;
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++)
        if (strncmp(text, schemes[i], strlen(schemes[i])) == 0)
            return is_address(setting, text + strlen(schemes[i]));
    return is_address(setting, text);
}

static bool is_path(const struct config_setting *setting, const char *text)
{
    return text[0] == '\0' || is_line(setting, text);
}

/* The address of a UNIX socket holds 108 bytes with the terminating zero. */
static bool is_socket(const struct config_setting *setting, const char *text)
{
    return strlen(text) < SOCKET_PATH_BYTES && is_path(setting, text);
}

static bool is_secret(const struct config_setting *setting, const char *text)
{
    (void)setting;
    return text[0] == '\0' || token_secret_is_valid(slice_of(text));
}

static bool is_sha256(const struct config_setting *setting, const char *text)
{
    (void)setting;
    struct sha256 digest;
    return sha256_read_hex(slice_of(text), &digest);
}

static bool is_expiry(const struct config_setting *setting, const char *text)
{
    (void)setting;
    uint64_t wall_ms;
    return token_expiry_read(slice_of(text), &wall_ms);
}

static bool is_token_name(const struct config_setting *setting, const char *text)
{
    (void)setting;
    size_t size = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");
    return size > 0 && size <= TOKEN_NAME_BYTES_MAX && text[size] == '\0';
}

/* A name in a zone has labels of 1 to 63 bytes. */
static bool is_domain(const char *text)
{
    size_t label = 0;
    for (const char *c = text; *c; c++) {
        label = *c == '.' ? 0 : label + 1;
        if (label > 63 || (*c == '.' && (c == text || c[1] == '.' || !c[1])))
            return false;
    }
    return is_host(text, strlen(text)) && text[0] != '[';
}

static bool is_dns_name(const struct config_setting *setting, const char *text)
{
    char host[CONFIG_TEXT_BYTES];
    const char *colon = strrchr(text, ':');
    if (text[0] == '_' && !colon)
        return strchr(text, '.') && is_domain(text);
    if (!colon || !is_address(setting, text))
        return false;
    memcpy(host, text, (size_t)(colon - text));
    host[colon - text] = '\0';
    return is_domain(host) && inet_pton(AF_INET, host, &(struct in_addr){0}) != 1;
}

static bool is_optional_domain(const struct config_setting *setting, const char *text)
{
    (void)setting;
    return text[0] == '\0' || is_domain(text);
}

static bool is_dns_server(const struct config_setting *setting, const char *text)
{
    char host[CONFIG_TEXT_BYTES];
    const char *colon = strrchr(text, ':');
    if (!colon || !is_address(setting, text))
        return false;
    memcpy(host, text, (size_t)(colon - text));
    host[colon - text] = '\0';
    return host[0] == '[' || inet_pton(AF_INET, host, &(struct in_addr){0}) == 1;
}

static bool is_optional_url(const struct config_setting *setting, const char *text)
{
    return text[0] == '\0' || (strstr(text, "://") && is_peer(setting, text));
}

/* A label of a host name, and the name of a service or a namespace. */
static bool is_label(const char *text, size_t size)
{
    size_t valid = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-");
    return size > 0 && size <= 63 && valid >= size && text[0] != '-' && text[size - 1] != '-';
}

bool config_value_is_label(const char *text)
{
    return is_label(text, strlen(text));
}

static bool is_name_of_label(const struct config_setting *setting, const char *text)
{
    (void)setting;
    return config_value_is_label(text);
}

static bool is_kubernetes_service(const struct config_setting *setting, const char *text)
{
    (void)setting;
    const char *slash = strchr(text, '/');
    if (slash && !is_label(text, (size_t)(slash - text)))
        return false;
    const char *name = slash ? slash + 1 : text;
    return text[0] == '\0' || is_label(name, strlen(name));
}

static bool is_kubernetes_port(const struct config_setting *setting, const char *text)
{
    size_t size = strlen(text);
    bool is_number = size > 0 && strspn(text, "0123456789") == size;
    unsigned long port = is_number && size <= 5 ? strtoul(text, NULL, 10) : 0;
    if (is_number)
        return port >= setting->min && port <= setting->max;
    return size == 0 || (size <= 15 && is_label(text, size));
}

static const struct {
    bool (*is_valid)(const struct config_setting *setting, const char *text);
    const char *description;
} forms[] = {
    [CONFIG_FORM_NAME] = {is_name, "1 to 255 bytes of UTF-8, no control character or mark of "
                                   "direction, no blank at an end"},
    [CONFIG_FORM_WORD] = {is_word, NULL},
    [CONFIG_FORM_ADDRESS] = {is_address, "HOST:PORT, port "},
    [CONFIG_FORM_OPTIONAL_ADDRESS] = {is_optional_address, "nothing, or HOST:PORT, port "},
    [CONFIG_FORM_PEER] = {is_peer, "HOST:PORT or http://HOST:PORT or https://HOST:PORT, port "},
    [CONFIG_FORM_PATH] = {is_path, "a path of at most 255 bytes of UTF-8, or nothing"},
    [CONFIG_FORM_SOCKET] = {is_socket, "a path of at most 107 bytes of UTF-8, or nothing"},
    [CONFIG_FORM_SECRET] = {is_secret, "20 to 200 letters, digits and -._~+/=, or nothing"},
    [CONFIG_FORM_SHA256] = {is_sha256, "64 hexadecimal digits"},
    [CONFIG_FORM_EXPIRY] = {is_expiry,
                            "a day like 2027-01-31, or a time like 2027-01-31T12:00:00Z"},
    [CONFIG_FORM_PATTERN] = {is_line, "a service id, in which * stands for any text"},
    [CONFIG_FORM_DNS_NAME] = {is_dns_name,
                              "HOST:PORT or _SERVICE._PROTOCOL.DOMAIN, HOST no address, port "},
    [CONFIG_FORM_DOMAIN] = {is_optional_domain, "a host name, or nothing"},
    [CONFIG_FORM_LABEL] = {is_name_of_label,
                           "1 to 63 lower-case letters, digits and dashes, no dash "
                           "at an end"},
    [CONFIG_FORM_DNS_SERVER] = {is_dns_server, "ADDRESS:PORT, ADDRESS numeric, port "},
    [CONFIG_FORM_OPTIONAL_URL] = {is_optional_url,
                                  "nothing, or http://HOST:PORT or https://HOST:PORT, port "},
    [CONFIG_FORM_KUBERNETES_SERVICE] = {is_kubernetes_service,
                                        "nothing, or NAME or NAMESPACE/NAME of a service"},
    [CONFIG_FORM_KUBERNETES_PORT] = {is_kubernetes_port,
                                     "nothing, or the name of a port, or a number, "},
    [CONFIG_FORM_TOKEN_NAME] = {is_token_name, "1 to 64 letters, digits, dots, dashes and "
                                               "underscores"},
};

/* --- from text to typed values ---------------------------------------------------------------- */

static void parse_bool(const char *text, struct toml_value *value)
{
    value->boolean = strcmp(text, "true") == 0;
    if (value->boolean || strcmp(text, "false") == 0)
        value->type = TOML_TYPE_BOOLEAN;
}

static void parse_number(const char *text, struct toml_value *value)
{
    size_t digits = strspn(text + (text[0] == '-'), "0123456789");
    if (digits == 0 || digits > 18 || text[(text[0] == '-') + digits] != '\0')
        return;
    value->type = TOML_TYPE_INTEGER;
    value->integer = strtoll(text, NULL, 10);
}

static const struct {
    const char *name;
    unsigned shift;
} units[] = {{"GiB", 30}, {"MiB", 20}, {"KiB", 10}, {"", 0}};

enum { UNITS = sizeof(units) / sizeof(units[0]) };

static bool parse_size(const char *text, uint64_t *bytes)
{
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 10)
        return false;
    const char *unit = text + digits + strspn(text + digits, " ");
    for (size_t i = 0; i < UNITS; i++)
        if (strcmp(unit, units[i].name) == 0) {
            *bytes = strtoull(text, NULL, 10) << units[i].shift;
            return true;
        }
    return false;
}

/* --- storing and loading, by type ------------------------------------------------------------- */

typedef enum error store_fn(const struct config_setting *setting, const struct toml_value *value,
                            void *at);

static enum error store_text(const struct config_setting *setting, const struct toml_value *value,
                             void *at)
{
    if (value->type != TOML_TYPE_TEXT || !forms[setting->form].is_valid(setting, value->text))
        return ERR_INVALID_FIELD;
    memcpy(at, value->text, strlen(value->text) + 1);
    return ERR_NONE;
}

static enum error store_choice(const struct config_setting *setting, const struct toml_value *value,
                               void *at)
{
    for (unsigned i = 0; value->type == TOML_TYPE_TEXT && setting->choices[i]; i++)
        if (strcmp(setting->choices[i], value->text) == 0) {
            memcpy(at, &i, sizeof(i));
            return ERR_NONE;
        }
    return ERR_INVALID_FIELD;
}

static enum error store_bool(const struct config_setting *setting, const struct toml_value *value,
                             void *at)
{
    (void)setting;
    if (value->type != TOML_TYPE_BOOLEAN)
        return ERR_INVALID_FIELD;
    *(bool *)at = value->boolean;
    return ERR_NONE;
}

static bool in_range(const struct config_setting *setting, uint64_t number)
{
    return number >= setting->min && number <= setting->max;
}

static enum error store_number(const struct config_setting *setting, const struct toml_value *value,
                               void *at)
{
    if (value->type != TOML_TYPE_INTEGER || value->integer < 0 ||
        !in_range(setting, (uint64_t)value->integer))
        return ERR_INVALID_FIELD;
    *(uint32_t *)at = (uint32_t)value->integer;
    return ERR_NONE;
}

static enum error store_size(const struct config_setting *setting, const struct toml_value *value,
                             void *at)
{
    uint64_t bytes = 0;
    bool is_size = value->type == TOML_TYPE_TEXT && parse_size(value->text, &bytes);
    if (value->type == TOML_TYPE_INTEGER && value->integer >= 0) {
        bytes = (uint64_t)value->integer;
        is_size = true;
    }
    if (!is_size || !in_range(setting, bytes))
        return ERR_INVALID_FIELD;
    *(uint64_t *)at = bytes;
    return ERR_NONE;
}

/* One allocation holds the pointers, followed by the texts. */
static enum error copy_list(const struct toml_value *value, struct config_list *copy)
{
    *copy = (struct config_list){0};
    size_t bytes = value->count * sizeof(char *);
    for (size_t i = 0; i < value->count; i++)
        bytes += strlen(value->items[i]) + 1;
    if (value->count == 0)
        return ERR_NONE;
    copy->items = malloc(bytes);
    if (!copy->items)
        return ERR_NO_MEMORY;
    char *to = (char *)(copy->items + value->count);
    for (; copy->count < value->count; copy->count++) {
        copy->items[copy->count] = to;
        to = stpcpy(to, value->items[copy->count]) + 1;
    }
    return ERR_NONE;
}

static enum error store_list(const struct config_setting *setting, const struct toml_value *value,
                             void *at)
{
    const struct toml_value word = {.type = TOML_TYPE_LIST, .items = &value->text, .count = 1};
    if (value->type == TOML_TYPE_TEXT && setting->form == CONFIG_FORM_WORD)
        value = &word;
    if (value->type != TOML_TYPE_LIST || value->count > CONFIG_LIST_MAX)
        return ERR_INVALID_FIELD;
    for (size_t i = 0; i < value->count; i++)
        if (!forms[setting->form].is_valid(setting, value->items[i]))
            return ERR_INVALID_FIELD;
    struct config_list *list = at;
    struct config_list copy;
    enum error code = copy_list(value, &copy);
    if (code != ERR_NONE)
        return code;
    free(list->items);
    *list = copy;
    return ERR_NONE;
}

static struct toml_value load_text(const struct config_setting *setting, const void *at)
{
    (void)setting;
    return (struct toml_value){.type = TOML_TYPE_TEXT, .text = at};
}

static struct toml_value load_choice(const struct config_setting *setting, const void *at)
{
    unsigned choice;
    memcpy(&choice, at, sizeof(choice));
    return (struct toml_value){.type = TOML_TYPE_TEXT, .text = setting->choices[choice]};
}

static struct toml_value load_bool(const struct config_setting *setting, const void *at)
{
    (void)setting;
    return (struct toml_value){.type = TOML_TYPE_BOOLEAN, .boolean = *(const bool *)at};
}

static struct toml_value load_number(const struct config_setting *setting, const void *at)
{
    (void)setting;
    return (struct toml_value){.type = TOML_TYPE_INTEGER, .integer = *(const uint32_t *)at};
}

static struct toml_value load_size(const struct config_setting *setting, const void *at)
{
    (void)setting;
    const uint64_t *bytes = at;
    return (struct toml_value){.type = TOML_TYPE_INTEGER, .integer = (int64_t)*bytes};
}

static struct toml_value load_list(const struct config_setting *setting, const void *at)
{
    (void)setting;
    const struct config_list *list = at;
    const char *const *items = (const char *const *)list->items;
    return (struct toml_value){.type = TOML_TYPE_LIST, .items = items, .count = list->count};
}

static const struct {
    const char *name;
    const char *article; /* precedes the allowed values in a message */
    store_fn *store;
    struct toml_value (*load)(const struct config_setting *setting, const void *at);
    void (*parse)(const char *text, struct toml_value *value); /* NULL: the text is the value */
} types[] = {
    [CONFIG_TEXT] = {"text", "text, ", store_text, load_text, NULL},
    [CONFIG_CHOICE] = {"text", "", store_choice, load_choice, NULL},
    [CONFIG_BOOL] = {"boolean", "", store_bool, load_bool, parse_bool},
    [CONFIG_NUMBER] = {"whole number", "a whole number, ", store_number, load_number, parse_number},
    [CONFIG_SIZE] = {"size", "a size, ", store_size, load_size, parse_number},
    [CONFIG_LIST] = {"list of text", "a list, ", store_list, load_list, NULL},
};

enum error config_value_store(const struct config_setting *setting, const struct toml_value *value,
                              void *at)
{
    return types[setting->type].store(setting, value, at);
}

struct toml_value config_value_load(const struct config_setting *setting, const void *at)
{
    return types[setting->type].load(setting, at);
}

struct toml_value config_value_parse(const struct config_setting *setting, const char *text)
{
    struct toml_value value = {.type = TOML_TYPE_TEXT, .text = text};
    if (types[setting->type].parse)
        types[setting->type].parse(text, &value);
    return value;
}

struct toml_value config_value_invalid_part(const struct config_setting *setting,
                                            const struct toml_value *value)
{
    bool is_list = setting->type == CONFIG_LIST && value->type == TOML_TYPE_LIST;
    for (size_t i = 0; is_list && i < value->count && value->count <= CONFIG_LIST_MAX; i++)
        if (!forms[setting->form].is_valid(setting, value->items[i]))
            return (struct toml_value){.type = TOML_TYPE_TEXT, .text = value->items[i]};
    return *value;
}

/* --- descriptions ----------------------------------------------------------------------------- */

const char *config_type_name(enum config_type type)
{
    return types[type].name;
}

const char *config_value_article(const struct config_setting *setting)
{
    return setting->choices ? "" : types[setting->type].article;
}

void config_value_write_size(struct text *out, uint64_t bytes)
{
    size_t unit = 0;
    while (bytes % (UINT64_C(1) << units[unit].shift) != 0)
        unit++;
    text_append_u64(out, bytes >> units[unit].shift);
    if (units[unit].shift > 0)
        text_printf(out, " %s", units[unit].name);
}

static void write_choices(struct text *out, const char *const *choices)
{
    for (const char *const *choice = choices; *choice; choice++) {
        if (choice > choices)
            text_append_string(out, choice[1] ? ", " : " or ");
        text_append_string(out, *choice);
    }
}

static void write_range(struct text *out, const struct config_setting *setting)
{
    if (setting->type != CONFIG_SIZE) {
        text_printf(out, "%" PRIu64 " to %" PRIu64, setting->min, setting->max);
        return;
    }
    config_value_write_size(out, setting->min);
    text_append_string(out, " to ");
    config_value_write_size(out, setting->max);
    text_append_string(out, ", in bytes or with KiB, MiB or GiB");
}

void config_write_allowed(struct text *out, const struct config_setting *setting)
{
    if (setting->choices) {
        write_choices(out, setting->choices);
        return;
    }
    if (setting->type == CONFIG_BOOL) {
        text_append_string(out, "true or false");
        return;
    }
    if (setting->type == CONFIG_LIST)
        text_printf(out, "at most %d of ", CONFIG_LIST_MAX);
    if (setting->type == CONFIG_LIST || setting->type == CONFIG_TEXT)
        text_append_string(out, forms[setting->form].description);
    if (setting->max > 0)
        write_range(out, setting);
}
