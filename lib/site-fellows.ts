import { dialTlsChannel } from './channel/tls-dial.ts'
import { createTlsChannelListener, type TlsChannelListener } from './channel/tls-listener.ts'
import type { ListenConfig, SiteConfig } from './config/site-config.ts'
import { isKmeCertificate } from './http/kme-identity.ts'
import type { CertificateIdentity } from './interface/http.ts'
import type { Logger } from './interface/logger.ts'
import type { MessageChannel } from './interface/message-channel.ts'
import { OwnedDirectory } from './kms/owner/owned-directory.ts'

/** How often the two ends of a channel between replicas let hear of themselves, in milliseconds. */
const HEARTBEAT_MS = 1_000

type Fellow = Pick<SiteConfig, 'siteId' | 'kmeId' | 'tls' | 'saes'>

/** Where the other replicas of a site bring what their hosts ask. They have its KME ID in their certificates. */
export function fellowListener(
  { kmeId, tls }: Fellow,
  { host, port }: ListenConfig,
  onChannel: (channel: MessageChannel) => void,
): TlsChannelListener {
  return createTlsChannelListener({
    ...tls,
    host,
    port,
    heartbeatMs: HEARTBEAT_MS,
    identify: identityOf(kmeId),
    onChannel,
  })
}

/** The site's KMS at the replica that owns the pools, `address` as host:port. */
export function ownerElsewhere({ siteId, kmeId, tls, saes }: Fellow, address: string, logger: Logger): OwnedDirectory {
  const registered = new Set(saes.map(({ saeId }) => saeId))
  const at = address.lastIndexOf(':')
  const place = { host: address.slice(0, at), port: Number(address.slice(at + 1)) }
  const identify = identityOf(kmeId)
  return new OwnedDirectory({
    siteId,
    isRegistered: saeId => registered.has(saeId),
    dial: ({ signal }) =>
      dialTlsChannel({ ...tls, ...place, expectedPeerId: kmeId, identify, heartbeatMs: HEARTBEAT_MS, signal }),
    logger,
  })
}

function identityOf(kmeId: string): (identity: CertificateIdentity) => string | undefined {
  return identity => (isKmeCertificate(identity, kmeId) ? kmeId : undefined)
}
