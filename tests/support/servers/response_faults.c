/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/servers/response_faults.h"

#include "tests/support/gzip.h"
#include "tests/support/servers/fake_server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DRIP_US = 50000, LARGE_BYTES = 2 * 1024 * 1024, BOMB_BYTES = 64 * 1024 * 1024 };

#define OK_HEAD "HTTP/1.1 200 OK\r\n"

static bool send_text(int fd, const char *text)
{
    return fake_server_send(fd, text, strlen(text));
}

static void send_again_and_again(int fd, const char *text)
{
    while (send_text(fd, text))
        ;
}

static void send_with_length(int fd, const char *status, const char *fields, const void *body,
                             size_t size)
{
    char head[512];
    snprintf(head, sizeof head, "HTTP/1.1 %s\r\n%sContent-Length: %zu\r\n\r\n", status, fields,
             size);
    if (send_text(fd, head))
        fake_server_send(fd, body, size);
}

static void send_body(int fd, const char *body)
{
    send_with_length(fd, "200 OK", "", body, strlen(body));
}

static void send_filled(int fd, const char *status, char fill)
{
    char *body = malloc(LARGE_BYTES);
    if (!body)
        return;
    memset(body, fill, LARGE_BYTES);
    send_with_length(fd, status, "", body, LARGE_BYTES);
    free(body);
}

/* --- connections ------------------------------------------------------------------------------ */

static void close_at_once(int fd, const char *elsewhere)
{
    (void)fd;
    (void)elsewhere;
}

static void cut_the_header(int fd, const char *elsewhere)
{
    (void)elsewhere;
    send_text(fd, OK_HEAD "Content-Le");
}

static void cut_the_body(int fd, const char *elsewhere)
{
    (void)elsewhere;
    send_text(fd, OK_HEAD "Content-Length: 1000\r\n\r\n{\"response_status\":{\"error_code\":");
}

static void cut_the_chunks(int fd, const char *elsewhere)
{
    (void)elsewhere;
    send_text(fd, OK_HEAD "Transfer-Encoding: chunked\r\n\r\n2\r\n{\"\r\n");
}

static void drip(int fd, const char *elsewhere)
{
    (void)elsewhere;
    bool is_open = send_text(fd, OK_HEAD "Content-Length: 1000000\r\n\r\n{");
    while (is_open) {
        is_open = send_text(fd, " ");
        usleep(DRIP_US);
    }
}

/* --- framing ---------------------------------------------------------------------------------- */

static void send_more_than_the_length(int fd, const char *elsewhere)
{
    (void)elsewhere;
    send_text(fd, OK_HEAD "Content-Length: 2\r\n\r\n{}" OK_HEAD "Content-Length: 2\r\n\r\n{}{{{{");
}

static void send_a_negative_length(int fd, const char *elsewhere)
{
    (void)elsewhere;
    send_text(fd, OK_HEAD "Content-Length: -2\r\n\r\n{}");
}

static void send_two_lengths(int fd, const char *elsewhere)
{
    (void)elsewhere;
    send_text(fd, OK_HEAD "Content-Length: 2\r\nContent-Length: 900\r\n\r\n{}");
}

static void send_a_bad_chunk(int fd, const char *elsewhere)
{
    (void)elsewhere;
    send_text(fd, OK_HEAD "Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n");
}

static void send_a_huge_chunk(int fd, const char *elsewhere)
{
    (void)elsewhere;
    send_text(fd, OK_HEAD "Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n{}");
}

static void send_fields_without_end(int fd, const char *elsewhere)
{
    (void)elsewhere;
    if (send_text(fd, OK_HEAD))
        send_again_and_again(fd, "X-Padding: 0123456789\r\n");
}

static void send_interim_responses_without_end(int fd, const char *elsewhere)
{
    (void)elsewhere;
    send_again_and_again(fd, "HTTP/1.1 100 Continue\r\n\r\n");
}

static void send_no_http(int fd, const char *elsewhere)
{
    (void)elsewhere;
    send_text(fd, "SSH-2.0-OpenSSH_9.2\r\n");
}

static void send_another_version(int fd, const char *elsewhere)
{
    (void)elsewhere;
    send_text(fd, "HTTP/9.9 200 OK\r\nContent-Length: 2\r\n\r\n{}");
}

/* --- status ----------------------------------------------------------------------------------- */

static void send_status_500(int fd, const char *elsewhere)
{
    (void)elsewhere;
    send_filled(fd, "500 Internal Server Error", 'a');
}

static void send_status_599(int fd, const char *elsewhere)
{
    (void)elsewhere;
    send_with_length(fd, "599 \xff\xfe", "Retry-After: -1\r\n", "", 0);
}

static void send_status_503(int fd, const char *elsewhere)
{
    (void)elsewhere;
    send_with_length(fd, "503 Service Unavailable", "Retry-After: 0\r\n", "{", 1);
}

static void redirect(int fd, const char *elsewhere)
{
    char fields[256];
    snprintf(fields, sizeof fields, "Location: %s/health\r\n", elsewhere);
    send_with_length(fd, "307 Temporary Redirect", fields, "", 0);
}

/* --- bodies ----------------------------------------------------------------------------------- */

static void send_html(int fd, const char *elsewhere)
{
    (void)elsewhere;
    send_body(fd, "<html><body>It works!</body></html>");
}

static void send_a_list(int fd, const char *elsewhere)
{
    (void)elsewhere;
    send_body(fd, "[{\"response_status\":{\"error_code\":\"success\"}}]");
}

static void send_wrong_types(int fd, const char *elsewhere)
{
    (void)elsewhere;
    send_body(fd, "{\"response_status\":[1],\"digests\":{\"a\":[-1,1.5,\"x\",null]},"
                  "\"instance_keys\":[null,[],{\"service_id\":{}}],\"instances\":\"none\","
                  "\"services\":[[{\"instances\":[{\"instance_id\":7}]}]],\"service\":true,"
                  "\"failed_instance_keys\":-1,\"tombstones\":[[[]]],\"version\":\"new\","
                  "\"complete\":\"true\"}");
}

static void send_wrong_values(int fd, const char *elsewhere)
{
    (void)elsewhere;
    send_body(
        fd, "{\"response_status\":{\"error_code\":\"success\"},\"digests\":[18446744073709551616],"
            "\"instance_keys\":[{\"region_id\":\"\",\"zone_id\":\"z\",\"service_id\":\"\\u0000\","
            "\"instance_id\":\"\\ud800\",\"version\":1e300,\"age_ms\":-1}],"
            "\"service\":{\"service_id\":\"shop\",\"instances\":[{\"port\":70000}]},"
            "\"version\":-9223372036854775808,\"complete\":true}");
}

static void send_invalid_utf8(int fd, const char *elsewhere)
{
    (void)elsewhere;
    send_body(fd, "{\"response_status\":{\"error_code\":\"\xff\xfe\"},\"\xc3\":1}");
}

static void send_deep_json(int fd, const char *elsewhere)
{
    (void)elsewhere;
    send_filled(fd, "200 OK", '[');
}

static void send_a_gzip_bomb(int fd, const char *elsewhere)
{
    size_t size;
    (void)elsewhere;
    unsigned char *bomb = gzip_pack_bomb(' ', BOMB_BYTES, &size);
    send_with_length(fd, "200 OK", "Content-Encoding: gzip\r\n", bomb, size);
    free(bomb);
}

static void send_damaged_gzip(int fd, const char *elsewhere)
{
    (void)elsewhere;
    send_with_length(fd, "200 OK", "Content-Encoding: gzip\r\n", "\x1f\x8b\x08zzzzzzzzzz", 13);
}

static void send_an_unknown_encoding(int fd, const char *elsewhere)
{
    (void)elsewhere;
    send_with_length(fd, "200 OK", "Content-Encoding: unknown\r\n", "{}", 2);
}

const struct response_fault response_faults[] = {
    {"closed at once", close_at_once},
    {"cut in the header", cut_the_header},
    {"cut in the body", cut_the_body},
    {"cut between chunks", cut_the_chunks},
    {"dripped", drip},
    {"longer than its length", send_more_than_the_length},
    {"negative length", send_a_negative_length},
    {"two lengths", send_two_lengths},
    {"bad chunk", send_a_bad_chunk},
    {"huge chunk", send_a_huge_chunk},
    {"endless header", send_fields_without_end},
    {"endless interim responses", send_interim_responses_without_end},
    {"no HTTP", send_no_http},
    {"another version of HTTP", send_another_version},
    {"status 500 with a large body", send_status_500},
    {"status 599", send_status_599},
    {"status 503", send_status_503},
    {"redirect", redirect},
    {"HTML", send_html},
    {"a list", send_a_list},
    {"wrong types", send_wrong_types},
    {"wrong values", send_wrong_values},
    {"invalid UTF-8", send_invalid_utf8},
    {"deep JSON", send_deep_json},
    {"gzip bomb", send_a_gzip_bomb},
    {"damaged gzip", send_damaged_gzip},
    {"unknown encoding", send_an_unknown_encoding},
};
const size_t response_fault_count = sizeof response_faults / sizeof response_faults[0];
