/* SPDX-License-Identifier: Apache-2.0 */
#include "libartemis/wire/handshake.h"

#include "libartemis/base/clock.h"
#include "libartemis/base/servers.h"

#include <string.h>
#include <strings.h>

void handshake_make_key(char key[WEBSOCKET_KEY_BYTES])
{
    uint64_t nonce[WEBSOCKET_NONCE_BYTES / sizeof(uint64_t)];
    for (size_t i = 0; i < sizeof nonce / sizeof *nonce; i++)
        nonce[i] = client_clock_random();
    websocket_key_make((const uint8_t *)nonce, key);
}

void handshake_write(struct text *out, const char *url, const char *path, const char *key,
                     const char *authorization)
{
    const char *host = strstr(url, "://");
    host = host ? host + 3 : url;
    size_t host_size = strcspn(host, "/");
    text_printf(out, "GET %s%s HTTP/1.1\r\nHost: %.*s\r\n", host + host_size, path, (int)host_size,
                host);
    text_append_string(out, "User-Agent: libartemis/" ARTEMIS_VERSION "\r\n"
                            "Upgrade: websocket\r\nConnection: Upgrade\r\n"
                            "Sec-WebSocket-Version: 13\r\n");
    text_printf(out, "Sec-WebSocket-Key: %s\r\n", key);
    if (authorization)
        text_printf(out, "Authorization: %s\r\n", authorization);
    text_append_string(out, "\r\n");
}

/* --- response --------------------------------------------------------------------------------- */

/* Finds the value of a header field; false: absent. */
static bool find_field(struct slice head, const char *name, struct slice *value)
{
    size_t name_size = strlen(name);
    const char *end = head.data + head.size;
    for (const char *line = head.data; line < end;) {
        const char *stop = memchr(line, '\n', (size_t)(end - line));
        stop = stop ? stop : end;
        const char *at = line + name_size;
        if (at < stop && *at == ':' && strncasecmp(line, name, name_size) == 0) {
            const char *last = stop;
            for (at++; at < last && (*at == ' ' || *at == '\t'); at++)
                ;
            while (last > at && (last[-1] == '\r' || last[-1] == ' ' || last[-1] == '\t'))
                last--;
            *value = (struct slice){at, (size_t)(last - at)};
            return true;
        }
        line = stop + 1;
    }
    return false;
}

static bool same_word(struct slice value, const char *word)
{
    return value.size == strlen(word) && strncasecmp(value.data, word, value.size) == 0;
}

static bool is_accepted(struct slice head, const char *key)
{
    struct slice value;
    char accept[WEBSOCKET_ACCEPT_BYTES];
    websocket_accept(key, accept);
    if (!find_field(head, "upgrade", &value) || !same_word(value, "websocket"))
        return false;
    if (!find_field(head, "connection", &value) || !websocket_list_has(value, "upgrade"))
        return false;
    if (!find_field(head, "sec-websocket-accept", &value) || !slice_equal(value, slice_of(accept)))
        return false;
    /* The request names neither extensions nor protocols. */
    return !find_field(head, "sec-websocket-extensions", &value) &&
           !find_field(head, "sec-websocket-protocol", &value);
}

/* The status of "HTTP/1.1 101 ..."; 0: not a status line. */
static int status_of(struct slice head)
{
    if (head.size < 12 || strncmp(head.data, "HTTP/1.", 7) != 0 || head.data[8] != ' ')
        return 0;
    int status = 0;
    for (size_t i = 9; i < 12; i++) {
        if (head.data[i] < '0' || head.data[i] > '9')
            return 0;
        status = status * 10 + (head.data[i] - '0');
    }
    return status;
}

enum handshake_result handshake_read(struct slice received, const char *key,
                                     struct handshake_response *response)
{
    *response = (struct handshake_response){0};
    const char *end =
        received.size > 0 ? memmem(received.data, received.size, "\r\n\r\n", 4) : NULL;
    if (!end)
        return received.size < HANDSHAKE_RESPONSE_MAX ? HANDSHAKE_INCOMPLETE : HANDSHAKE_INVALID;
    struct slice head = {received.data, (size_t)(end - received.data) + 2};
    response->size_bytes = head.size + 2;
    response->status = status_of(head);
    struct slice value;
    if (find_field(head, "retry-after", &value))
        response->retry_after_ms = servers_retry_after_ms(value);
    if (response->status == 0)
        return HANDSHAKE_INVALID;
    if (response->status != 101)
        return HANDSHAKE_REFUSED;
    return is_accepted(head, key) ? HANDSHAKE_OPEN : HANDSHAKE_INVALID;
}
