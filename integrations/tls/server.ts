import type { Duplex } from 'node:stream'
import { createServer as createTlsServer, type Server, type TLSSocket, type TlsOptions } from 'node:tls'
import { InvalidArgumentError, type Kms } from '../../lib/index.ts'
import { admitted, pskCallback } from './admitted-connection.ts'
import { Gate } from './gate.ts'
import { forbidOptions, type GateOptions, serverOptions } from './options.ts'

/** Options that would undo what this module promises. */
const FORCED = [
  'pskCallback',
  'pskIdentityHint',
  'ciphers',
  'maxVersion',
  'secureProtocol',
  // deadlineMs says it.
  'handshakeTimeout',
] as const

/** Options of `createServer`: those of the gate, and of node:tls all that is not forced. */
export interface PskServerOptions extends GateOptions, Omit<TlsOptions, (typeof FORCED)[number] | 'minVersion'> {}

const attached = new WeakSet<Server>()

/**
 * A TLS server each of whose sessions stands on a key of its own, which the KMS gave to the client and to us. Needs no
 * certificate. `connectionListener` gets sessions that are proven; `qkdInfo(socket)` says what they stand on.
 * @throws {InvalidArgumentError} an option is wrong, or an SAE ID can't stand in a TLS identity
 */
export function createServer(
  kms: Kms,
  options: PskServerOptions,
  connectionListener?: (socket: TLSSocket) => void,
): Server {
  forbidOptions(options, FORCED, 'the pre-shared key needs its own value')
  if (options.requireGroup !== undefined) forbidOptions(options, ['ecdhCurve'], 'requireGroup says it')
  const server = createTlsServer({ ...options, ...serverOptions(options) })
  attach(server, kms, options)
  if (connectionListener !== undefined) server.on('secureConnection', connectionListener)
  return server
}

/**
 * Puts an existing TLS, HTTPS or HTTP/2 server, made with `serverOptions()`, under keys of the KMS. From then on its
 * `connection` event tells of a socket when its key is at hand, and `secureConnection` of a session when it is proven. A
 * connection that is refused shows as `tlsClientError` with a `HandshakeRefusal`, once it has closed.
 * @throws {InvalidArgumentError} the server was made without `serverOptions()`, or is attached already
 */
export function attach(server: Server, kms: Kms, options: GateOptions): void {
  const gate = new Gate(kms, options)
  requireServerOptions(server, options)
  if (attached.has(server)) throw new InvalidArgumentError('The server is attached to a KMS already')
  attached.add(server)
  const emit = server.emit.bind(server) as (event: string | symbol, ...args: unknown[]) => boolean

  function onConnection(raw: Duplex): void {
    gate.receive(raw, {
      onAdmitted: (connection, stream) => admitted.run(connection, () => emit('connection', stream)),
      onRefused: refusal => emit('tlsClientError', refusal, raw),
    })
  }

  function onSecureConnection(socket: TLSSocket): boolean {
    try {
      gate.confirm(admitted.getStore(), socket)
    } catch (error) {
      socket.destroy()
      return emit('tlsClientError', error, socket)
    }
    // The application's own work does not run in the scope of the handshake.
    return admitted.run(undefined, () => emit('secureConnection', socket))
  }

  // On the instance and for these three events alone: a listener, whenever it is added, hears of no connection that has not
  // come through the gate. Nothing in node:tls offers a place between accept and handshake.
  server.emit = (event: string | symbol, ...args: unknown[]): boolean => {
    if (event === 'secureConnection') return onSecureConnection(args[0] as TLSSocket)
    if (event === 'tlsClientError') return emit(event, gate.refusalOf(admitted.getStore(), args[0]), ...args.slice(1))
    if (event !== 'connection') return emit(event, ...args)
    onConnection(args[0] as Duplex)
    return true
  }
  server.on('close', () => gate.clear())
}

/** Node keeps a server's options under properties of its own; what can't be found there was not given. */
function requireServerOptions(server: Server, options: GateOptions): void {
  const has = Reflect.ownKeys(server).some(key => Reflect.get(server, key) === pskCallback)
  if (!has) {
    throw new InvalidArgumentError(
      'The server has not our pskCallback, and it can be set only when a server is made: create it with { ..., ...serverOptions(options) }',
    )
  }
  const { ciphers, minVersion, ecdhCurve, secureOptions } = serverOptions(options)
  const wanted = { ciphers, minVersion, maxVersion: undefined, ...(ecdhCurve === undefined ? {} : { ecdhCurve }) }
  for (const [name, value] of Object.entries(wanted)) {
    if (Reflect.get(server, name) !== value) {
      throw new InvalidArgumentError(`The server's ${name} is not ${value}: spread serverOptions(options) in last`)
    }
  }
  if (((Reflect.get(server, 'secureOptions') ?? 0) & secureOptions) !== secureOptions) {
    throw new InvalidArgumentError("The server's secureOptions give out tickets: spread serverOptions(options) in last")
  }
}
