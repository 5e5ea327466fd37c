import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { QkdError } from '../../lib/errors.ts'
import type { Key, Kms } from '../../lib/interface/kms.ts'
import { exportKey } from '../../lib/key/export-key.ts'
import { copySource } from '../mutation/run-mutants.ts'
import { KeySearch, type KeyTraces, scanFiles, scanMemory } from './memory-scan.ts'
import { type SiteProcesses, startSiteProcesses } from './site-process.ts'
import { createTempDir } from './temp-dir.ts'
import { until } from './until.ts'

const CALLERS = 8
/** A link whose key never crosses a wire: what a simulated one sends in clear would be found in buffers of its sockets. */
const link = { kind: 'bb84', psk: 'link.psk' }

/** What two sites still hold of the keys that they delivered, in memory and in files. */
export async function searchDelivered(keys: number): Promise<KeyTraces & { scannedBytes: number }> {
  await using sites = await startSiteProcesses({ link })
  const search = new KeySearch(await deliver(sites, { keys, keysPerCall: 1 }))
  let scannedBytes = await scanFiles(sites.directory, search)
  for (const { pid } of sites.processes) scannedBytes += await scanMemory(pid!, search)
  return { ...search.traces, scannedBytes }
}

/** How often it is looked whether strings of keys are left: a collection a moment before takes most of them. */
const LOOKS = 4

/**
 * The same in memory, of sites whose server writes keys by way of strings; they stay longer where one call brings many. Most of
 * some looks, each after so many keys of its own; none further where one has found a tenth of them.
 */
export async function searchDeliveredAsStrings(keys: number): Promise<KeyTraces> {
  await using copy = await createTempDir('qkdkit-strings-')
  await copySource(copy.path)
  const path = join(copy.path, 'lib/etsi014/key-container.ts')
  const source = await readFile(path, 'utf8')
  const careful = 'encodeBase64(bytes, body, at)'
  assert.equal(source.split(careful).length, 2, 'the place at which keys are written')
  await writeFile(path, source.replace(careful, "at + body.write(Buffer.from(bytes).toString('base64'), at)"))
  await using sites = await startSiteProcesses({ root: copy.path, link })
  let most: KeyTraces = { raw: 0, hex: 0, base64: 0 }
  for (let look = 0; look < LOOKS && most.base64 <= keys / 10; look++) {
    const search = new KeySearch(await deliver(sites, { keys, keysPerCall: 25 }))
    for (const { pid } of sites.processes) await scanMemory(pid!, search)
    if (search.traces.base64 > most.base64) most = search.traces
  }
  return most
}

/** Draws keys at one site and fetches them at the other; gives their bytes, which this process alone may hold. */
async function deliver(
  sites: SiteProcesses,
  { keys, keysPerCall }: { keys: number; keysPerCall: number },
): Promise<Uint8Array[]> {
  const [alice, bob] = [sites.kms('alice'), sites.kms('bob')]
  const bytes: Uint8Array[] = []
  let left = Math.ceil(keys / keysPerCall)
  const work = async () => {
    while (left-- > 0) {
      const drawn = await drawOnce(alice, keysPerCall)
      const fetched = await bob.getKeyWithIds(
        'alice',
        drawn.map(({ keyId }) => keyId),
      )
      assert.ok(fetched.every(({ secret }, at) => secret.equals(drawn[at]!.secret)))
      bytes.push(...drawn.map(({ secret }) => exportKey(secret)))
    }
  }
  await Promise.all(Array.from({ length: CALLERS }, work))
  return bytes
}

/** The link fills the pool more slowly than this draws from it. */
async function drawOnce(alice: Kms, number: number): Promise<Key[]> {
  let drawn: Key[] | undefined
  const draw = async () => {
    drawn = await alice.getKey('bob', { number }).catch((error: QkdError) => {
      if (error.code === 'ERR_QKD_POOL_EXHAUSTED') return undefined
      throw error
    })
    return drawn !== undefined
  }
  await until(draw, 'the pool is filled', { timeoutMs: 60_000 })
  return drawn!
}
