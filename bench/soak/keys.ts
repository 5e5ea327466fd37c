import { createHash, randomInt } from 'node:crypto'
import { createLocalPair, exportKey, type Key, type Kms, QkdError } from '../../lib/index.ts'
import type { SoakOptions } from '../soak.ts'

/** Requests under way at once, over both directions. */
const CONCURRENCY = 16
/** Of 100 keys issued, so many are never fetched: handshakes that were lost. */
const LOST_PERCENT = 20

/** One direction: who asks, who fetches, and a neighbour of the latter who must not get the key. */
interface Direction {
  readonly master: Kms
  readonly slave: Kms
  readonly neighbour: Kms
}

/**
 * Keys issued and fetched in both directions at once, in random sizes and numbers, with handshakes lost, IDs presented
 * twice and by others. Looks for a key_ID or key that comes twice, for two ends with different keys, and for a key that
 * somebody gets to whom it was not issued.
 */
export async function run({ count = 20_000, log }: SoakOptions): Promise<void> {
  const sites = await createLocalPair({
    sites: [
      { siteId: 'site-a', saeIds: ['alice', 'anna'] },
      { siteId: 'site-b', saeIds: ['bob', 'bert'] },
    ],
    rateBps: 1_000_000_000,
  })
  const [alice, anna, bob, bert] = ['alice', 'anna', 'bob', 'bert'].map((saeId, at) =>
    sites[at < 2 ? 0 : 1].kmsFor(saeId),
  ) as [Kms, Kms, Kms, Kms]
  const directions: Direction[] = [
    { master: alice, slave: bob, neighbour: bert },
    { master: bob, slave: alice, neighbour: anna },
  ]
  const seen = new Set<string>()
  let done = 0
  const worker = async () => {
    while (done < count) {
      done += 1
      if (done % 5_000 === 0) log(`${done} of ${count} rounds, ${seen.size / 2} keys`)
      await round(directions[randomInt(2)]!, seen)
    }
  }
  try {
    await Promise.all(Array.from({ length: CONCURRENCY }, worker))
  } finally {
    await Promise.all(sites.map(site => site.close()))
  }
  log(`${count} rounds, ${seen.size / 2} keys, each given to one pair and to nobody else`)
}

async function round({ master, slave, neighbour }: Direction, seen: Set<string>): Promise<void> {
  const keys = await master.getKey(slave.saeId, { number: randomInt(1, 5), sizeBits: 8 * randomInt(16, 257) })
  for (const key of keys) {
    // A key of 128 bits or more that comes twice is no accident.
    for (const trace of [key.keyId, digest(key)]) {
      if (seen.has(trace)) throw new Error(`${trace} came twice`)
      seen.add(trace)
    }
  }
  for (const key of keys) {
    if (randomInt(100) >= LOST_PERCENT) await fetch({ master, slave, neighbour }, key)
    key.secret.wipe()
  }
}

async function fetch({ master, slave, neighbour }: Direction, key: Key): Promise<void> {
  await refused('ERR_QKD_UNAUTHORIZED', () => neighbour.getKeyWithIds(master.saeId, [key.keyId]))
  const [fetched] = await slave.getKeyWithIds(master.saeId, [key.keyId])
  if (fetched === undefined || !fetched.secret.equals(key.secret)) throw new Error(`The ends differ in ${key.keyId}`)
  fetched.secret.wipe()
  await refused('ERR_QKD_KEY_NOT_FOUND', () => slave.getKeyWithIds(master.saeId, [key.keyId]))
}

async function refused(code: string, call: () => Promise<unknown>): Promise<void> {
  const outcome = await call().catch((error: unknown) => error)
  if (!(outcome instanceof QkdError) || outcome.code !== code) {
    throw new Error(`Expected ${code}`, { cause: outcome instanceof Error ? outcome : undefined })
  }
}

function digest({ secret }: Key): string {
  const bytes = exportKey(secret)
  try {
    return createHash('sha256').update(bytes).digest('base64')
  } finally {
    bytes.fill(0)
  }
}
