import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { type AddressInfo, connect as connectTcp, createServer } from 'node:net'
import { join } from 'node:path'
import type { ConnectOptions, PskServerOptions } from '../../../../integrations/tls/index.ts'
import { peerProgram } from '../../../helpers/peer-program.ts'
import { createTempDir } from '../../../helpers/temp-dir.ts'
import { findFreePort, PeerProcess } from '../peer-process.ts'
import type { ForeignKey } from './foreign-key.ts'
import type { InteropName } from './interop-table.ts'

type Test = { skip(): never }
type Key = Pick<ForeignKey, 'identity' | 'hex'>

/** A client of another's make that has connected, or tried to. */
export interface ForeignClient extends AsyncDisposable {
  say(line: string): void
  /** Resolves when it has printed or received a match. */
  heard(pattern: RegExp): Promise<unknown>
}

/** A server of another's make; it sends back each line that is the same read backwards. */
export interface ForeignServer extends AsyncDisposable {
  readonly port: number
}

/** How to run a peer in both roles, and what our end is told of it. */
export interface ForeignPeer {
  readonly ours: Pick<PskServerOptions & ConnectOptions, 'minVersion'>
  client(test: Test, key: Key, port: number): Promise<ForeignClient>
  server(test: Test, key: Key): Promise<ForeignServer>
}

export const foreignPeers: Readonly<Record<Exclude<InteropName, `mosquitto${string}`>, ForeignPeer>> = {
  openssl13: openssl(['-tls1_3']),
  openssl12: { ...openssl(['-tls1_2']), ours: { minVersion: 'TLSv1.2' } },
  sha384Only: openssl(['-tls1_3', '-ciphersuites', 'TLS_AES_256_GCM_SHA384']),
  // Without -KX-ALL gnutls would go on with a certificate.
  gnutls13: gnutls('NORMAL:-VERS-ALL:+VERS-TLS1.3:-KX-ALL:+ECDHE-PSK'),
  pskKeOnly: gnutls('NORMAL:-VERS-ALL:+VERS-TLS1.3:-KX-ALL:+PSK'),
  stunnel13: stunnel(['sslVersion = TLSv1.3']),
  stunnel12: {
    ...stunnel(['sslVersion = TLSv1.2', 'ciphers = ECDHE-PSK-CHACHA20-POLY1305']),
    ours: { minVersion: 'TLSv1.2' },
  },
}

function openssl(args: readonly string[]): ForeignPeer {
  const program = (test: Test) => peerProgram(test, 'openssl', 'openssl')
  const psk = ({ identity, hex }: Key) => ['-psk_identity', identity, '-psk', hex]
  return {
    ours: {},
    client: async (test, key, port) =>
      talking(new PeerProcess(program(test), ['s_client', '-connect', `127.0.0.1:${port}`, ...args, ...psk(key)])),
    server: async (test, key) => {
      const common = ['s_server', '-accept', '127.0.0.1:0', '-nocert', '-rev']
      const server = new PeerProcess(program(test), [...common, ...args, ...psk(key)])
      const [, port] = await server.printed(/ACCEPT 127\.0\.0\.1:(\d+)/)
      return { port: Number(port), [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() }
    },
  }
}

function gnutls(priority: string): ForeignPeer {
  return {
    ours: {},
    client: async (test, { identity, hex }, port) =>
      talking(
        new PeerProcess(peerProgram(test, 'gnutls-cli', 'gnutls-bin'), [
          ...['--port', String(port), '--priority', priority],
          ...['--pskusername', identity, '--pskkey', hex, '127.0.0.1'],
        ]),
      ),
    server: async (test, { identity, hex }) => {
      const program = peerProgram(test, 'gnutls-serv', 'gnutls-bin')
      const dir = await createTempDir()
      const passwords = join(dir.path, 'psk')
      await writeFile(passwords, `${identity}:${hex}\n`, { mode: 0o600 })
      const port = await findFreePort()
      const args = ['--port', String(port), '--echo', '--priority', priority, '--pskpasswd', passwords]
      const server = new PeerProcess(program, args)
      await server.printed(/listening on IPv4 .*done/)
      return { port, [Symbol.asyncDispose]: () => disposeAll(server, dir) }
    },
  }
}

function stunnel(settings: readonly string[]): ForeignPeer {
  async function start(test: Test, { identity, hex }: Key, lines: readonly string[]) {
    const program = peerProgram(test, 'stunnel', 'stunnel4')
    const dir = await createTempDir()
    const [secrets, config] = [join(dir.path, 'secrets'), join(dir.path, 'stunnel.conf')]
    await writeFile(secrets, `${identity}:${hex}\n`, { mode: 0o600 })
    const head = ['foreground = yes', 'pid =', 'debug = notice', '[psk]', `PSKsecrets = ${secrets}`]
    await writeFile(config, [...head, ...settings, ...lines, ''].join('\n'))
    const stunnel = new PeerProcess(program, [config])
    await stunnel.printed(/Configuration successful/)
    return { [Symbol.asyncDispose]: () => disposeAll(stunnel, dir) }
  }
  return {
    ours: {},
    client: async (test, key, port) => {
      const accept = await findFreePort()
      const lines = ['client = yes', `PSKidentity = ${key.identity}`, `accept = 127.0.0.1:${accept}`]
      const program = await start(test, key, [...lines, `connect = 127.0.0.1:${port}`])
      const local = connectTcp({ port: accept, host: '127.0.0.1' })
      let text = ''
      local.on('data', chunk => (text += chunk)).on('error', () => {})
      return {
        say: line => void local.write(line),
        heard: async pattern => {
          while (!pattern.test(text)) await once(local, 'data', { signal: AbortSignal.timeout(10_000) })
        },
        [Symbol.asyncDispose]: async () => {
          local.destroy()
          await program[Symbol.asyncDispose]()
        },
      }
    },
    server: async (test, key) => {
      const echo = createServer(socket => socket.on('error', () => {}).pipe(socket)).listen(0, '127.0.0.1')
      await once(echo, 'listening')
      const port = await findFreePort()
      const target = (echo.address() as AddressInfo).port
      const program = await start(test, key, [`accept = 127.0.0.1:${port}`, `connect = 127.0.0.1:${target}`])
      return {
        port,
        [Symbol.asyncDispose]: async () => {
          await program[Symbol.asyncDispose]()
          echo.close()
        },
      }
    },
  }
}

function talking(program: PeerProcess): ForeignClient {
  return {
    say: line => program.write(line),
    heard: pattern => program.printed(pattern),
    [Symbol.asyncDispose]: () => program[Symbol.asyncDispose](),
  }
}

async function disposeAll(...things: readonly AsyncDisposable[]): Promise<void> {
  for (const thing of things) await thing[Symbol.asyncDispose]()
}
