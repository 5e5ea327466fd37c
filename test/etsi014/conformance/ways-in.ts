import { createHttpsServer } from '../../../lib/http/https-server.ts'
import { createHttpsTransport } from '../../../lib/http/https-transport.ts'
import { createInProcessTransport } from '../../../lib/http/in-process-transport.ts'
import type { HttpHandler, HttpTransport } from '../../../lib/interface/http.ts'
import { createTestAuthority, type TestCredentials } from '../../helpers/test-certificates.ts'
import { identityOf } from '../wires.ts'

/** The server end of a handler, and the way to it for each SAE. */
export interface ServedHandler extends AsyncDisposable {
  /** `https://…`; undefined in process. */
  readonly url: string | undefined
  /** The transport of a host, by the name in its certificate; one for each name. */
  transportOf(saeId: string): HttpTransport
}

/** A transport that the checklist runs over. */
export interface WayIn {
  readonly name: 'in process' | 'mTLS'
  /** Puts a handler behind the transport, as the KME of that ID. */
  serve(handler: HttpHandler, kmeId: string): Promise<ServedHandler>
}

/** The certificates of the checklist's hosts and KMEs. */
export const authority = createTestAuthority('Checklist CA')

const issued = new Map<string, TestCredentials>()

/** Certificate of a host or KME; the same for the same name. */
export function credentialsOf(name: string): TestCredentials {
  const known = issued.get(name) ?? authority.issue(name)
  issued.set(name, known)
  return known
}

const inProcess: WayIn = {
  name: 'in process',
  serve: async handler => {
    const open = new Map<string, HttpTransport>()
    return {
      url: undefined,
      transportOf: saeId => {
        const transport = open.get(saeId) ?? createInProcessTransport(handler, { identity: identityOf(saeId) })
        open.set(saeId, transport)
        return transport
      },
      [Symbol.asyncDispose]: () => closeAll(open),
    }
  },
}

const mutualTls: WayIn = {
  name: 'mTLS',
  serve: async (handler, kmeId) => {
    const server = createHttpsServer({ ...credentialsOf(kmeId), handler })
    await server.listen()
    const open = new Map<string, HttpTransport>()
    return {
      url: server.url,
      transportOf: saeId => {
        const options = { baseUrl: server.url, expectedKmeId: kmeId, maxConnections: 50 }
        const transport = open.get(saeId) ?? createHttpsTransport({ ...options, ...credentialsOf(saeId) })
        open.set(saeId, transport)
        return transport
      },
      [Symbol.asyncDispose]: async () => {
        await closeAll(open)
        await server.close()
      },
    }
  },
}

/** Both transports: the handler called in this process, and over mutual TLS on loopback. */
export const waysIn: readonly WayIn[] = [inProcess, mutualTls]

async function closeAll(open: ReadonlyMap<string, HttpTransport>): Promise<void> {
  await Promise.all([...open.values()].map(transport => transport.close()))
}
