#!/bin/sh
# two-gateways.sh: the two gateways of this example on one machine, to try things with. Run as root; see docs/start-ipsec.md.
#   make        writes gateway-a and gateway-b below the present directory, and joins two network namespaces by a cable
#   charon a|b  runs the charon of one gateway in its namespace, until Ctrl-C
#   ping        pings from the network behind a to that behind b
#   remove      removes the namespaces
set -eu
here=$(cd "$(dirname "$0")" && pwd)

# make_gateway LETTER SAE OTHER_SAE ADDRESS OTHER_ADDRESS INNER_ADDRESS AGENT OTHER_AGENT
make_gateway() {
  dir=$PWD/gateway-$1
  install -d -m 0700 "$dir"
  install -m 0600 "$here/gateway-$1/swanctl.conf" "$here/gateway-$1/swanctl-qkd.conf" "$dir/"
  sed -e "1s|{|{ \"viciSocket\": \"$dir/vici\", \"stateDir\": \"$dir/state\", \"spoolDir\": \"$dir/spool\", \"controlSocket\": \"$dir/agent.sock\",|" \
    -e "s|sae-$2.json|../pki/site-$1/sae-$2.json|" -e "s|/etc/qkdkit/updown|$dir/updown|" \
    -e "s|\"listen\": { \"host\": \"$4\"|\"listen\": { \"host\": \"$7\"|" \
    -e "s|\"agent\": { \"host\": \"$5\"|\"agent\": { \"host\": \"$8\"|" "$here/gateway-$1/ipsec.json" > "$dir/ipsec.json"
  ${QKD-qkd} ipsec hook install --output "$dir/updown" --spool "$dir/spool" > "$dir/hook.out"
  # ESP in user space, so that no kernel has to know it; vici at a place of its own.
  cat > "$dir/strongswan.conf" <<EOF
charon {
  load = random nonce openssl sha1 sha2 hmac kdf aes gcm curve25519 pem kernel-libipsec kernel-netlink socket-default updown counters vici
  make_before_break = yes
  plugins {
    vici {
      socket = unix://$dir/vici
    }
  }
  filelog {
    main {
      path = $dir/charon.log
      default = 1
      flush_line = yes
    }
  }
}
EOF
  ip netns add "qkd-try-$1"
  ip -n "qkd-try-$1" link set lo up
  ip -n "qkd-try-$1" addr add "$6/32" dev lo
}

case ${1-} in
  make)
    make_gateway a alice bob 192.0.2.1 192.0.2.2 10.1.0.1 127.0.1.1 127.0.1.2
    make_gateway b bob alice 192.0.2.2 192.0.2.1 10.2.0.1 127.0.1.2 127.0.1.1
    ip link add qkd-try netns qkd-try-a type veth peer name qkd-try netns qkd-try-b
    for end in a:1 b:2; do
      ip -n "qkd-try-${end%:*}" addr add "192.0.2.${end#*:}/24" dev qkd-try
      ip -n "qkd-try-${end%:*}" link set qkd-try up
    done
    echo "made: gateway-a (192.0.2.1, behind it 10.1.0.1) and gateway-b (192.0.2.2, behind it 10.2.0.1)"
    ;;
  charon)
    for folder in /usr/lib/ipsec /usr/libexec/ipsec /usr/lib/strongswan /usr/libexec/strongswan; do
      [ -x "$folder/charon" ] && charon=$folder/charon
    done
    # A /run of its own, so that each charon has its own pid file.
    STRONGSWAN_CONF=$PWD/gateway-$2/strongswan.conf exec ip netns exec "qkd-try-$2" unshare -m \
      sh -c 'mount -t tmpfs none /run && echo "charon runs" && exec "$0"' "${charon:?is not installed}"
    ;;
  ping) exec ip netns exec qkd-try-a fping -c 3 -p 200 -t 2000 -S 10.1.0.1 10.2.0.1 ;;
  remove) for end in a b; do ip netns del "qkd-try-$end"; done ;;
  *) sed -n 's/^#   //p' "$0" >&2; exit 2 ;;
esac
