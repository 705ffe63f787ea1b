# shellcheck shell=bash disable=SC2154
# SPDX-License-Identifier: Apache-2.0
#
# secure.sh - what `./cluster.sh start --secure` adds to each node: TLS for clients on the port
# 100 above its plain one, mutual TLS for peers 200 above, tokens, limits of each client and address,
# and an admin socket. The plain port stays on loopback, for the script itself. Sourced by cluster.sh,
# whose functions and variables it uses.

SECURE_CLIENT_OFFSET=100 SECURE_PEER_OFFSET=200
SECURE_SOCKET_BYTES=107 # the longest path that the kernel takes

# Makes the certificates of N nodes and of one client, signed by an authority that is made with them.
secure_certificates() {
    local k names=()
    for ((k = 1; k <= $1; k++)); do names+=("node$k,127.0.0.1,localhost"); done
    "$HERE/configs/secure/certificates.sh" "$DIR/tls" "${names[@]}" client ||
        fail "--secure needs certificates, see above"
}

# Makes a token for the nodes and one for an administrator, and the header field with the latter.
secure_tokens() {
    local folder=$DIR/tokens name
    rm -rf "$folder" && mkdir -m 700 "$folder" || fail "cannot make $folder"
    for name in peer admin; do
        "$BINARY" token new "$name" --role "$name" --secret-file "$folder/$name" >>"$folder/tokens.toml" ||
            fail "--secure needs tokens, see above"
    done
    echo "Authorization: Bearer $(cat "$folder/admin")" >"$folder/field"
}

# secure_server PORT: prints settings of the section server.
secure_server() {
    echo "tls_listen_addr = \"127.0.0.1:$(($1 + SECURE_CLIENT_OFFSET))\""
    echo "max_connections_per_address = 1000"
}

# The admin socket of a node; nothing if its path would be too long.
secure_socket() {
    local path=$DIR/data/node$1/admin.sock
    [ "$(printf %s "$path" | wc -c)" -gt "$SECURE_SOCKET_BYTES" ] || echo "$path"
}

# secure_config K PORT: prints settings of the section cluster, and further sections.
secure_config() {
    cat <<EOT
listen_addr = "127.0.0.1:$(($2 + SECURE_PEER_OFFSET))" # replication, nowhere else
token_file = "$DIR/tokens/peer"

[cluster.tls]
cert = "$DIR/tls/node$1.pem"
key = "$DIR/tls/node$1.key"
ca = "$DIR/tls/ca.pem"

[tls]
cert = "$DIR/tls/node$1.pem"
key = "$DIR/tls/node$1.key"
client_ca = "$DIR/tls/ca.pem"
require_client_cert = true
max_handshakes_per_address = 100

[ratelimit]
client_requests_per_second = 1000
client_burst_size = 2000

[admin]
socket = "$(secure_socket "$1")"

$(cat "$DIR/tokens/tokens.toml")
EOT
}

# The address of a node for its peers, by its plain port.
secure_peer_url() { echo "https://127.0.0.1:$(($1 + SECURE_PEER_OFFSET))"; }

# Prints what the commands of artemis need to use the nodes with the given plain ports.
secure_environment() {
    local port urls=""
    for port in "$@"; do urls+="${urls:+,}https://127.0.0.1:$((port + SECURE_CLIENT_OFFSET))"; done
    echo "export ARTEMIS_URL=$urls ARTEMIS_CACERT='$DIR/tls/ca.pem'" \
        "ARTEMIS_CERT='$DIR/tls/client.pem' ARTEMIS_KEY='$DIR/tls/client.key'" \
        "ARTEMIS_TOKEN_FILE='$DIR/tokens/admin'"
}
