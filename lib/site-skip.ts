import type { SiteConfig } from './config/site-config.ts'
import type { SkipConfig } from './config/skip-config.ts'
import { saeIdentifier } from './etsi014/sae-identity.ts'
import { createHttpsServer, type HttpsServer } from './http/https-server.ts'
import type { HttpRequest } from './interface/http.ts'
import type { KmsDirectory } from './interface/kms.ts'
import type { Logger } from './interface/logger.ts'
import { createSkipHandler } from './skip/handler.ts'
import { SkipSystems } from './skip/systems.ts'

/** The server of a site's encryptors: Cisco's SKIP in front of the same KMS as ETSI 014. */
export function createSkipServer(
  config: SiteConfig,
  skip: SkipConfig,
  { directory, logger }: { directory: KmsDirectory; logger: Logger | undefined },
): HttpsServer {
  const { saes, peers, tls, etsi014 } = config
  const byCertificate = saeIdentifier(saes, etsi014?.saeIdentity)
  const byPsk = new Map(skip.psks.map(({ identity, saeId }) => [identity, saeId]))
  const identify = (request: HttpRequest) => {
    const saeId = request.pskIdentity === undefined ? undefined : byPsk.get(request.pskIdentity)
    return saeId ?? byCertificate(request)
  }
  const systems = new SkipSystems({ systems: skip.systems, remoteSaeIds: peers.flatMap(peer => peer.saes) })
  const log = logger === undefined ? {} : { logger }
  const handler = createSkipHandler({ directory, identify, systems, ...log })
  return createHttpsServer({ ...tls, ...skip.listen, psk: skip.psks, handler, bodyLimitBytes: 1_024, ...log })
}
