/** What a snippet of configuration is made from. */
export interface SnippetFacts {
  readonly saeId: string
  /** SAE ID of the device at the other end. */
  readonly peerSaeId: string
  readonly kmeId: string
  /** Where the KME of this site serves ETSI 014. */
  readonly kme: { readonly host: string; readonly port: number }
  /** Where it serves SKIP. */
  readonly skip: { readonly host: string; readonly port: number }
  /** Address of the device at the other end, or `%any`. */
  readonly peerAddress: string
  /** Absolute paths of what was made. */
  readonly files: { readonly cert: string; readonly key: string; readonly ca: string; readonly psk: string }
}

/** A kind of device, as `--for` names it. */
export type SnippetKind = keyof typeof snippets

/** Turns the facts into configuration, for each kind of device. docs/equipment.md has the sources of their syntax. */
export const snippets = { swanctl, fortigate, mikrotik, cisco } as const satisfies Record<
  string,
  (facts: SnippetFacts) => string
>

/** Which file a snippet goes into, after `sae-NAME.`. */
export const SNIPPET_FILES: Readonly<Record<SnippetKind, string>> = {
  swanctl: 'swanctl.conf',
  fortigate: 'fortigate.txt',
  mikrotik: 'mikrotik.rsc',
  cisco: 'cisco.txt',
}

/** strongSwan takes no keys from a KME itself: the agent sets `ppk_id` and the PPK with each key. */
function swanctl({ saeId, peerSaeId, peerAddress, files }: SnippetFacts): string {
  const name = connectionName(saeId, peerSaeId)
  return `# strongSwan at ${saeId}: put it under /etc/swanctl/conf.d, the key under /etc/swanctl/private and the authority under
# /etc/swanctl/x509ca. The keys come by "qkd ipsec agent" (docs/strongswan.md), which makes its configuration of this:
#   qkd ipsec config --from FILE --peer ${peerSaeId} --role initiator      (responder at the other end)
connections {
  ${name} {
    version = 2
    remote_addrs = ${peerAddress}
    proposals = aes256gcm16-prfsha384-x25519
    # Without a key of the KME there is no tunnel; the agent names the key.
    ppk_required = yes
    local {
      auth = pubkey
      certs = ${files.cert}
      id = "CN=${saeId}"
    }
    remote {
      auth = pubkey
      id = "CN=${peerSaeId}"
    }
    children {
      net {
        esp_proposals = aes256gcm16-x25519
        local_ts = dynamic
        remote_ts = dynamic
      }
    }
  }
}
`
}

function fortigate({ saeId, peerSaeId, kmeId, kme, peerAddress }: SnippetFacts): string {
  const gateway = peerAddress === '%any' ? '0.0.0.0' : peerAddress
  return `# FortiGate ${saeId} (FortiOS 7.4.2 or later). Import sae-${saeId}.p12 as certificate "${short(saeId)}" and ca.crt as "qkd-ca" first;
# an id has up to 291 characters, a server name up to 63.
config user peer
    edit "qkd-kme"
        set ca "qkd-ca"
        set cn "${kmeId}"
    next
end
config vpn qkd
    edit "qkd"
        set server "${kme.host}"
        set port ${kme.port}
        set id "${saeId}"
        set peer "qkd-kme"
        set certificate "${short(saeId)}"
    next
end
# Then, in the tunnel to ${peerSaeId} at ${gateway}, which has to be there:
config vpn ipsec phase1-interface
    edit "${short(peerSaeId)}"
        set ike-version 2
        set qkd require
        set qkd-profile "qkd"
    next
end
`
}

function mikrotik({ saeId, peerSaeId, kmeId, kme, peerAddress }: SnippetFacts): string {
  const address = peerAddress === '%any' ? '0.0.0.0/0' : peerAddress
  return `# RouterOS at ${saeId}. Copy ca.crt, sae-${saeId}.crt and sae-${saeId}.key to it first. key-size is in bytes; the manual shows a
# request in its log, where "size" should then be 256: raise key-size if the KME refuses the size as too small.
/certificate/import file-name=ca.crt passphrase=""
/certificate/import file-name=sae-${saeId}.crt passphrase="" name=sae-${saeId}
/certificate/import file-name=sae-${saeId}.key passphrase=""
/ip/ipsec/key/qkd/set address=${bracketed(kme.host)}:${kme.port} cache-size=1 certificate=sae-${saeId} key-size=32 \\
    kme-id=${kmeId} peer-sae-id=${peerSaeId}
/ip/ipsec/profile/add name=qkd ppk=qkd
/ip/ipsec/peer/add name=${peerSaeId} address=${address} exchange-mode=ike2 profile=qkd
/ip/ipsec/identity/add peer=${peerSaeId} auth-method=digital-signature certificate=sae-${saeId}
`
}

/** Cisco takes its keys by SKIP, with a pre-shared key of its own. */
function cisco({ saeId, peerSaeId, skip, peerAddress, files }: SnippetFacts): string {
  const address = peerAddress === '%any' ? '0.0.0.0 0.0.0.0' : `${peerAddress} 255.255.255.255`
  const kind = /^[\d.]+$/.test(skip.host) ? 'ipv4' : skip.host.includes(':') ? 'ipv6' : 'fqdn'
  return `! Cisco IOS XE ${saeId} (17.11.1a or later, SKIP). Paste the pre-shared key from ${files.psk}
! in place of PSK-HEX. The site needs it too, under "skip":
!   "psks": [{ "identity": "${saeId}", "saeId": "${saeId}", "file": "${files.psk}" }]
crypto skip-client QKD
 server ${kind} ${skip.host} port ${skip.port}
 psk id ${saeId} key hex PSK-HEX
crypto ikev2 keyring QKD-KEYRING
 peer ${peerSaeId}
  address ${address}
  ppk dynamic QKD required
! Then, in the IKEv2 profile of the tunnel, besides what authenticates the peer:
!  keyring ppk QKD-KEYRING
`
}

function connectionName(saeId: string, peerSaeId: string): string {
  return `${saeId}-${peerSaeId}`.replaceAll(/[^A-Za-z0-9_-]/g, '-')
}

/** FortiOS names tunnels in up to 15 characters. */
function short(name: string): string {
  return name.slice(0, 15)
}

function bracketed(host: string): string {
  return host.includes(':') ? `[${host}]` : host
}
