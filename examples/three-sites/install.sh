#!/bin/sh
# install.sh a|b|c: sets up one site of this example under systemd; b also runs the controller. Run as root, after
# npm install --global qkdkit. A=, B= and C= are the addresses of the sites; with DESTDIR set, everything goes below it.
# See docs/start-network.md.
set -eu

site=${1-}
case $site in
  a | b | c) ;;
  *) echo "usage: A=ADDRESS B=ADDRESS C=ADDRESS $0 a|b|c" >&2; exit 2 ;;
esac
here=$(cd "$(dirname "$0")" && pwd)
root=${DESTDIR-}
etc=$root/etc/qkd

# place NAME ROLE STATE: a configuration of the example, with the addresses, and with its state where systemd has it.
place() {
  if [ -e "$etc/$2.json" ]; then
    echo "kept: $etc/$2.json"
    return
  fi
  sed -e "s|\"state-$3/operator.sock\"|\"/run/qkdkit-$2/operator.sock\"|" -e "s|\"state-$3/|\"/var/lib/qkdkit/$2/|g" \
    -e "s|127\.0\.1\.1|${A:?is not set}|g" -e "s|127\.0\.1\.2|${B:?is not set}|g" -e "s|127\.0\.1\.3|${C:?is not set}|g" \
    "$here/$1.json" > "$etc/$2.json.new"
  chmod 0640 "$etc/$2.json.new"
  mv "$etc/$2.json.new" "$etc/$2.json"
}

install -d -m 0755 "$root/etc/systemd/system" "$root/usr/lib/sysusers.d"
install -m 0644 "$here/../systemd/qkd@.service" "$root/etc/systemd/system/"
install -m 0644 "$here/../systemd/qkd.sysusers.conf" "$root/usr/lib/sysusers.d/qkd.conf"
install -d -m 0750 "$etc"
roles=site
place "site-$site" site "$site"
if [ "$site" = b ]; then
  place controller network control
  roles='site network'
fi
if [ -z "$root" ]; then
  systemd-sysusers
  chgrp -R qkd "$etc"
fi

echo
echo "Left to do at site $site:"
echo "1. put pki/ca.crt, pki/ca-ml-dsa.crt and pki/site-$site of your certificates into $etc/pki"
[ "$site" = b ] && echo "   and pki/control/kme.crt and kme.key, for the controller"
echo "2. chgrp -R qkd /etc/qkd; the keys there belong to qkd alone: chown qkd and chmod 0600 every *.key"
for role in $roles; do echo "3. systemctl daemon-reload && systemctl enable --now qkd@$role"; done
