/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis/call/server_url.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Copies the URL without the '/' at its end. */
static bool copy(char to[SERVER_URL_MAX], const char *from)
{
    size_t length = strlen(from);
    while (length > 0 && from[length - 1] == '/')
        length--;
    if (length >= SERVER_URL_MAX)
        return false;
    memcpy(to, from, length);
    to[length] = '\0';
    return true;
}

static bool is_loopback(const char *host)
{
    return strcasecmp(host, "localhost") == 0 || strncmp(host, "127.", 4) == 0 ||
           strcmp(host, "[::1]") == 0;
}

static enum error from_curl(CURLUcode code)
{
    if (code == CURLUE_OK)
        return ERR_NONE;
    return code == CURLUE_OUT_OF_MEMORY ? ERR_NO_MEMORY : ERR_INVALID_FIELD;
}

enum part { SCHEME, HOST, QUERY, FRAGMENT, WHOLE, PART_COUNT };

static const CURLUPart parts[PART_COUNT] = {
    [SCHEME] = CURLUPART_SCHEME,     [HOST] = CURLUPART_HOST, [QUERY] = CURLUPART_QUERY,
    [FRAGMENT] = CURLUPART_FRAGMENT, [WHOLE] = CURLUPART_URL,
};

/* Parts that are absent stay NULL. */
static enum error get(CURLU *handle, enum part part, char **text)
{
    CURLUcode code = curl_url_get(handle, parts[part], text, 0);
    bool absent = code == CURLUE_NO_QUERY || code == CURLUE_NO_FRAGMENT;
    return absent ? ERR_NONE : from_curl(code);
}

static enum error show(struct server_url *url, CURLU *handle)
{
    char *whole = NULL;
    enum error error = from_curl(curl_url_set(handle, CURLUPART_USER, NULL, 0));
    if (!error)
        error = from_curl(curl_url_set(handle, CURLUPART_PASSWORD, NULL, 0));
    if (!error)
        error = get(handle, WHOLE, &whole);
    if (!error && !copy(url->shown, whole))
        error = ERR_INVALID_FIELD;
    curl_free(whole);
    return error;
}

static enum error take_apart(struct server_url *url, CURLU *handle)
{
    char *text[PART_COUNT] = {NULL};
    enum error error = ERR_NONE;
    for (enum part part = 0; part < PART_COUNT && !error; part++)
        error = get(handle, part, &text[part]);
    if (error)
        goto out;

    bool web = strcmp(text[SCHEME], "http") == 0 || strcmp(text[SCHEME], "https") == 0;
    if (!web || text[QUERY] || text[FRAGMENT] || !copy(url->base, text[WHOLE])) {
        error = ERR_INVALID_FIELD;
        goto out;
    }
    url->loopback = is_loopback(text[HOST]);
    error = show(url, handle);
out:
    for (enum part part = 0; part < PART_COUNT; part++)
        curl_free(text[part]);
    return error;
}

enum error server_url_read(struct server_url *url, const char *text, bool has_certificates)
{
    char full[SERVER_URL_MAX];
    const char *assumed = has_certificates ? "https://" : "http://";
    const char *scheme = strstr(text, "://") ? "" : assumed;
    int length = snprintf(full, sizeof full, "%s%s", scheme, text);
    if (length < 0 || (size_t)length >= sizeof full)
        return ERR_INVALID_FIELD;

    CURLU *handle = curl_url();
    if (!handle)
        return ERR_NO_MEMORY;
    struct server_url read = {0};
    enum error error = from_curl(curl_url_set(handle, CURLUPART_URL, full, 0));
    if (!error)
        error = take_apart(&read, handle);
    if (!error)
        *url = read;
    curl_url_cleanup(handle);
    return error;
}

enum error server_list_read(struct server_list *servers, const char *text, bool has_certificates)
{
    struct server_list read = {.urls = calloc(SERVER_LIST_MAX, sizeof *read.urls)};
    enum error error = read.urls ? ERR_NONE : ERR_NO_MEMORY;
    for (const char *at = text; !error; at++) {
        char one[SERVER_URL_MAX];
        size_t length = strcspn(at, ",");
        if (length >= sizeof one || read.count == SERVER_LIST_MAX) {
            error = ERR_INVALID_FIELD;
            break;
        }
        memcpy(one, at, length);
        one[length] = '\0';
        error = server_url_read(&read.urls[read.count++], one, has_certificates);
        at += length;
        if (*at == '\0')
            break;
    }
    if (error)
        server_list_free(&read);
    else
        *servers = read;
    return error;
}

void server_list_free(struct server_list *servers)
{
    free(servers->urls);
    *servers = (struct server_list){0};
}
