/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-core/auth/token.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "artemis-core/base/sha256.h"

static const char secret_prefix[] = "artemis_";

static_assert(sizeof(secret_prefix) - 1 + BASE64URL_BYTES(TOKEN_RANDOM_BYTES) == TOKEN_SECRET_BYTES,
              "a new secret fits");

/* --- roles and services ----------------------------------------------------------------------- */

const char *auth_role_word(enum auth_role role)
{
    static const char *const words[ROLE_COUNT] = {
        [ROLE_NONE] = "none",
        [ROLE_READ] = "read",
        [ROLE_WRITE] = "write",
        [ROLE_OPERATOR] = "operator",
        [ROLE_ADMIN] = "admin",
        [ROLE_PEER] = "peer",
        [ROLE_PEER_OR_OPERATOR] = "peer or operator",
    };
    return words[role];
}

bool auth_role_allows(enum auth_role have, enum auth_role need)
{
    if (need == ROLE_NONE || have == need)
        return true;
    if (need == ROLE_PEER_OR_OPERATOR)
        return have == ROLE_PEER || have == ROLE_OPERATOR || have == ROLE_ADMIN;
    return have != ROLE_PEER && need != ROLE_PEER && have > need;
}

bool token_pattern_matches(struct slice pattern, struct slice id)
{
    size_t at = 0; /* in the pattern */
    size_t star = SIZE_MAX;
    size_t retry = 0; /* where the text of the last star ends */
    for (size_t i = 0; i < id.size;) {
        if (at < pattern.size && pattern.data[at] == '*') {
            star = at++;
            retry = i;
        } else if (at < pattern.size && pattern.data[at] == id.data[i]) {
            at++;
            i++;
        } else if (star != SIZE_MAX) {
            at = star + 1;
            i = ++retry;
        } else {
            return false;
        }
    }
    while (at < pattern.size && pattern.data[at] == '*')
        at++;
    return at == pattern.size;
}

/* --- secrets ---------------------------------------------------------------------------------- */

void token_secret_write(const uint8_t random[TOKEN_RANDOM_BYTES], char out[TOKEN_SECRET_BYTES])
{
    memcpy(out, secret_prefix, sizeof(secret_prefix) - 1);
    base64url_write(random, TOKEN_RANDOM_BYTES, out + sizeof(secret_prefix) - 1);
}

/* RFC 6750, section 2.1: b64token. */
static bool is_secret_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("-._~+/=", c));
}

bool token_secret_is_valid(struct slice secret)
{
    if (secret.size < TOKEN_SECRET_BYTES_MIN || secret.size > TOKEN_SECRET_BYTES_MAX)
        return false;
    for (size_t i = 0; i < secret.size; i++)
        if (!is_secret_char(secret.data[i]))
            return false;
    return true;
}

enum bearer_result bearer_read(struct slice value, struct slice *secret)
{
    static const char scheme[] = "Bearer ";
    const size_t size = sizeof(scheme) - 1;
    if (value.size < size || strncasecmp(value.data, scheme, size) != 0)
        return BEARER_OTHER_SCHEME;
    struct slice rest = {value.data + size, value.size - size};
    while (rest.size && rest.data[0] == ' ') {
        rest.data++;
        rest.size--;
    }
    if (!token_secret_is_valid(rest))
        return BEARER_INVALID;
    *secret = rest;
    return BEARER_FOUND;
}

/* --- expiry ----------------------------------------------------------------------------------- */

static bool is_leap(int year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

/* Days from 1970-01-01 to a valid date from 1970 on; -1: there is no such date. */
static int64_t days_since_1970(int year, int month, int day)
{
    static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (year < 1970 || month < 1 || month > 12 || day < 1)
        return -1;
    if (day > lengths[month - 1] + (month == 2 && is_leap(year)))
        return -1;
    int64_t days = day - 1;
    for (int y = 1970; y < year; y++)
        days += is_leap(y) ? 366 : 365;
    for (int m = 1; m < month; m++)
        days += lengths[m - 1] + (m == 2 && is_leap(year));
    return days;
}

/* Whether a text has a digit wherever the form has one, and else the form's character. */
static bool has_form(const char *text, const char *form)
{
    if (strlen(text) != strlen(form))
        return false;
    for (; *form; form++, text++)
        if (*form == '0' ? *text < '0' || *text > '9' : *text != *form)
            return false;
    return true;
}

bool token_expiry_read(struct slice value, uint64_t *wall_ms)
{
    enum { DAY_SECS = 24 * 60 * 60 };
    char text[sizeof("2027-01-31T12:00:00Z")];
    int year = 0, month = 0, day = 0, hour = 24, minute = 0, second = 0;
    if (value.size == 0 || value.size >= sizeof(text))
        return false;
    memcpy(text, value.data, value.size);
    text[value.size] = '\0';
    if (has_form(text, "0000-00-00T00:00:00Z")) {
        if (sscanf(text, "%d-%d-%dT%d:%d:%dZ", &year, &month, &day, &hour, &minute, &second) != 6 ||
            hour > 23 || minute > 59 || second > 59)
            return false;
    } else if (!has_form(text, "0000-00-00") ||
               sscanf(text, "%d-%d-%d", &year, &month, &day) != 3) {
        return false;
    }
    int64_t days = days_since_1970(year, month, day);
    if (days < 0)
        return false;
    int64_t secs = days * DAY_SECS + hour * 3600 + minute * 60 + second;
    if (secs == 0)
        return false; /* 0 stands for "never" */
    *wall_ms = (uint64_t)secs * 1000;
    return true;
}
