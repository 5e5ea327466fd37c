/** What happens between our end and a peer. */
export type InteropOutcome = 'works' | { readonly cannot: string }

/** One way to run a peer. */
export interface InteropRow {
  /** The program, and its Debian package where that has another name. */
  readonly peer: string
  readonly version: 'TLS 1.3' | 'TLS 1.2'
  /** What its user sets, besides identity and key. */
  readonly settings: string
  /** The peer connects to a server of ours. */
  readonly asClient: InteropOutcome
  /** A client of ours connects to the peer. */
  readonly asServer: InteropOutcome
}

const ONLY_PSK_KE =
  'The key alone, without (EC)DHE, is not taken: a recording could be opened by whoever finds the key later'
const ONLY_SHA_384 = 'OpenSSL takes an external key from Node only in suites with SHA-256'

/**
 * The peers that were tried, and what came of it. Every line is run by `interop.test.ts` and `mqtt.test.ts`; the docs print
 * this table.
 */
export const interopTable = {
  openssl13: {
    peer: '`openssl` 3.0',
    version: 'TLS 1.3',
    settings: '`-tls1_3`; as server `-nocert`',
    asClient: 'works',
    asServer: 'works',
  },
  openssl12: {
    peer: '`openssl` 3.0',
    version: 'TLS 1.2',
    settings: '`-tls1_2`; as server `-nocert`',
    asClient: 'works',
    asServer: 'works',
  },
  gnutls13: {
    peer: '`gnutls-cli`, `gnutls-serv` 3.7',
    version: 'TLS 1.3',
    settings: '`--priority NORMAL:-VERS-ALL:+VERS-TLS1.3:-KX-ALL:+ECDHE-PSK`',
    asClient: 'works',
    asServer: 'works',
  },
  stunnel13: {
    peer: '`stunnel` 5.68',
    version: 'TLS 1.3',
    settings: '`sslVersion = TLSv1.3`',
    asClient: 'works',
    asServer: 'works',
  },
  stunnel12: {
    peer: '`stunnel` 5.68',
    version: 'TLS 1.2',
    settings: '`sslVersion = TLSv1.2`, `ciphers = ECDHE-PSK-CHACHA20-POLY1305`',
    asClient: 'works',
    asServer: 'works',
  },
  mosquitto: {
    peer: '`mosquitto`, `mosquitto_pub`, `mosquitto_sub` 2.0, bare',
    version: 'TLS 1.3',
    settings:
      '`psk_hint`, `psk_file`, `ciphers_tls1.3 TLS_CHACHA20_POLY1305_SHA256`; as client `--psk-identity`, `--psk`',
    asClient: 'works',
    asServer: 'works',
  },
  mosquittoTunnel: {
    peer: '`mosquitto`, `mosquitto_pub`, `mosquitto_sub` 2.0, through `qkd tls tunnel`',
    version: 'TLS 1.3',
    settings: 'none: neither knows of TLS',
    asClient: 'works',
    asServer: 'works',
  },
  pskKeOnly: {
    peer: '`gnutls-cli`, `gnutls-serv` 3.7, psk_ke alone',
    version: 'TLS 1.3',
    settings: '`--priority NORMAL:-VERS-ALL:+VERS-TLS1.3:-KX-ALL:+PSK`',
    asClient: {
      cannot: `${ONLY_PSK_KE}. The client gets alert 40 (handshake_failure), the server tells \`unsuitable\``,
    },
    asServer: { cannot: `${ONLY_PSK_KE}. \`connect\` rejects with \`ERR_QKD_PSK_HANDSHAKE\`` },
  },
  sha384Only: {
    peer: '`openssl` 3.0, SHA-384 alone',
    version: 'TLS 1.3',
    settings: '`-tls1_3 -ciphersuites TLS_AES_256_GCM_SHA384`',
    asClient: {
      cannot: `${ONLY_SHA_384}. The client gets alert 40 (handshake_failure), the server tells \`unsuitable\``,
    },
    asServer: { cannot: `${ONLY_SHA_384}. \`connect\` rejects with \`ERR_QKD_PSK_HANDSHAKE\` and alert 40` },
  },
} as const satisfies Record<string, InteropRow>

export type InteropName = keyof typeof interopTable

/** The table as the docs have it. */
export function interopMarkdown(): string {
  const rows = Object.values<InteropRow>(interopTable).map(row => {
    const cells = [row.peer, row.version, row.settings, said(row.asClient), said(row.asServer)]
    return `| ${cells.join(' | ')} |`
  })
  const head = ['Peer', 'Version', 'Its settings', 'Connects to our server', 'Serves our client']
  return [`| ${head.join(' | ')} |`, `|${' --- |'.repeat(head.length)}`, ...rows].join('\n')
}

function said(outcome: InteropOutcome): string {
  return outcome === 'works' ? 'works' : `cannot: ${outcome.cannot}`
}
