import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { expect } from 'chai'
import type { LinkBlock } from '../../../lib/interface/link.ts'
import type { PolicyFile } from '../../../lib/interface/policy.ts'
import type { TelemetryEvent } from '../../../lib/interface/telemetry.ts'
import { exportKey } from '../../../lib/key/export-key.ts'
import { createMlDsaAuthority, issueMlDsaCertificate } from '../../../lib/key/ml-dsa-issue.ts'
import { nativeKem, portableKem } from '../../../lib/key/post-quantum.ts'
import { SecretKey } from '../../../lib/key/secret-key.ts'
import { siteUri } from '../../../lib/key/site-identity.ts'
import { type Authenticator, SignedTranscripts } from '../../../lib/qll/bb84/session/authenticator.ts'
import { CertifiedKeys } from '../../../lib/qll/bb84/session/certified-keys.ts'
import { SharedKeyTranscripts } from '../../../lib/qll/bb84/session/shared-key-transcripts.ts'
import { createMemoryDuplexPair } from '../../../lib/qll/memory-duplex.ts'
import { initiate, respond } from '../../../lib/qll/post-quantum/kem-handshake.ts'
import {
  createPostQuantumConnector,
  createPostQuantumListener,
  createPostQuantumPair,
} from '../../../lib/qll/post-quantum/post-quantum-link.ts'
import { createLocalPair, type Site } from '../../../lib/site.ts'
import { TelemetryHub } from '../../../lib/telemetry.ts'
import { statusOf } from '../../compliance/link-status.ts'
import { rejectsWith } from '../../helpers/rejects-with.ts'
import { until } from '../../helpers/until.ts'

const PSK = SecretKey.random(32)
const shared = () => new SharedKeyTranscripts(PSK)
const common = { linkId: 'isle', rateBps: 50_000_000, blockSizeBytes: 4096, bufferBlocks: 8, heartbeatMs: 200 }

interface Wire {
  readonly port: number
  /** Everything that went over it, in both directions. */
  readonly recorded: Buffer[]
  close(): Promise<void>
}

/** A TCP wire that records all bytes, and lets `tamper` change them. */
async function createWire(targetPort: number, tamper: (chunk: Buffer, totalBytes: number) => Buffer): Promise<Wire> {
  const recorded: Buffer[] = []
  const sockets = new Set<Socket>()
  let totalBytes = 0
  const server = createServer(near => {
    const far = connect({ port: targetPort, host: '127.0.0.1' })
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from)
      from.on('error', () => {})
      from.on('close', () => to.destroy())
      from.on('data', chunk => {
        recorded.push(Buffer.from(chunk))
        totalBytes += chunk.byteLength
        to.write(tamper(Buffer.from(chunk), totalBytes))
      })
    }
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    recorded,
    close: async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise(resolve => server.close(resolve))
    },
  }
}

interface Joined {
  readonly ends: readonly [
    Awaited<ReturnType<typeof createPostQuantumListener>>['link'],
    ReturnType<typeof createPostQuantumConnector>,
  ]
  readonly wire: Wire
  readonly events: TelemetryEvent[]
}

async function joined(
  use: (parts: Joined) => Promise<void>,
  {
    proofs = [shared, shared],
    tamper = (chunk: Buffer) => chunk,
  }: {
    proofs?: readonly [() => Authenticator, () => Authenticator]
    tamper?: (chunk: Buffer, totalBytes: number) => Buffer
  } = {},
): Promise<void> {
  const events: TelemetryEvent[] = []
  const telemetry = new TelemetryHub()
  telemetry.subscribe(event => events.push(event))
  const { link, port } = await createPostQuantumListener({
    ...common,
    localSiteId: 'alice',
    remoteSiteId: 'bob',
    port: 0,
    bootstrap: proofs[0],
    telemetry,
  })
  const wire = await createWire(port, tamper)
  const far = createPostQuantumConnector({
    ...common,
    localSiteId: 'bob',
    remoteSiteId: 'alice',
    port: wire.port,
    bootstrap: proofs[1],
    backOff: { minMs: 5, maxMs: 20 },
    telemetry,
  })
  try {
    await use({ ends: [link, far], wire, events })
  } finally {
    await Promise.all([link.close(), far.close()])
    await wire.close()
  }
}

describe('post-quantum link', () => {
  it('is labelled as what it is at both ends: no photons, and secret by a hard problem', async () => {
    const ends = createPostQuantumPair({ ...common, siteIds: ['alice', 'bob'] })
    for (const end of ends) {
      const status = await statusOf(end, ({ state }) => state === 'up')
      expect(status).to.include({ kind: 'post-quantum', secrecy: 'computational', simulated: false, qber: undefined })
    }
    await Promise.all(ends.map(end => end.close()))
  })

  it('joins two ends under a pre-shared key, and no 16 bytes of a block go over the wire', () =>
    joined(async ({ ends, wire }) => {
      const keys: Buffer[] = []
      for (let round = 0; round < 20; round++) {
        const [a, b] = (await Promise.all(ends.map(end => end.nextBlock()))) as [LinkBlock, LinkBlock]
        expect(a.number).to.equal(b.number)
        expect(a.secret.equals(b.secret)).to.equal(true)
        keys.push(exportKey(a.secret))
        b.secret.wipe()
      }
      const wired = Buffer.concat(wire.recorded)
      expect(wired.byteLength).to.be.above(20 * common.blockSizeBytes)
      const seen = new Set<string>()
      for (let at = 0; at + 16 <= wired.byteLength; at++) seen.add(wired.toString('latin1', at, at + 16))
      for (const key of keys) {
        for (let at = 0; at + 16 <= key.byteLength; at++) {
          if (seen.has(key.toString('latin1', at, at + 16))) expect.fail(`bytes ${at} of a block went over the wire`)
        }
      }
    }))

  it('joins two ends that certificates with ML-DSA prove, and not those of another authority or site', async function () {
    this.timeout(40_000)
    const authority = createMlDsaAuthority({ commonName: 'Test CA', days: 1 })
    const foreign = createMlDsaAuthority({ commonName: 'Other CA', days: 1 })
    const certified = (siteId: string, remoteSiteId: string, ca = authority) => {
      const pair = issueMlDsaCertificate(ca, { commonName: siteId, uris: [siteUri(siteId)], days: 1 })
      const identity = { cert: pair.certificatePem, key: pair.privateKeyPem, ca: authority.certificatePem }
      const keys = new CertifiedKeys({ identity, remoteSiteId })
      return () => new SignedTranscripts(keys)
    }
    const alice = certified('alice', 'bob')
    await joined(
      async ({ ends }) => {
        const [a, b] = await Promise.all(ends.map(end => end.nextBlock()))
        expect(a!.secret.equals(b!.secret)).to.equal(true)
      },
      { proofs: [alice, certified('bob', 'alice')] },
    )
    for (const wrong of [certified('bob', 'alice', foreign), certified('mallory', 'alice')]) {
      await joined(
        async ({ ends, events }) => {
          await until(
            () => events.some(event => event.type === 'alarm' && event.state === 'raised'),
            'an alarm for a wrong certificate',
          )
          for (const end of ends) expect(end.status()).to.include({ state: 'down', bufferedBits: 0 })
        },
        { proofs: [alice, wrong] },
      )
    }
  })

  it('gives nothing to an end with another pre-shared key, and raises an alarm', () =>
    joined(
      async ({ ends, events }) => {
        await until(() => events.some(event => event.type === 'alarm' && event.state === 'raised'), 'an alarm')
        for (const end of ends) {
          expect(end.status()).to.include({ state: 'down', bufferedBits: 0 })
          await rejectsWithTimeout(end.nextBlock({ signal: AbortSignal.timeout(200) }))
        }
        expect(ends[1].status().reason).to.equal('The other end did not prove that it is site "alice"')
      },
      { proofs: [shared, () => new SharedKeyTranscripts(SecretKey.random(32))] },
    ))

  it('never gives different blocks when bits are flipped on the wire: it connects anew', async function () {
    this.timeout(40_000)
    let flips = 0
    const tamper = (chunk: Buffer, totalBytes: number) => {
      // In a hello, in a proof, in a block, later: anywhere.
      if (Math.floor(totalBytes / 40_000) > flips && flips < 12) {
        flips++
        chunk[(flips * 7919) % chunk.byteLength]! ^= 1 << (flips % 8)
      }
      return chunk
    }
    await joined(
      async ({ ends }) => {
        const taken = [new Map<bigint, SecretKey>(), new Map<bigint, SecretKey>()] as const
        await Promise.all(
          ends.map(async (end, side) => {
            while (taken[side]!.size < 150) {
              const { number, secret } = await end.nextBlock({ signal: AbortSignal.timeout(8000) })
              taken[side]!.set(number, secret)
            }
          }),
        )
        let common = 0
        for (const [number, secret] of taken[0]) {
          const other = taken[1].get(number)
          if (other === undefined) continue
          common++
          expect(secret.equals(other), `block ${number}`).to.equal(true)
        }
        expect(common).to.be.above(50)
        expect(flips).to.be.above(3)
      },
      { tamper },
    )
  })
})

describe('keys over a post-quantum link', () => {
  const open = async (policy?: PolicyFile) => {
    const links = createPostQuantumPair({ linkId: 'isle', rateBps: 50_000_000, siteIds: ['site-a', 'site-b'] })
    const pool = { targetBlocks: 2, maxWaitMs: 300 }
    return createLocalPair({ links, pool, ...(policy === undefined ? {} : { policy }) })
  }
  const stocked = (site: Site) => until(() => (site.status().pools[0]?.issuableCells ?? 0) > 100, 'key in the pool')

  it('say what they rest on at both ends', async () => {
    const [a, b] = await open()
    await stocked(a)
    const keys = await a.kmsFor('alice').getKey('bob')
    const same = await b.kmsFor('bob').getKeyWithIds('alice', [keys[0]!.keyId])
    for (const key of [...keys, ...same]) expect(key).to.include({ trustClass: 'post-quantum' })
    await Promise.all([a.close(), b.close()])
  })

  it('are not given out where the policy wants photons', async () => {
    const [a, b] = await open({ rules: [{ name: 'photons', trustClasses: ['direct'] }], otherwise: 'deny' })
    await stocked(a)
    await rejectsWith(a.kmsFor('alice').getKey('bob'), 'ERR_QKD_POOL_EXHAUSTED')
    await Promise.all([a.close(), b.close()])
  })
})

describe('kem handshake', () => {
  const ids = { linkId: 'isle' }
  const alice = { ...ids, localSiteId: 'alice', remoteSiteId: 'bob' }
  const bob = { ...ids, localSiteId: 'bob', remoteSiteId: 'alice' }
  const signal = () => AbortSignal.timeout(8000)

  const kems = [portableKem('ML-KEM-768'), nativeKem('ML-KEM-768')].filter(kem => kem !== undefined)
  for (const [first, second] of kems.flatMap(one => kems.map(two => [one, two] as const))) {
    const nameOf = (kem: (typeof kems)[number]) => (kem === kems[0] ? 'portable' : 'native')
    it(`opens the same stream at both ends (${nameOf(first)} and ${nameOf(second)} ML-KEM-768)`, async () => {
      const [near, far] = createMemoryDuplexPair()
      const [a, b] = await Promise.all([
        respond(near, { ...alice, authenticator: shared(), kem: first, signal: signal() }),
        initiate(far, { ...bob, authenticator: shared(), kem: second, signal: signal() }),
      ])
      a.write('from alice')
      b.write('from bob')
      const [[atB], [atA]] = await Promise.all([once(b, 'data'), once(a, 'data')])
      expect([String(atA), String(atB)]).to.deep.equal(['from bob', 'from alice'])
      for (const end of [a, b]) end.on('error', () => {}).destroy()
    })
  }

  it('renews its keys under traffic in both directions, and loses no byte', async () => {
    const [near, far] = createMemoryDuplexPair()
    const ends = await Promise.all([
      respond(near, { ...alice, authenticator: shared(), renewMs: 0, signal: signal() }),
      initiate(far, { ...bob, authenticator: shared(), renewMs: 0, signal: signal() }),
    ])
    const sizeBytes = 400_000
    const texts = ends.map((_, at) => Buffer.alloc(sizeBytes, at === 0 ? 'from alice ' : 'bob says '))
    const read = ends.map(
      end =>
        new Promise<Buffer>(resolve => {
          const chunks: Buffer[] = []
          end.on('data', chunk => {
            chunks.push(chunk)
            const all = Buffer.concat(chunks)
            if (all.byteLength >= sizeBytes) resolve(all)
          })
        }),
    )
    for (let at = 0; at < sizeBytes; at += 4000) {
      for (const [side, end] of ends.entries()) end.write(texts[side]!.subarray(at, at + 4000))
      if (at % 40_000 === 0) await new Promise(resolve => setImmediate(resolve))
    }
    const [atAlice, atBob] = await Promise.all(read)
    expect(atAlice!.equals(texts[1]!)).to.equal(true)
    expect(atBob!.equals(texts[0]!)).to.equal(true)
    expect(Math.min(...ends.map(end => end.renewals))).to.be.above(3)
    for (const end of ends) end.on('error', () => {}).destroy()
  })

  it('refuses an end of another link, site or protocol, in words', async () => {
    for (const [change, message] of [
      [{ linkId: 'other' }, /not that of link "isle" at site "bob"/],
      [{ localSiteId: 'carol' }, /not that of link "isle" at site "bob"/],
    ] as const) {
      const [near, far] = createMemoryDuplexPair()
      const begun = initiate(far, { ...bob, ...change, authenticator: shared(), signal: signal() }).catch(
        error => error,
      )
      const refusal = await respond(near, { ...alice, authenticator: shared(), signal: signal() }).catch(error => error)
      expect(refusal.message).to.match(message)
      near.destroy()
      expect((await begun).code).to.equal('ERR_QKD_CLOSED')
    }
    const [near, far] = createMemoryDuplexPair()
    far.write(Buffer.concat([Buffer.from([0, 0, 0, 16]), Buffer.from('GET / HTTP/1.1\r\n')]))
    await rejectsWith(respond(near, { ...alice, authenticator: shared(), signal: signal() }), 'ERR_QKD_PROTOCOL')
  })

  it('does not take its own proof back from a mirror', async () => {
    const [near, far] = createMemoryDuplexPair()
    far.on('data', chunk => far.write(chunk))
    const mirrored = { ...alice, remoteSiteId: 'alice', authenticator: shared(), signal: signal() }
    await rejectsWith(initiate(near, mirrored), 'ERR_QKD_PROTOCOL')
  })
})

async function rejectsWithTimeout(waiting: Promise<unknown>): Promise<void> {
  const outcome = await waiting.then(
    () => undefined,
    error => error,
  )
  expect(outcome).to.have.property('name', 'TimeoutError')
}
