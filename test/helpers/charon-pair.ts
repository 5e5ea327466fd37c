import { existsSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { CharonNode, type CharonSettings, charonPath } from './charon/charon-node.ts'
import { createNamespacePair } from './charon/namespace-pair.ts'
import { PingRun } from './charon/ping-run.ts'
import { peerProgram, withoutPeer } from './peer-program.ts'
import { createTempDir } from './temp-dir.ts'

export type { CharonNode, CharonSettings } from './charon/charon-node.ts'
export type { ObservedChild, ObservedSa } from './charon/observed-sas.ts'
export type { PingReport, PingRun } from './charon/ping-run.ts'

/**
 * Two real charons, each in a network namespace of its own, joined by a cable; ESP is real (kernel-libipsec) and goes
 * between 10.1.0.1 behind `a` (192.0.2.1) and 10.2.0.1 behind `b` (192.0.2.2).
 */
export interface CharonPair extends AsyncDisposable {
  readonly a: CharonNode
  readonly b: CharonNode
  /** Holds a directory for each node, with everything that charon reads and writes. */
  readonly directory: string
  /** Pings through the tunnel, from `a` to `b`; resolves at the first answer. */
  ping(options?: { intervalMs?: number }): Promise<PingRun>
}

/** Skips the test, or fails it in CI, where two charons can't run; says what is missing. */
export function requireCharon(test: { skip(): never }, { childless = false }: { childless?: boolean } = {}): void {
  peerProgram(test, 'ip', 'iproute2')
  peerProgram(test, 'swanctl', 'strongswan-swanctl')
  peerProgram(test, 'unshare', 'util-linux')
  if (!childless) peerProgram(test, 'fping', 'fping')
  if (charonPath === undefined) withoutPeer(test, 'charon is not installed (Debian package strongswan-charon)')
  if (process.getuid?.() !== 0) withoutPeer(test, 'network namespaces need root')
  if (!childless && !existsSync('/dev/net/tun')) withoutPeer(test, 'ESP in user space needs /dev/net/tun')
}

/** Starts both charons, with nothing configured. */
export async function createCharonPair(settings: CharonSettings = {}): Promise<CharonPair> {
  const directory = await createTempDir('qkdkit-charon-')
  const opened: AsyncDisposable[] = [directory]
  const close = async () => {
    for (const part of opened.reverse()) await part[Symbol.asyncDispose]()
    opened.length = 0
  }
  try {
    const namespaces = await createNamespacePair()
    opened.push(namespaces)
    const node = async (name: 'a' | 'b') => {
      const folder = join(directory.path, name)
      await mkdir(folder)
      const charon = new CharonNode(namespaces[name], folder, settings)
      opened.push(charon)
      await charon.start()
      return charon
    }
    const [a, b] = [await node('a'), await node('b')]
    const ping = async (options?: { intervalMs?: number }) => {
      const running = await PingRun.start(a.namespace, b.namespace, options)
      opened.push(running)
      return running
    }
    return { a, b, directory: directory.path, ping, [Symbol.asyncDispose]: close }
  } catch (error) {
    await close()
    throw error
  }
}
