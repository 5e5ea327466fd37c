import { chmod, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { peerProgram } from '../../../helpers/peer-program.ts'
import { createTempDir } from '../../../helpers/temp-dir.ts'
import { findFreePort, PeerProcess } from '../peer-process.ts'
import type { ForeignKey } from './foreign-key.ts'

/** A broker of Debian's mosquitto on loopback. */
export interface Broker extends AsyncDisposable {
  readonly port: number
  /** Resolves when a client has subscribed. */
  subscribed(): Promise<unknown>
}

/** Starts a broker: plain, or with `key` as the only one that its TLS listener takes. */
export async function startBroker(
  test: { skip(): never },
  key?: Pick<ForeignKey, 'identity' | 'hex'>,
): Promise<Broker> {
  const mosquitto = peerProgram(test, 'mosquitto', 'mosquitto')
  const dir = await createTempDir()
  const port = await findFreePort()
  const [config, keys] = [join(dir.path, 'mosquitto.conf'), join(dir.path, 'psk')]
  const psk = [
    'psk_hint qkd',
    `psk_file ${keys}`,
    'use_identity_as_username true',
    // Without it OpenSSL may choose a suite with SHA-384, in which no external key of this kind is taken.
    'ciphers_tls1.3 TLS_CHACHA20_POLY1305_SHA256',
  ]
  const lines = [`listener ${port} 127.0.0.1`, 'allow_anonymous true', ...(key === undefined ? [] : psk)]
  await writeFile(config, [...lines, ''].join('\n'))
  if (key !== undefined) await writeFile(keys, `${key.identity}:${key.hex}\n`)
  // Started by root, it becomes a user of its own before it reads its files.
  await chmod(dir.path, 0o755)
  const program = new PeerProcess(mosquitto, ['-v', '-c', config])
  await program.printed(/mosquitto version .* running/)
  return {
    port,
    subscribed: () => program.printed(/Sending SUBACK/),
    [Symbol.asyncDispose]: async () => {
      await program[Symbol.asyncDispose]()
      await dir[Symbol.asyncDispose]()
    },
  }
}

/** `mosquitto_sub`; what it receives it prints. */
export function subscribe(
  test: { skip(): never },
  { port, topic, args = [] }: { port: number; topic: string; args?: readonly string[] },
): PeerProcess {
  const program = peerProgram(test, 'mosquitto_sub', 'mosquitto-clients')
  return new PeerProcess(program, ['-h', '127.0.0.1', '-p', String(port), '-t', topic, '-q', '1', ...args])
}

/** Publishes one message with `mosquitto_pub`; resolves when the broker has acknowledged it. */
export async function publish(
  test: { skip(): never },
  { port, topic, message, args = [] }: { port: number; topic: string; message: string; args?: readonly string[] },
): Promise<void> {
  const program = peerProgram(test, 'mosquitto_pub', 'mosquitto-clients')
  const common = ['-h', '127.0.0.1', '-p', String(port), '-t', topic, '-m', message, '-q', '1']
  await using publisher = new PeerProcess(program, [...common, ...args])
  await publisher.exited()
}
