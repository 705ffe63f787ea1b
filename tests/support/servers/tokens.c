/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/servers/tokens.h"

#include <nettle/sha2.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { FILE_BYTES = 8192 };

static const struct {
    const char *name, *role, *secret, *rest;
} kinds[] = {
    {"read", "read", TOKEN_READ, ""},
    {"write", "write", TOKEN_WRITE, ""},
    {"operator", "operator", TOKEN_OPERATOR, ""},
    {"admin", "admin", TOKEN_ADMIN, ""},
    {"peer", "peer", TOKEN_PEER, ""},
    {"shop-writer", "write", TOKEN_SHOP_WRITER, "services = [\"shop-*\"]\n"},
    {"shop-reader", "read", TOKEN_SHOP_READER, "services = [\"shop-*\"]\n"},
    {"expired", "admin", TOKEN_EXPIRED, "expires = 2020-01-01\n"},
};

static size_t write_token(char *out, size_t size, const char *name, const char *role,
                          const char *secret, const char *rest)
{
    struct sha256_ctx hash;
    uint8_t digest[SHA256_DIGEST_SIZE];
    char hex[2 * SHA256_DIGEST_SIZE + 1];
    sha256_init(&hash);
    sha256_update(&hash, strlen(secret), (const uint8_t *)secret);
    sha256_digest(&hash, sizeof digest, digest);
    for (size_t i = 0; i < sizeof digest; i++)
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    return (size_t)snprintf(out, size,
                            "[[auth.tokens]]\nname = \"%s\"\nrole = \"%s\"\nsha256 = \"%s\"\n%s",
                            name, role, hex, rest);
}

void tokens_describe(char *out, unsigned long size, const char *name, const char *role,
                     const char *secret, long expires_secs)
{
    char rest[64];
    struct tm parts;
    time_t when = expires_secs;
    gmtime_r(&when, &parts);
    strftime(rest, sizeof rest, "expires = \"%Y-%m-%dT%H:%M:%SZ\"\n", &parts);
    write_token(out, size, name, role, secret, rest);
}

const char *tokens_write(const struct temp_folder *folder, const char *more)
{
    static char content[FILE_BYTES];
    size_t size = 0;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        size += write_token(content + size, sizeof content - size, kinds[i].name, kinds[i].role,
                            kinds[i].secret, kinds[i].rest);
    snprintf(content + size, sizeof content - size, "%s", more);
    return temp_folder_write(folder, "tokens.toml", content);
}
