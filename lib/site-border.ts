import type { BorderConfig, DomainConfig } from './config/border-config.ts'
import type { SiteConfig } from './config/site-config.ts'
import { UnauthorizedError } from './errors.ts'
import { Etsi020Client } from './etsi020/client.ts'
import { createEtsi020Handler, type Etsi020Partner } from './etsi020/handler.ts'
import { PATHS } from './etsi020/models.ts'
import { createHttpsServer, type HttpsServer } from './http/https-server.ts'
import { createHttpsTransport, type HttpsTransport } from './http/https-transport.ts'
import { isKmeCertificate } from './http/kme-identity.ts'
import type { AbroadReceiver } from './interface/abroad.ts'
import type { HttpRequest } from './interface/http.ts'
import type { Closable } from './interface/lifecycle.ts'
import type { Logger } from './interface/logger.ts'
import type { NeighbourDomain } from './kms/abroad/neighbour.ts'
import type { ListenAddress } from './util/listen.ts'

const BODY_LIMIT_BYTES = 1024 * 1024

interface Domain {
  readonly config: DomainConfig
  readonly client: Etsi020Client
  readonly transport: HttpsTransport
}

/** The border of a site: clients of the other domains' KMEs, and the server that they call. */
export class SiteBorder implements Closable {
  readonly #border: BorderConfig
  readonly #tls: SiteConfig['tls']
  readonly #logger: Logger | undefined
  readonly #domains: readonly Domain[]
  #server: HttpsServer | undefined

  constructor(config: SiteConfig, border: BorderConfig, { logger }: { logger: Logger | undefined }) {
    this.#border = border
    this.#tls = border.tls ?? config.tls
    this.#logger = logger
    const ackUrl = () => (border.mode === 'synchronous' ? undefined : this.#url() + PATHS.ack)
    this.#domains = border.domains.map(domain => {
      const { kmeId, url } = domain
      const transport = createHttpsTransport({
        ...this.#tls,
        baseUrl: url,
        expectedKmeId: kmeId,
        minVersion: 'TLSv1.3',
      })
      return { config: domain, transport, client: new Etsi020Client({ kmeId, transport, ackUrl }) }
    })
  }

  /** The other domains, as the KMS knows them. */
  get neighbours(): readonly NeighbourDomain[] {
    return this.#domains.map(({ client, config: { saes, level } }) => ({ kme: client, saeIds: saes, level }))
  }

  /** Serves the other domains' KMEs: their keys go to `receiver`. */
  async listen(receiver: AbroadReceiver): Promise<ListenAddress & { readonly url: string }> {
    const partners = this.#domains.map(({ client, config: { saes, url } }): Etsi020Partner => {
      return { client, saeIds: saes, origin: new URL(url).origin }
    })
    const identify = ({ identity }: HttpRequest) => {
      const partner = identity && partners.find(({ client }) => isKmeCertificate(identity, client.kmeId))
      if (partner !== undefined) return partner
      throw new UnauthorizedError('The certificate is not that of a KME with which this site shares a border')
    }
    const log = this.#logger === undefined ? {} : { logger: this.#logger }
    const handler = createEtsi020Handler({ identify, receiver, ...log })
    this.#server = createHttpsServer({
      ...this.#tls,
      ...this.#border.listen,
      handler,
      minVersion: 'TLSv1.3',
      bodyLimitBytes: BODY_LIMIT_BYTES,
      ...log,
    })
    return { ...(await this.#server.listen()), url: this.#server.url }
  }

  async close(): Promise<void> {
    await this.#server?.close()
    await Promise.all(this.#domains.map(({ transport }) => transport.close()))
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #url(): string {
    return this.#border.url?.replace(/\/+$/, '') ?? this.#server!.url
  }
}
