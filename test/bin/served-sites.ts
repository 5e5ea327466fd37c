import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { initPki, type PkiRequest } from '../../bin/pki-directory.ts'
import { createRemoteKms } from '../../lib/client/remote-kms.ts'
import { loadSaeProfile } from '../../lib/config.ts'
import type { Kms } from '../../lib/interface/kms.ts'
import { createTempDir } from '../helpers/temp-dir.ts'
import { firstLine, startQkd } from './run-qkd.ts'

const EXAMPLES = fileURLToPath(new URL('../../examples/', import.meta.url))

/** What `qkd site serve --json` says when it serves. */
export interface ReadyLine {
  readonly ready: true
  readonly siteId: string
  readonly kmeId: string
  readonly pid: number
  readonly address: {
    readonly etsi014: { readonly host: string; readonly port: number; readonly url: string }
    readonly peer: { readonly host: string; readonly port: number }
    readonly links: Readonly<Record<string, { readonly host: string; readonly port: number }>>
  }
}

/** One site of examples/, served by a process of its own. */
export interface ServedProcess {
  readonly child: ChildProcess
  readonly ready: ReadyLine
  readonly config: string
}

/** The two sites of examples/ as real processes on free ports, with certificates as `qkd pki init` makes them. */
export interface ServedSites {
  readonly dir: string
  readonly a: ServedProcess
  readonly b: ServedProcess
  /** Path of a host's profile: `alice` at site A; `bob`, and `carol` whom only site B's authority knows, at site B. */
  profile(saeId: string): string
  /** The KMS as that host sees it, in this process. */
  kmsFor(saeId: string): Promise<Kms>
  close(): Promise<void>
}

const SITE_OF: Readonly<Record<string, string>> = { alice: 'site-a', bob: 'site-b', carol: 'site-b', mallory: 'site-b' }

/** Starts both sites and waits until Alice's pool has key. */
export async function openServedSites(): Promise<ServedSites> {
  const dir = await createTempDir()
  const children: ChildProcess[] = []
  const profile = (saeId: string) => join(dir.path, 'pki', SITE_OF[saeId]!, `sae-${saeId}.json`)
  const close = async () => {
    await Promise.all(children.map(stop))
    await dir[Symbol.asyncDispose]()
  }
  try {
    // The certificates come first: the sites need them; the profiles are written anew when the ports are known.
    await initPki(request(dir.path, 'a', ['alice'], 'https://127.0.0.1:1'))
    await initPki(request(dir.path, 'b', ['bob', 'carol', 'mallory'], 'https://127.0.0.1:1'))
    const serve = async (name: 'a' | 'b', edit: (file: SiteFile) => void): Promise<ServedProcess> => {
      const config = join(dir.path, `site-${name}.json`)
      const file = JSON.parse(await readFile(join(EXAMPLES, `site-${name}.json`), 'utf8')) as SiteFile
      // Keys so large that one request can ask for more than the link yields while it waits.
      Object.assign(file, { pool: { maxWaitMs: 500 }, keys: { maxKeySizeBits: 31_744 } })
      edit(file)
      await writeFile(config, JSON.stringify(file))
      const child = startQkd(['site', 'serve', '--config', config, '--json'])
      children.push(child)
      return { child, config, ready: JSON.parse(await firstLine(child)) as ReadyLine }
    }
    const b = await serve('b', file => {
      file.listen.port = file.peerListen.port = file.links[0]!.port = 0
      file.saes.push({ saeId: 'carol' })
    })
    const a = await serve('a', file => {
      file.listen.port = file.peerListen.port = 0
      Object.assign(file.peers[0]!, b.ready.address.peer, { saes: ['bob', 'carol'] })
      Object.assign(file.links[0]!, b.ready.address.links['a-b'])
    })
    await pointProfiles(['alice'], a)
    await pointProfiles(['bob', 'carol', 'mallory'], b)
    const kmsFor = async (saeId: string) => {
      const { kme, tls } = (await loadSaeProfile(profile(saeId))).profile
      return createRemoteKms({ baseUrl: kme, saeId, ...tls })
    }
    await waitForKey(await kmsFor('alice'))
    return { dir: dir.path, a, b, profile, kmsFor, close }
  } catch (error) {
    await close()
    throw error
  }

  async function pointProfiles(saeIds: readonly string[], { ready }: ServedProcess): Promise<void> {
    for (const saeId of saeIds) {
      const fields = JSON.parse(await readFile(profile(saeId), 'utf8')) as object
      await writeFile(profile(saeId), JSON.stringify({ ...fields, kme: ready.address.etsi014.url }))
    }
  }
}

interface SiteFile {
  readonly listen: { port: number }
  readonly peerListen: { port: number }
  readonly saes: { saeId: string }[]
  readonly peers: object[]
  readonly links: { port: number }[]
}

function request(dir: string, name: string, saeIds: readonly string[], kmeUrl: string): PkiRequest {
  const hosts = { dnsNames: [], ipAddresses: [] }
  return {
    dir: join(dir, 'pki'),
    siteId: `site-${name}`,
    kmeId: `kme-${name}`,
    saeIds,
    hosts,
    kmeUrl,
    days: 30,
    force: false,
  }
}

/** Ends a process politely, and by force where that is of no use. */
export async function stop(child: ChildProcess): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return child.exitCode
  const closed = once(child, 'exit') as Promise<[number | null]>
  const timer = setTimeout(() => child.kill('SIGKILL'), 15_000)
  child.kill('SIGTERM')
  const [exitCode] = await closed
  clearTimeout(timer)
  return exitCode
}

async function waitForKey(kms: Kms): Promise<void> {
  await using _ = kms
  for (let tries = 0; tries < 200; tries += 1) {
    if ((await kms.getStatus('bob')).storedKeyCount > 0) return
    await delay(50)
  }
  throw new Error('No key at site A within 10 seconds')
}
