/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/certificates.h"

#include "tests/support/cmocka_all.h"

#include <arpa/inet.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

enum { DAY_SECS = 24 * 60 * 60, PATHS = 16, PATH_BYTES = 256 };

const char *certificates_path(const struct temp_folder *folder, const char *file)
{
    static char paths[PATHS][PATH_BYTES];
    static unsigned next;
    char *path = paths[next++ % PATHS];
    snprintf(path, PATH_BYTES, "%s/%s", folder->path, file);
    return path;
}

static void write_file(const struct temp_folder *folder, const char *name, const char *end,
                       const gnutls_datum_t *content)
{
    char file[128];
    char path[PATH_BYTES];
    snprintf(file, sizeof file, "%s%s", name, end);
    snprintf(path, sizeof path, "%s.new", certificates_path(folder, file));
    FILE *out = fopen(path, "we");
    assert_non_null(out);
    assert_int_equal(fwrite(content->data, 1, content->size, out), content->size);
    assert_int_equal(fchmod(fileno(out), 0600), 0);
    assert_int_equal(fclose(out), 0);
    assert_int_equal(rename(path, certificates_path(folder, file)), 0);
}

static gnutls_datum_t read_file(const struct temp_folder *folder, const char *name, const char *end)
{
    char file[128];
    gnutls_datum_t content = {0};
    snprintf(file, sizeof file, "%s%s", name, end);
    assert_true(gnutls_load_file(certificates_path(folder, file), &content) >= 0);
    return content;
}

#define CHECK(call) assert_true((call) >= 0)

static gnutls_x509_privkey_t make_key(void)
{
    gnutls_x509_privkey_t key;
    CHECK(gnutls_x509_privkey_init(&key));
    CHECK(gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA,
                                       GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0));
    return key;
}

static gnutls_x509_crt_t start_certificate(const char *common_name, gnutls_x509_privkey_t key)
{
    gnutls_x509_crt_t crt;
    unsigned char serial[16];
    CHECK(gnutls_rnd(GNUTLS_RND_NONCE, serial, sizeof serial));
    serial[0] = (unsigned char)((serial[0] & 0x7fU) | 0x40U);
    CHECK(gnutls_x509_crt_init(&crt));
    CHECK(gnutls_x509_crt_set_version(crt, 3));
    CHECK(gnutls_x509_crt_set_serial(crt, serial, sizeof serial));
    CHECK(gnutls_x509_crt_set_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0, common_name,
                                        (unsigned)strlen(common_name)));
    CHECK(gnutls_x509_crt_set_key(crt, key));
    return crt;
}

static void set_days(gnutls_x509_crt_t crt, int from_days, int until_days)
{
    time_t now = time(NULL);
    CHECK(gnutls_x509_crt_set_activation_time(crt, now + (time_t)from_days * DAY_SECS));
    CHECK(gnutls_x509_crt_set_expiration_time(crt, now + (time_t)until_days * DAY_SECS));
}

/* Signs with the key of the issuer, writes both files and frees everything. */
static void finish(const struct temp_folder *folder, const char *name, gnutls_x509_crt_t crt,
                   gnutls_x509_privkey_t key, gnutls_x509_crt_t issuer,
                   gnutls_x509_privkey_t issuer_key)
{
    gnutls_datum_t pem;
    CHECK(gnutls_x509_crt_sign2(crt, issuer, issuer_key, GNUTLS_DIG_SHA256, 0));
    CHECK(gnutls_x509_privkey_export2(key, GNUTLS_X509_FMT_PEM, &pem));
    write_file(folder, name, ".key", &pem);
    gnutls_free(pem.data);
    CHECK(gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_PEM, &pem));
    write_file(folder, name, ".pem", &pem);
    gnutls_free(pem.data);
}

void certificates_make_authority(const struct temp_folder *folder, const char *name)
{
    gnutls_x509_privkey_t key = make_key();
    gnutls_x509_crt_t crt = start_certificate(name, key);
    set_days(crt, -2, 200);
    CHECK(gnutls_x509_crt_set_basic_constraints(crt, 1, -1));
    CHECK(gnutls_x509_crt_set_key_usage(crt, GNUTLS_KEY_KEY_CERT_SIGN));
    finish(folder, name, crt, key, crt, key);
    gnutls_x509_crt_deinit(crt);
    gnutls_x509_privkey_deinit(key);
}

static void add_host(gnutls_x509_crt_t crt, const char *host)
{
    unsigned char ip[sizeof(struct in6_addr)];
    unsigned size = inet_pton(AF_INET, host, ip) == 1    ? sizeof(struct in_addr)
                    : inet_pton(AF_INET6, host, ip) == 1 ? sizeof(struct in6_addr)
                                                         : 0;
    if (size > 0)
        CHECK(gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_IPADDRESS, ip, size,
                                                   GNUTLS_FSAN_APPEND));
    else
        CHECK(gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_DNSNAME, host,
                                                   (unsigned)strlen(host), GNUTLS_FSAN_APPEND));
}

void certificates_make(const struct temp_folder *folder, const char *authority, const char *name,
                       const struct certificate_options *options)
{
    static const char *const loopback[] = {"127.0.0.1", "localhost", NULL};
    static const struct certificate_options defaults;
    const struct certificate_options *chosen = options ? options : &defaults;
    const char *const *host = chosen->hosts ? chosen->hosts : loopback;
    bool has_days = chosen->from_days || chosen->until_days;
    gnutls_x509_privkey_t key = make_key();
    gnutls_x509_crt_t crt =
        start_certificate(chosen->common_name ? chosen->common_name : name, key);
    set_days(crt, has_days ? chosen->from_days : -1, has_days ? chosen->until_days : 100);
    for (; *host; host++)
        add_host(crt, *host);
    CHECK(gnutls_x509_crt_set_key_usage(crt, GNUTLS_KEY_DIGITAL_SIGNATURE));

    gnutls_x509_crt_t issuer;
    gnutls_x509_privkey_t issuer_key;
    gnutls_datum_t pem = read_file(folder, authority, ".pem");
    CHECK(gnutls_x509_crt_init(&issuer));
    CHECK(gnutls_x509_crt_import(issuer, &pem, GNUTLS_X509_FMT_PEM));
    gnutls_free(pem.data);
    pem = read_file(folder, authority, ".key");
    CHECK(gnutls_x509_privkey_init(&issuer_key));
    CHECK(gnutls_x509_privkey_import(issuer_key, &pem, GNUTLS_X509_FMT_PEM));
    gnutls_free(pem.data);
    finish(folder, name, crt, key, issuer, issuer_key);
    gnutls_x509_crt_deinit(crt);
    gnutls_x509_privkey_deinit(key);
    gnutls_x509_crt_deinit(issuer);
    gnutls_x509_privkey_deinit(issuer_key);
}
