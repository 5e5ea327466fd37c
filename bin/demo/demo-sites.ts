import {
  type AbortOptions,
  type CertificatePair,
  createCertificateAuthority,
  createMlDsaAuthority,
  createRemoteKms,
  createSite,
  issueCertificate,
  issueMlDsaCertificate,
  type Kms,
  type MlDsaPair,
  type ServedSite,
  type SiteConfig,
} from '../../lib/index.ts'
import type { DemoLink } from './demo-links.ts'

/** Blocks of 1,000 cells that the pool holds when it is full. */
export const TARGET_BLOCKS = 4

export const LINK_ID = 'a-b'

/** One site and its only host. */
interface DemoSite {
  readonly siteId: string
  readonly kmeId: string
  readonly saeId: string
}

export const SITES = {
  a: { siteId: 'site-a', kmeId: 'kme-a', saeId: 'alice' },
  b: { siteId: 'site-b', kmeId: 'kme-b', saeId: 'bob' },
} as const satisfies Record<string, DemoSite>

const LOOPBACK = { host: '127.0.0.1', port: 0 }

/** The two sites, each with one host that reaches only its own site's KMS. */
export interface DemoSites {
  readonly a: ServedSite
  readonly b: ServedSite
  /** Site A's KMS as Alice sees it, over mutual TLS. */
  readonly alice: Kms
  /** Site B's KMS as Bob sees it, over mutual TLS. */
  readonly bob: Kms
  close(): Promise<void>
}

/** Starts both sites on free ports of the loopback interface. Certificates live in memory and end with the process. */
export async function openDemoSites(link: DemoLink, { signal }: AbortOptions): Promise<DemoSites> {
  const ca = createCertificateAuthority({ commonName: 'qkd demo CA', days: 1 })
  const mlDsaCa = createMlDsaAuthority({ commonName: 'qkd demo CA', days: 1 })
  const opened: { close(): Promise<void> }[] = []
  const close = async () => {
    for (const part of opened.splice(0).reverse()) await part.close()
  }
  try {
    // Site B waits for the connections of site A: the one that sorts first dials.
    const b = await createSite(siteConfig(ca, { own: SITES.b, peer: SITES.a, mlDsaCa, link }))
    opened.push(b)
    signal?.throwIfAborted()
    const a = await createSite(siteConfig(ca, { own: SITES.a, peer: SITES.b, mlDsaCa, link, address: b.address }))
    opened.push(a)
    const alice = hostKms(ca, SITES.a, a)
    opened.push(alice)
    const bob = hostKms(ca, SITES.b, b)
    opened.push(bob)
    return { a, b, alice, bob, close }
  } catch (error) {
    await close()
    throw error
  }
}

interface Pairing {
  readonly own: DemoSite
  readonly peer: DemoSite
  /** Signs what the link's ends prove their first round with. */
  readonly mlDsaCa: MlDsaPair
  readonly link: DemoLink
  /** Where the peer is; left out at the site that waits for it. */
  readonly address?: ServedSite['address']
}

function siteConfig(ca: CertificatePair, { own, peer, mlDsaCa, link, address }: Pairing): SiteConfig {
  const certificate = issueCertificate(ca, {
    commonName: own.kmeId,
    uriSans: [`urn:qkdkit:kme:${own.kmeId}`],
    ipAddresses: [LOOPBACK.host],
    usage: 'both',
    days: 1,
  })
  return {
    siteId: own.siteId,
    kmeId: own.kmeId,
    listen: LOOPBACK,
    peerListen: LOOPBACK,
    tls: tlsOf(ca, certificate),
    mlDsa: tlsOf(
      mlDsaCa,
      issueMlDsaCertificate(mlDsaCa, {
        commonName: own.siteId,
        uris: [`urn:qkdkit:site:${own.siteId}`],
        days: 1,
      }),
    ),
    saes: [{ saeId: own.saeId }],
    peers: [{ siteId: peer.siteId, kmeId: peer.kmeId, saes: [peer.saeId], ...address?.peer }],
    links: [
      {
        linkId: LINK_ID,
        peerSiteId: peer.siteId,
        ...link,
        role: address === undefined ? 'listen' : 'connect',
        ...(address?.links[LINK_ID] ?? LOOPBACK),
      },
    ],
    store: { kind: 'memory' },
    pool: { lifetimeMs: 60_000, targetBlocks: TARGET_BLOCKS, maxWaitMs: 2_000, shredMs: 60_000 },
    keys: { keySizeBits: 256, minKeySizeBits: 64, maxKeySizeBits: 4_096, maxKeyPerRequest: 128 },
  }
}

function hostKms(ca: CertificatePair, { saeId, kmeId }: DemoSite, site: ServedSite): Kms {
  const uriSans = [`urn:qkdkit:sae:${saeId}`]
  const certificate = issueCertificate(ca, { commonName: saeId, uriSans, usage: 'client', days: 1 })
  return createRemoteKms({ baseUrl: site.address.etsi014.url, saeId, ...tlsOf(ca, certificate), expectedKmeId: kmeId })
}

function tlsOf(ca: CertificatePair | MlDsaPair, { certificatePem: cert, privateKeyPem: key }: CertificatePair) {
  return { cert, key, ca: ca.certificatePem }
}
