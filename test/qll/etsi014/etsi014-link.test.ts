import { expect } from 'chai'
import { createRemoteKms } from '../../../lib/client/remote-kms.ts'
import type { Kms } from '../../../lib/interface/kms.ts'
import type { Link } from '../../../lib/interface/link.ts'
import type { TelemetryEvent } from '../../../lib/interface/telemetry.ts'
import { exportKey } from '../../../lib/key/export-key.ts'
import { createEtsi014Pair } from '../../../lib/qll/etsi014/etsi014-link.ts'
import { TelemetryHub } from '../../../lib/telemetry.ts'
import { statusOf } from '../../compliance/link-status.ts'
import type { HeldKey } from '../../helpers/kme-zoo/key-ring.ts'
import { draw, entryOf, keyIdsOf, lookUp, refuse, standardKme, take } from '../../helpers/kme-zoo/standard.ts'
import { createZooKme, type ZooBehaviour, type ZooKme } from '../../helpers/kme-zoo/zoo-kme.ts'
import { createTestAuthority } from '../../helpers/test-certificates.ts'

const authority = createTestAuthority()
const kmeCredentials = authority.issue('zoo')
const saes = { near: authority.issue('near'), far: authority.issue('far') }

/** A link over a KME of the zoo that both ends ask. */
class Rig implements AsyncDisposable {
  readonly kme: ZooKme
  readonly ends: readonly [Link, Link]
  readonly events: TelemetryEvent[] = []
  readonly #kmses: readonly Kms[]

  constructor(kme: ZooKme, { timeoutMs = 5_000 } = {}) {
    this.kme = kme
    const open = (saeId: 'near' | 'far') => createRemoteKms({ baseUrl: kme.url, saeId, ...saes[saeId] })
    this.#kmses = [open('near'), open('far')]
    const telemetry = new TelemetryHub()
    telemetry.subscribe(event => this.events.push(event))
    this.ends = createEtsi014Pair({
      linkId: 'leased',
      siteIds: ['alice', 'bob'],
      blockSizeBytes: 512,
      bufferBlocks: 2,
      telemetry,
      kmes: [
        { kms: this.#kmses[0]!, peerSaeId: 'far', timeoutMs },
        { kms: this.#kmses[1]!, peerSaeId: 'near', timeoutMs },
      ],
    })
  }

  /** Takes the next blocks at both ends until one number came at both, and compares them. */
  async match(count: number): Promise<void> {
    const seen = [new Map<bigint, unknown>(), new Map<bigint, unknown>()] as const
    for (let matched = 0; matched < count; ) {
      for (const [side, end] of this.ends.entries()) {
        const block = await end.nextBlock({ signal: AbortSignal.timeout(8_000) })
        seen[side]!.set(block.number, block.secret)
        const twin = seen[1 - side]!.get(block.number)
        if (twin === undefined) continue
        expect(block.secret.equals(twin as typeof block.secret), `block ${block.number}`).to.equal(true)
        matched += 1
      }
    }
  }

  alarms(): string[] {
    return this.events.flatMap(event => (event.type === 'alarm' ? [`${event.id} ${event.state}`] : []))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.ends.map(end => end.close()))
    for (const kms of this.#kmses) await kms.close()
    await this.kme[Symbol.asyncDispose]()
  }
}

const rig = async (behaviour: ZooBehaviour, options: { timeoutMs?: number } = {}) =>
  new Rig(await createZooKme(behaviour, { credentials: kmeCredentials }), options)

describe('Etsi014Link', () => {
  it('is a device’s link at both ends: genuine, as secret as physics, with a measured rate', async () => {
    await using link = await rig(standardKme())
    for (const end of link.ends) {
      const status = await statusOf(end, ({ state }) => state === 'up')
      expect(status).to.include({ kind: 'device', secrecy: 'quantum', simulated: false })
      expect(status.rateBps).to.be.greaterThan(0)
    }
    await link.match(20)
    // One key for each 256 bits of block and proof, and no more than fills both buffers.
    expect(link.kme.keys.size, 'keys that were drawn and not fetched').to.be.at.most(2 * 18)
  })

  it('drops a block at both ends whose keys differ, raises an alarm, and goes on', async () => {
    let spoiled = 0
    const behaviour = standardKme({
      dec_keys: (request, keys) => {
        const entries = (take(request, keys) ?? []).map(entryOf)
        if (spoiled < 2) {
          spoiled += 1
          entries[0] = { ...entries[0]!, key: Buffer.alloc(32, 1).toString('base64') }
        }
        return { body: { keys: entries } }
      },
    })
    await using link = await rig(behaviour)
    await link.match(10)
    expect(spoiled).to.equal(2)
    expect(link.alarms().slice(-4).sort()).to.deep.equal([
      'link-mismatch:leased cleared',
      'link-mismatch:leased cleared',
      'link-mismatch:leased raised',
      'link-mismatch:leased raised',
    ])
  })

  it('drops what the other end could not fetch, and never asks for the same key_IDs twice', async () => {
    const asked: string[] = []
    let answers = 0
    const behaviour = standardKme({
      dec_keys: (request, keys, response) => {
        asked.push(...keyIdsOf(request))
        const found = take(request, keys) ?? []
        answers += 1
        if (answers % 5 === 2) {
          // It has served the request, and the answer is lost.
          response.destroy()
          return undefined
        }
        // A gateway before it, which the KME's answer did not reach in time.
        if (answers % 5 === 3) return refuse(answers % 2 === 0 ? 502 : 504)
        if (answers % 5 === 4) return refuse(400, { message: 'one or more keys specified are not found on KME' })
        return { body: { keys: found.map(entryOf) } }
      },
    })
    await using link = await rig(behaviour)
    await link.match(15)
    expect(new Set(asked).size).to.equal(asked.length)
    expect(answers).to.be.greaterThan(15)
  })

  it('draws other keys where the answer to a draw was lost', async () => {
    let draws = 0
    const behaviour = standardKme({
      enc_keys: (request, keys, response) => {
        const drawn = draw(request, keys)
        draws += 1
        if (draws % 3 === 1) {
          response.destroy()
          return undefined
        }
        return { body: { keys: drawn.map(entryOf) } }
      },
    })
    await using link = await rig(behaviour)
    await link.match(5)
    expect(draws).to.be.greaterThan(5)
  })

  it('makes no block of keys that a KME gives a second time', async () => {
    const all: HeldKey[] = []
    let repeated = 0
    const behaviour = standardKme({
      enc_keys: (request, keys) => {
        const drawn = draw(request, keys)
        // As after a KME was set back to a copy: each second answer begins with the keys of the first.
        if (all.length > 0 && repeated < 3) {
          repeated += 1
          for (const [at, old] of all.slice(0, drawn.length).entries()) drawn[at] = keys.rename(old, old.keyId)
        }
        all.push(...drawn)
        return { body: { keys: drawn.map(entryOf) } }
      },
      // It gives every key as often as it is asked.
      dec_keys: (request, keys) => ({ body: { keys: (lookUp(request, keys) ?? []).map(entryOf) } }),
    })
    await using link = await rig(behaviour)
    const seen = new Set<string>()
    for (let count = 0; count < 6; count += 1) {
      const [near] = await Promise.all(link.ends.map(end => end.nextBlock({ signal: AbortSignal.timeout(8_000) })))
      const bytes = exportKey(near!.secret)
      for (let at = 0; at < bytes.byteLength; at += 32) seen.add(bytes.toString('hex', at, at + 32))
    }
    expect(repeated).to.equal(3)
    expect(seen.size).to.equal((6 * 512) / 32)
  })

  it('waits while the devices have no key, and says down only before the first block', async () => {
    let refuseDraws = true
    const behaviour = standardKme({
      enc_keys: (request, keys) => {
        if (refuseDraws) return { status: 503, headers: { 'retry-after': '0' }, body: { message: 'pool is dry' } }
        return { body: { keys: draw(request, keys).map(entryOf) } }
      },
    })
    await using link = await rig(behaviour)
    for (const end of link.ends) {
      const { reason } = await statusOf(end, status => status.reason?.includes('pool is dry') === true)
      expect(reason).to.include('has no key')
    }
    refuseDraws = false
    await link.match(5)
    refuseDraws = true
    for (const end of link.ends) while (end.status().bufferedBits > 0) await end.nextBlock()
    expect(link.ends.map(end => end.status().state)).to.deep.equal(['up', 'up'])
  })

  it('tells why at both ends when a KME refuses them, and comes back by itself', async () => {
    let refused = false
    const behaviour = standardKme({
      enc_keys: (request, keys) => (refused ? refuse(401) : { body: { keys: draw(request, keys).map(entryOf) } }),
    })
    await using link = await rig(behaviour)
    await link.match(2)
    refused = true
    for (const end of link.ends) while (end.status().bufferedBits > 0) await end.nextBlock()
    for (const end of link.ends) {
      const { reason } = await statusOf(end, ({ state }) => state === 'down')
      expect(reason).to.include('does not serve')
    }
    refused = false
    for (const end of link.ends) await statusOf(end, ({ state }) => state === 'up')
    await link.match(2)
  })

  it('keeps the keys that both ends have over a lost connection', async () => {
    let drawn = 0
    const behaviour = standardKme({
      // A few keys at a time: a block is many batches.
      status: ({ caller, saeId }) => ({ body: { ...statusOfFew(caller, saeId) } }),
      enc_keys: (request, keys) => {
        const given = draw(request, keys)
        drawn += given.length
        return { body: { keys: given.map(entryOf) } }
      },
    })
    await using link = await rig(behaviour)
    await link.match(3)
    const [near] = link.ends as unknown as [{ interrupt(): void; restore(): void }]
    for (let round = 0; round < 5; round += 1) {
      near.interrupt()
      for (const end of link.ends) await statusOf(end, ({ state }) => state === 'down')
      near.restore()
      for (const end of link.ends) await statusOf(end, ({ state }) => state === 'up')
    }
    const before = drawn
    await link.match(4)
    // 18 keys a block: four that were taken, and what fills the buffers again.
    expect(drawn - before).to.be.at.most(12 * 18)
  })

  it('closes while a KME says nothing', async () => {
    const link = await rig(standardKme({ enc_keys: () => undefined }), { timeoutMs: 60_000 })
    await link.kme.counts
    await link[Symbol.asyncDispose]()
    expect(link.ends[0].status().state).to.equal('down')
  })
})

const statusOfFew = (master: string, slave: string) => ({
  source_KME_ID: 'zoo-a',
  target_KME_ID: 'zoo-b',
  master_SAE_ID: master,
  slave_SAE_ID: slave,
  key_size: 256,
  stored_key_count: 10,
  max_key_count: 10,
  max_key_per_request: 4,
  max_key_size: 256,
  min_key_size: 256,
  max_SAE_ID_count: 0,
})
