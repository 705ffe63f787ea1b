/* SPDX-License-Identifier: Apache-2.0 */
#include "libartemis/base/url.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool is_loopback_host(const char *host)
{
    return strcasecmp(host, "localhost") == 0 || strncmp(host, "127.", 4) == 0 ||
           strcmp(host, "[::1]") == 0;
}

/* Removes trailing slashes and a trailing /api of the path: request paths begin with /api. A host
 * may be named api, too. */
static void remove_suffix(char *url)
{
    char *path = strchr(strstr(url, "://") + strlen("://"), '/');
    size_t length = path ? strlen(path) : 0;
    while (length > 0 && path[length - 1] == '/')
        path[--length] = '\0';
    if (length < 4 || strcmp(path + length - 4, "/api") != 0)
        return;
    path[length - 4] = '\0';
    remove_suffix(url);
}

/* The caller frees it; NULL if the URL has no such part. */
static char *url_part(CURLU *handle, CURLUPart part)
{
    char *text = NULL;
    return curl_url_get(handle, part, &text, 0) == CURLUE_OK ? text : NULL;
}

/* Why a URL that libcurl can parse is not allowed; NULL: it is allowed. */
static const char *find_fault(CURLU *handle)
{
    static const struct {
        CURLUPart part;
        const char *fault;
    } unwanted[] = {
        {CURLUPART_USER, "must not contain a user: use options.authorization"},
        {CURLUPART_PASSWORD, "must not contain a password: use options.authorization"},
        {CURLUPART_QUERY, "must not have a query"},
        {CURLUPART_FRAGMENT, "must not have a fragment"},
    };
    const char *fault = NULL;
    char *scheme = url_part(handle, CURLUPART_SCHEME);
    if (!scheme || (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0))
        fault = "must begin with http:// or https://";
    curl_free(scheme);
    for (size_t i = 0; i < sizeof unwanted / sizeof *unwanted && !fault; i++) {
        char *text = url_part(handle, unwanted[i].part);
        if (text)
            fault = unwanted[i].fault;
        curl_free(text);
    }
    return fault;
}

enum error url_read(const char *text, char **url, bool *is_loopback, const char **fault)
{
    enum error error = ERR_NO_MEMORY;
    char *url_text = NULL;
    char *host = NULL;
    char *copy = NULL;
    CURLU *handle = curl_url();
    if (!handle)
        return ERR_NO_MEMORY;
    const char *found = "is not a URL like http://host:port or https://host:port";
    if (strstr(text, "://") && curl_url_set(handle, CURLUPART_URL, text, 0) == CURLUE_OK)
        found = find_fault(handle);
    if (found) {
        *fault = found;
        error = ERR_INVALID_FIELD;
        goto out;
    }
    url_text = url_part(handle, CURLUPART_URL);
    host = url_part(handle, CURLUPART_HOST);
    copy = url_text ? strdup(url_text) : NULL;
    if (!copy || !host)
        goto out;
    remove_suffix(copy);
    *url = copy;
    copy = NULL;
    *is_loopback = is_loopback_host(host);
    error = ERR_NONE;
out:
    free(copy);
    curl_free(url_text);
    curl_free(host);
    curl_url_cleanup(handle);
    return error;
}
