#!/bin/sh
# install.sh a|b: sets up one of the two gateways of this example. Run as root, after npm install --global qkdkit and after
# qkd pki init has made the profile of the host; see docs/strongswan.md. With DESTDIR set, everything goes below it.
set -eu

gateway=${1-}
case $gateway in
  a) sae=alice ;;
  b) sae=bob ;;
  *) echo "usage: $0 a|b" >&2; exit 2 ;;
esac
here=$(cd "$(dirname "$0")" && pwd)
root=${DESTDIR-}
etc=$root/etc/qkdkit

install -d -m 0700 "$etc"
if [ -e "$etc/ipsec.json" ]; then
  echo "kept: $etc/ipsec.json"
else
  install -m 0600 "$here/gateway-$gateway/ipsec.json" "$etc/ipsec.json"
fi
${QKD-qkd} ipsec hook install --output "$etc/updown"
install -d -m 0755 "$root/etc/systemd/system"
install -m 0644 "$here/qkd-ipsec.service" "$root/etc/systemd/system/qkd-ipsec.service"

cat <<EOF

Left to do at gateway $gateway:
1. put the profile of the host, as qkd pki init wrote it, into $etc/sae-$sae.json, with the files that it names
2. take the connection "net" out of /etc/swanctl/swanctl.conf (gateway-$gateway/swanctl-qkd.conf is what is left of it)
3. qkd ipsec doctor --config /etc/qkdkit/ipsec.json
4. systemctl daemon-reload && systemctl enable --now qkd-ipsec
EOF
