#!/bin/sh
# Makes the three files beside it anew, valid from 2020 to 2120. The authority's key is thrown away.
set -e
here=$(cd "$(dirname "$0")" && pwd)
scratch=$(mktemp -d)
trap 'rm -r "$scratch"' EXIT
cd "$scratch"
touch index
echo 01 > serial
cat > conf <<'END'
[ca]
default_ca = ours
[ours]
database = index
serial = serial
new_certs_dir = .
default_md = sha256
policy = any
[any]
commonName = supplied
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
subjectKeyIdentifier = hash
[server]
subjectAltName = DNS:localhost
basicConstraints = critical, CA:FALSE
extendedKeyUsage = serverAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
END
new() {
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -noenc -keyout "$1.key" -out "$1.csr" -subj "/CN=$2"
}
sign() {
    openssl ca -startdate 20200101000000Z -enddate 21200101000000Z -batch -notext -config conf -keyfile authority.key "$@"
}
new authority "Authority of Gristmill's tests"
new server localhost
sign -selfsign -in authority.csr -extensions authority -out authority.pem
sign -cert authority.pem -in server.csr -extensions server -out server.pem
cp authority.pem server.pem server.key "$here"
