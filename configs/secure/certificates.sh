#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# certificates.sh FOLDER NAME[,HOST...]... - makes a private certificate authority, and certificates.
#
# For trials and small installations; where there is an authority of the company, use that. The files
# are FOLDER/ca.pem and ca.key, and NAME.pem and NAME.key for each NAME. HOSTs are the names and
# addresses at which the others reach NAME: give all of them for a node, and none for a client. The
# certificate of a node is valid for a server and a client, one without HOSTs for a client alone.
#
# A file that exists is kept, so that further certificates can be made with the same authority. To
# renew one, remove NAME.pem and repeat the call with the same HOSTs. All files are readable by their
# owner only. Keep ca.key away from the nodes: its holder can make a certificate that every node
# trusts.
#
#   configs/secure/certificates.sh tls node-1,artemis-1.example.com,10.0.0.7 client
#
# Needs certtool (gnutls-bin) or openssl. CA_DAYS (3650) and DAYS (365): how long they are valid.
set -euo pipefail

fail() { echo "certificates.sh: $*" >&2; exit 1; }

[ $# -ge 2 ] || fail "usage: certificates.sh FOLDER NAME[,HOST...]..."
if command -v certtool >/dev/null; then tool=certtool
elif command -v openssl >/dev/null; then tool=openssl
else fail "certtool and openssl are missing; install one: sudo apt-get install gnutls-bin"; fi

folder=$1
shift
ca_days=${CA_DAYS:-3650} days=${DAYS:-365}
umask 077
mkdir -p -- "$folder"
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT

is_address() { [[ $1 =~ ^[0-9.]+$ || $1 == *:* ]]; }

# run COMMAND...: shows its output only when it fails.
run() { "$@" >"$work/output" 2>&1 || { cat "$work/output" >&2; fail "$1 has failed"; }; }

# The new files appear at once, the key first: a node that reads them meanwhile finds a pair that
# does not fit, keeps the earlier one, and reads again.
publish() {
    mv -f -- "$work/new.key" "$folder/$1.key"
    mv -f -- "$work/new.pem" "$folder/$1.pem"
}

make_key() {
    case $tool in
    certtool) run certtool --generate-privkey --key-type ecdsa --curve secp256r1 --outfile "$work/new.key" ;;
    openssl) run openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$work/new.key" ;;
    esac
}

make_authority() {
    make_key
    case $tool in
    certtool)
        printf 'cn = "Artemis authority"\nca\ncert_signing_key\nexpiration_days = %s\n' "$ca_days" >"$work/template"
        run certtool --generate-self-signed --load-privkey "$work/new.key" \
            --template "$work/template" --outfile "$work/new.pem"
        ;;
    openssl)
        run openssl req -x509 -new -key "$work/new.key" -sha256 -days "$ca_days" \
            -subj "/CN=Artemis authority" -addext "basicConstraints=critical,CA:true" \
            -addext "keyUsage=critical,keyCertSign" -out "$work/new.pem"
        ;;
    esac
    publish ca
}

# make_certificate NAME HOST...
make_certificate() {
    local name=$1 host names="" template usage=clientAuth
    make_key
    template=$(printf 'cn = "%s"\nexpiration_days = %s\nsigning_key\ntls_www_client\n' "$name" "$days")
    [ $# -eq 1 ] || usage=serverAuth,clientAuth template+=$'\ntls_www_server'
    for host in "${@:2}"; do
        if is_address "$host"; then
            names+=",IP:$host" template+=$'\n'"ip_address = \"$host\""
        else
            names+=",DNS:$host" template+=$'\n'"dns_name = \"$host\""
        fi
    done
    case $tool in
    certtool)
        echo "$template" >"$work/template"
        run certtool --generate-certificate --load-privkey "$work/new.key" --template "$work/template" \
            --load-ca-certificate "$folder/ca.pem" --load-ca-privkey "$folder/ca.key" --outfile "$work/new.pem"
        ;;
    openssl)
        {
            echo "keyUsage=critical,digitalSignature"
            echo "extendedKeyUsage=$usage"
            [ -z "$names" ] || echo "subjectAltName=${names#,}"
        } >"$work/extensions"
        run openssl req -new -key "$work/new.key" -subj "/CN=$name" -out "$work/request"
        run openssl x509 -req -in "$work/request" -CA "$folder/ca.pem" -CAkey "$folder/ca.key" \
            -set_serial "0x4$(openssl rand -hex 15)" -sha256 -days "$days" \
            -extfile "$work/extensions" -out "$work/new.pem"
        ;;
    esac
    publish "$name"
}

[ -f "$folder/ca.pem" ] || make_authority
for given in "$@"; do
    IFS=, read -ra parts <<<"$given"
    [[ ${parts[0]} =~ ^[A-Za-z0-9._-]+$ && ${parts[0]} != ca ]] || fail "not a name: '${parts[0]}'"
    [ -f "$folder/${parts[0]}.pem" ] || make_certificate "${parts[@]}"
done
