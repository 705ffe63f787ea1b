/* SPDX-License-Identifier: Apache-2.0 */
#include "artemis-web/tls/tls_session.h"

#include <errno.h>
#include <gnutls/abstract.h>
#include <gnutls/x509.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "artemis-server/cluster/topology.h"
#include "artemis-server/log.h"
#include "artemis-server/tls/credential_store.h"
#include "artemis-web/connections/connections.h"

enum {
    RECORD_HANDSHAKE = 0x16, /* first byte of a TLS connection */
    EMPTY_CERTIFICATE_BYTES_MAX = 4,
    DISCARDED_BYTES = 16 * 1024,
    DISCARDS_MAX = 64, /* a client that sends on and on does not hold the thread */
    TLS_1_2_MINOR = 3, /* 3.3 is TLS 1.2 */
};

static void count(_Atomic uint64_t *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

/* Records the first reason, and sends an alert in a session whose handshake has begun. */
static int refuse(struct tls_session *tls, gnutls_alert_description_t alert, const char *reason)
{
    if (!tls->reason[0])
        snprintf(tls->reason, sizeof(tls->reason), "%s", reason);
    if (!tls->alert)
        (void)gnutls_alert_send(tls->connection.gnutls, GNUTLS_AL_FATAL, alert);
    tls->alert = alert;
    return GNUTLS_E_CERTIFICATE_ERROR;
}

static int refuse_missing(struct tls_session *tls)
{
    bool is_1_3 = gnutls_protocol_get_version(tls->connection.gnutls) >= GNUTLS_TLS1_3;
    return refuse(tls, is_1_3 ? GNUTLS_A_CERTIFICATE_REQUIRED : GNUTLS_A_HANDSHAKE_FAILURE,
                  "client certificate: none, but one is required");
}

/* --- certificates of clients and peers -------------------------------------------------------- */

/* The host of "https://host:port", without brackets. */
static void host_of(const char *url, char host[MEMBER_URL_BYTES])
{
    const char *start = strstr(url, "://");
    start = start ? start + 3 : url;
    const char *colon = strrchr(start, ':');
    size_t size = colon ? (size_t)(colon - start) : strlen(start);
    if (size >= 2 && start[0] == '[' && start[size - 1] == ']') {
        start++;
        size -= 2;
    }
    snprintf(host, MEMBER_URL_BYTES, "%.*s", (int)size, start);
}

/* GnuTLS compares the common name with the host where a certificate has no alternative names: that
 * of a client may be anything. */
static bool has_alternative_names(gnutls_x509_crt_t certificate)
{
    char name[TLS_NAME_BYTES];
    size_t size = sizeof(name);
    int code = gnutls_x509_crt_get_subject_alt_name(certificate, 0, name, &size, NULL);
    return code >= 0 || code == GNUTLS_E_SHORT_MEMORY_BUFFER;
}

/* A wildcard names no member: it would stand for hosts that the operator has not listed. */
static bool has_name(gnutls_x509_crt_t certificate, const char *name)
{
    return gnutls_x509_crt_check_hostname2(certificate, name, GNUTLS_VERIFY_DO_NOT_ALLOW_WILDCARDS);
}

static bool is_member(struct cluster *cluster, gnutls_x509_crt_t certificate)
{
    struct member_list members;
    char host[MEMBER_URL_BYTES];
    if (!has_alternative_names(certificate))
        return false;
    if (cluster->member_name[0] && has_name(certificate, cluster->member_name))
        return true;
    cluster_members(cluster, &members);
    for (size_t i = 0; i < members.count; i++) {
        host_of(members.items[i].url, host);
        if (has_name(certificate, members.items[i].name[0] ? members.items[i].name : host))
            return true;
    }
    return false;
}

/* A name for the log and for the audit: the common name, or the first DNS name. */
static void read_name(gnutls_x509_crt_t certificate, char name[TLS_NAME_BYTES])
{
    size_t size = TLS_NAME_BYTES;
    int code =
        gnutls_x509_crt_get_dn_by_oid(certificate, GNUTLS_OID_X520_COMMON_NAME, 0, 0, name, &size);
    size = TLS_NAME_BYTES;
    if (code != GNUTLS_E_SUCCESS)
        code = gnutls_x509_crt_get_subject_alt_name(certificate, 0, name, &size, NULL);
    if (code < 0 || !text_is_utf8(slice_of(name)))
        name[0] = '\0';
}

static gnutls_alert_description_t alert_of(unsigned status)
{
    if (status & GNUTLS_CERT_SIGNER_NOT_FOUND)
        return GNUTLS_A_UNKNOWN_CA;
    if (status & (GNUTLS_CERT_EXPIRED | GNUTLS_CERT_NOT_ACTIVATED))
        return GNUTLS_A_CERTIFICATE_EXPIRED;
    return GNUTLS_A_BAD_CERTIFICATE;
}

static int refuse_unverified(struct tls_session *tls, unsigned status)
{
    gnutls_datum_t text = {0};
    char reason[TLS_REASON_BYTES];
    if (gnutls_certificate_verification_status_print(status, GNUTLS_CRT_X509, &text, 0) < 0)
        text.data = NULL;
    while (text.data && text.size && text.data[text.size - 1] == ' ')
        text.data[--text.size] = '\0';
    snprintf(reason, sizeof(reason), "client certificate: %s",
             text.data ? (const char *)text.data : "not valid");
    gnutls_free(text.data);
    return refuse(tls, alert_of(status), reason);
}

/* Verifies the chain with the current authorities. The session keeps the certificate that it has
 * shown to the client. */
static unsigned verify_chain(const struct tls_session *tls)
{
    gnutls_session_t gnutls = tls->connection.gnutls;
    char purpose[] = GNUTLS_KP_TLS_WWW_CLIENT;
    gnutls_typed_vdata_st data = {.type = GNUTLS_DT_KEY_PURPOSE_OID,
                                  .data = (unsigned char *)purpose};
    unsigned status = 0;
    struct credentials *current = credential_store_get(tls->endpoint->credentials);
    if (gnutls_credentials_set(gnutls, GNUTLS_CRD_CERTIFICATE, credentials_x509(current)) < 0 ||
        gnutls_certificate_verify_peers(gnutls, &data, 1, &status) < 0)
        status = GNUTLS_CERT_INVALID;
    (void)gnutls_credentials_set(gnutls, GNUTLS_CRD_CERTIFICATE,
                                 credentials_x509(tls->credentials));
    credentials_unref(current);
    return status;
}

/* GnuTLS calls it when a client has sent a certificate. */
static int verify(gnutls_session_t gnutls)
{
    struct tls_session *tls = gnutls_session_get_ptr(gnutls);
    unsigned certificates = 0;
    const gnutls_datum_t *chain = gnutls_certificate_get_peers(gnutls, &certificates);
    if (!chain || certificates == 0)
        return tls->endpoint->requires_certificate ? refuse_missing(tls) : 0;
    unsigned status = verify_chain(tls);
    if (status)
        return refuse_unverified(tls, status);
    tls->has_certificate = true;
    gnutls_x509_crt_t certificate;
    if (gnutls_x509_crt_init(&certificate) < 0)
        return GNUTLS_E_MEMORY_ERROR;
    bool accepted = gnutls_x509_crt_import(certificate, &chain[0], GNUTLS_X509_FMT_DER) >= 0;
    if (accepted)
        read_name(certificate, tls->client_name);
    if (accepted && tls->endpoint->cluster)
        accepted = is_member(tls->endpoint->cluster, certificate);
    gnutls_x509_crt_deinit(certificate);
    return accepted ? 0
                    : refuse(tls, GNUTLS_A_ACCESS_DENIED,
                             "peer certificate: has the name of no member of the cluster");
}

/* --- the course of a handshake ---------------------------------------------------------------- */

/* The highest version of a client that knows none after TLS 1.2; others name 1.2 here. */
static bool offers_tls_1_2(const gnutls_datum_t *hello)
{
    return hello->size >= 2 && hello->data[0] == 3 && hello->data[1] >= TLS_1_2_MINOR;
}

/* GnuTLS calls it for each message of the handshake. */
static int on_message(gnutls_session_t gnutls, unsigned kind, unsigned when, unsigned incoming,
                      const gnutls_datum_t *message)
{
    struct tls_session *tls = gnutls_session_get_ptr(gnutls);
    if (tls->state != TLS_HANDSHAKE)
        return 0;
    if (kind == GNUTLS_HANDSHAKE_CLIENT_HELLO && incoming && when == GNUTLS_HOOK_PRE) {
        tls->received_hello = true;
        tls->offers_tls_1_2 = offers_tls_1_2(message);
    } else if (kind == GNUTLS_HANDSHAKE_SERVER_HELLO && !incoming) {
        tls->sent_hello = true;
    } else if (kind == GNUTLS_HANDSHAKE_CERTIFICATE_PKT && incoming && when == GNUTLS_HOOK_PRE &&
               message->size <= EMPTY_CERTIFICATE_BYTES_MAX &&
               tls->endpoint->requires_certificate) {
        return refuse_missing(tls);
    } else if (kind == GNUTLS_HANDSHAKE_FINISHED && when == GNUTLS_HOOK_POST) {
        tls->received_finished |= incoming;
        tls->sent_finished |= !incoming;
        if (tls->received_finished && tls->sent_finished) {
            tls->state = TLS_ESTABLISHED;
            count(&tls->endpoint->counters->established);
        }
    }
    return 0;
}

/* Reads what has arrived: closing a socket with unread input drops what was sent on it, such as an
 * alert. */
static void discard_input(int socket)
{
    char discarded[DISCARDED_BYTES];
    for (int i = 0; i < DISCARDS_MAX; i++)
        if (recv(socket, discarded, sizeof(discarded), MSG_DONTWAIT) <= 0)
            return;
}

/* A client that speaks plain HTTP. */
static void refuse_plain_http(struct tls_session *tls)
{
    int socket = tls->connection.socket;
    snprintf(tls->reason, sizeof(tls->reason), "the client does not speak TLS");
    tls->alert = GNUTLS_A_UNEXPECTED_MESSAGE; /* no alert: the client could not read it */
    discard_input(socket);
    connection_refuse(socket, ERR_MALFORMED_REQUEST, "request: this port serves TLS; use https://");
    shutdown(socket, SHUT_WR);
}

/* Reads from the socket for GnuTLS. */
static ssize_t pull(gnutls_transport_ptr_t context, void *data, size_t size)
{
    struct tls_session *tls = context;
    if (tls->is_forwarded && !tls->is_receiving) {
        gnutls_transport_set_errno(tls->connection.gnutls, EAGAIN);
        return -1;
    }
    ssize_t got = recv(tls->connection.socket, data, size, 0);
    atomic_store_explicit(tls->connection.has_read_all, got <= 0, memory_order_relaxed);
    if (got < 0)
        gnutls_transport_set_errno(tls->connection.gnutls, errno);
    if (tls->state != TLS_HANDSHAKE)
        return got;
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        tls->connection.await_input(tls->connection.context);
    if (got > 0 && !tls->received_bytes && *(unsigned char *)data != RECORD_HANDSHAKE)
        refuse_plain_http(tls);
    tls->received_bytes |= got > 0;
    return got;
}

static int pull_timeout(gnutls_transport_ptr_t context, unsigned ms)
{
    struct tls_session *tls = context;
    struct pollfd polled = {.fd = tls->connection.socket, .events = POLLIN};
    return poll(&polled, 1, (int)ms);
}

/* --- start and end ---------------------------------------------------------------------------- */

/* Sessions have credentials of their own (tls_session.h). This one is for a connection without a
 * session, for lack of memory: its handshake fails. */
static int on_no_credentials(gnutls_session_t session, const gnutls_datum_t *authorities,
                             int authority_count, const gnutls_pk_algorithm_t *algorithms,
                             int algorithm_count, gnutls_pcert_st **cert, unsigned *cert_count,
                             gnutls_privkey_t *key)
{
    (void)session;
    (void)authorities;
    (void)authority_count;
    (void)algorithms;
    (void)algorithm_count;
    (void)cert;
    (void)cert_count;
    (void)key;
    return -1;
}

void *tls_session_cert_callback(void)
{
    return (void *)(intptr_t)on_no_credentials;
}

static gnutls_certificate_request_t request_of(const struct tls_endpoint *endpoint)
{
    if (endpoint->requires_certificate)
        return GNUTLS_CERT_REQUIRE;
    return endpoint->requests_certificate ? GNUTLS_CERT_REQUEST : GNUTLS_CERT_IGNORE;
}

struct tls_session *tls_session_start(const struct tls_endpoint *endpoint,
                                      const struct tls_connection *connection)
{
    gnutls_session_t gnutls = connection->gnutls;
    struct tls_session *tls = malloc(sizeof(*tls));
    if (!tls)
        return NULL;
    *tls = (struct tls_session){
        .state = TLS_HANDSHAKE,
        .endpoint = endpoint,
        .connection = *connection,
        .credentials = credential_store_get(endpoint->credentials),
    };
    gnutls_session_set_ptr(gnutls, tls);
    gnutls_transport_set_ptr2(gnutls, tls, (gnutls_transport_ptr_t)(intptr_t)connection->socket);
    gnutls_transport_set_pull_function(gnutls, pull);
    gnutls_transport_set_pull_timeout_function(gnutls, pull_timeout);
    gnutls_handshake_set_hook_function(gnutls, GNUTLS_HANDSHAKE_ANY, GNUTLS_HOOK_BOTH, on_message);
    /* Without these, the session has the credentials of the daemon, and its handshake fails. */
    (void)gnutls_priority_set(gnutls, credentials_priority(tls->credentials));
    (void)gnutls_credentials_set(gnutls, GNUTLS_CRD_CERTIFICATE,
                                 credentials_x509(tls->credentials));
    gnutls_certificate_server_set_request(gnutls, request_of(endpoint));
    gnutls_session_set_verify_function(gnutls, verify);
    return tls;
}

/* Sends an alert in clear text, as it is sent before the keys are agreed. */
static void send_alert(int socket, gnutls_alert_description_t alert)
{
    const unsigned char record[] = {
        0x15, 3, TLS_1_2_MINOR, 0, 2, GNUTLS_AL_FATAL, (unsigned char)alert};
    (void)send(socket, record, sizeof(record), MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* Why a handshake has ended that nothing above refused. A client that has offered nothing usable
 * gets an alert. */
static const char *explain(const struct tls_session *tls)
{
    if (!tls->received_bytes)
        return "the client has sent nothing";
    if (!tls->received_hello)
        return "the client has sent no valid TLS handshake";
    if (tls->sent_hello)
        return "the client has ended it; it may not trust the certificate of this node";
    send_alert(tls->connection.socket,
               tls->offers_tls_1_2 ? GNUTLS_A_HANDSHAKE_FAILURE : GNUTLS_A_PROTOCOL_VERSION);
    return tls->offers_tls_1_2 ? "no common version or cipher (tls.min_version)"
                               : "the client offers no version from TLS 1.2 on";
}

void tls_session_end(struct tls_session *tls, bool timed_out, const char *client)
{
    if (tls->state == TLS_HANDSHAKE) {
        discard_input(tls->connection.socket);
        struct tls_counters *counters = tls->endpoint->counters;
        const char *reason = timed_out ? "it took too long" : tls->reason;
        count(timed_out ? &counters->timed_out : &counters->failed);
        if (!reason[0])
            reason = explain(tls);
        if (tls->received_bytes && log_admit(LOG_LEVEL_INFO))
            log_event(LOG_LEVEL_INFO, "TLS handshake failed", LOG_TEXT("client", client),
                      LOG_TEXT("listener", tls->endpoint->listener),
                      LOG_TEXT("name", tls->client_name), LOG_TEXT("reason", reason));
    }
    credentials_unref(tls->credentials);
    free(tls);
}

bool tls_session_verify_again(struct tls_session *tls)
{
    return !tls->has_certificate || verify(tls->connection.gnutls) == 0;
}

void tls_session_set_forwarded(struct tls_session *tls)
{
    tls->is_forwarded = true;
}

ssize_t tls_session_receive(struct tls_session *tls, char *out, size_t size)
{
    tls->is_receiving = true;
    ssize_t got = gnutls_record_recv(tls->connection.gnutls, out, size);
    tls->is_receiving = false;
    return got;
}

void tls_session_send_last(struct tls_session *tls, const char *data, size_t size)
{
    if (tls->state != TLS_ESTABLISHED)
        return;
    (void)gnutls_record_send(tls->connection.gnutls, data, size);
    (void)gnutls_bye(tls->connection.gnutls, GNUTLS_SHUT_WR);
}
