#!/bin/sh
# two-realms.sh: makes two realms to try things with below the present directory, A.EXAMPLE (KDC at 127.0.1.1:8088) and
# B.EXAMPLE (127.0.1.2:8088), a user alice in A and a service HTTP/web.b.example in B, and no trust between them. Changes nothing
# elsewhere and needs no root. See docs/start-kerberos.md.
set -eu
PATH=$PATH:/usr/sbin:/sbin
top=$PWD

cat > krb5.conf <<EOF
[libdefaults]
 default_realm = A.EXAMPLE
 dns_lookup_kdc = false
 dns_lookup_realm = false
 dns_canonicalize_hostname = false
 rdns = false
 udp_preference_limit = 1
 permitted_enctypes = aes256-cts-hmac-sha384-192 aes256-cts-hmac-sha1-96
[realms]
 A.EXAMPLE = {
  kdc = 127.0.1.1:8088
 }
 B.EXAMPLE = {
  kdc = 127.0.1.2:8088
 }
EOF

# make_realm LETTER NAME ADDRESS
make_realm() {
  install -d -m 0700 "$1"
  cat > "$1/kdc.conf" <<EOF
[kdcdefaults]
 kdc_listen = $3:8088
 kdc_tcp_listen = $3:8088
[realms]
 $2 = {
  database_name = $top/$1/principal
  key_stash_file = $top/$1/stash
  acl_file = $top/$1/kadm5.acl
  max_life = 1d
  supported_enctypes = aes256-cts-hmac-sha384-192:normal aes256-cts-hmac-sha1-96:normal
 }
[logging]
 kdc = FILE:$top/$1/kdc.log
EOF
  cat > "$1.env" <<EOF
export KRB5_CONFIG=$top/krb5.conf KRB5_KDC_PROFILE=$top/$1/kdc.conf KRB5CCNAME=FILE:$top/$1/tickets PATH="\$PATH:/usr/sbin"
EOF
  . "./$1.env"
  master=$(head -c 24 /dev/urandom | base64)
  printf '%s\n%s\n' "$master" "$master" | kdb5_util -r "$2" create -s > /dev/null
}

make_realm a A.EXAMPLE 127.0.1.1
kadmin.local -r A.EXAMPLE -q 'addprinc -pw alice-pw alice' > /dev/null
make_realm b B.EXAMPLE 127.0.1.2
kadmin.local -r B.EXAMPLE -q 'addprinc -randkey HTTP/web.b.example' > /dev/null
echo "made: A.EXAMPLE in a, B.EXAMPLE in b"
