#!/bin/sh
# Makes the certificates of these tests anew, for a hundred years; one of them had its time in 2020. One key is every
# leaf's. Needs openssl. Run it here.
set -eu
config=$(mktemp)
trap 'rm -rf "$config" "$config".*' EXIT
cat >"$config" <<END
[ca]
default_ca = own
[own]
database = $config.index
serial = $config.serial
new_certs_dir = /tmp
default_md = sha256
policy = any
copy_extensions = copy
unique_subject = no
[any]
commonName = supplied
END
: >"$config.index"
echo 01 >"$config.serial"
ec="-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"

authority() {
    openssl req -x509 $ec -keyout "$config.$1" -out "$1.pem" -days 36500 -subj "/CN=$1"
}

# NAME AUTHORITY SUBJECT-ALTERNATIVE-NAME BEGIN END
leaf() {
    openssl req -new -key key.pem -out "$config.csr" -subj "/CN=$1" -addext "subjectAltName=$3" \
        -addext basicConstraints=CA:FALSE
    openssl ca -batch -config "$config" -cert "$2.pem" -keyfile "$config.$2" -in "$config.csr" \
        -out "$1.pem" -notext -startdate "$4" -enddate "$5"
}

openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:prime256v1 -out key.pem
authority ours
authority theirs
leaf engine ours DNS:engine.example 20260101000000Z 21260101000000Z
leaf address ours IP:127.0.0.1 20260101000000Z 21260101000000Z
leaf other-name ours DNS:other.example 20260101000000Z 21260101000000Z
leaf expired ours DNS:engine.example 20200101000000Z 20210101000000Z
leaf other-authority theirs DNS:engine.example 20260101000000Z 21260101000000Z
leaf client theirs DNS:relay 20260101000000Z 21260101000000Z
