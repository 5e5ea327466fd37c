import { expect } from 'chai'
import { createRemoteKms, type RemoteKmsOptions } from '../../lib/client/remote-kms.ts'
import { QkdError, type QkdErrorCode } from '../../lib/errors.ts'
import { KME_PROFILE_NAMES, type KmeProfileName, kmeProfiles } from '../../lib/etsi014/kme-profile.ts'
import type { GetKeyOptions, Key, Kms } from '../../lib/interface/kms.ts'
import { createMishapKme, createMutePort, hasty, mishaps, silences } from '../helpers/kme-zoo/mishaps.ts'
import { replyCases } from '../helpers/kme-zoo/replies.ts'
import { species } from '../helpers/kme-zoo/species.ts'
import { createZooKme, type ZooBehaviour, type ZooKme } from '../helpers/kme-zoo/zoo-kme.ts'
import { rejectsWith } from '../helpers/rejects-with.ts'
import { createTestAuthority } from '../helpers/test-certificates.ts'

const authority = createTestAuthority()
const credentials = new Map<string, ReturnType<typeof authority.issue>>()

function issue(name: string) {
  const known = credentials.get(name) ?? authority.issue(name)
  credentials.set(name, known)
  return known
}

/** A KME of the zoo, and its hosts. */
class Visit implements AsyncDisposable {
  readonly kme: ZooKme
  readonly #opened: Kms[] = []
  readonly #profile: KmeProfileName

  constructor(kme: ZooKme, profile: KmeProfileName) {
    this.kme = kme
    this.#profile = profile
  }

  host(saeId: string, options: Partial<RemoteKmsOptions> = {}): Kms {
    const common = { baseUrl: this.kme.url, saeId, profile: this.#profile, ...issue(saeId) }
    const kms = createRemoteKms({ ...common, ...options } as RemoteKmsOptions)
    this.#opened.push(kms)
    return kms
  }

  /** Runs a call that may ask the KME for keys so many times, and no more. */
  async counted<T>(times: 0 | 1, call: () => Promise<T>): Promise<T> {
    const before = this.kme.consuming
    try {
      return await call()
    } finally {
      expect(this.kme.consuming - before, 'requests for keys that arrived at the KME').to.equal(times)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const kms of this.#opened) await kms.close()
    await this.kme[Symbol.asyncDispose]()
  }
}

async function visit(name: KmeProfileName, profile = name): Promise<Visit> {
  const { behaviour, plain, prefix } = species[name]
  return new Visit(
    await createZooKme(behaviour, { ...(!plain && { credentials: issue('zoo') }), ...(prefix && { prefix }) }),
    profile,
  )
}

const visitReply = async (behaviour: ZooBehaviour) =>
  new Visit(await createZooKme(behaviour, { credentials: issue('zoo') }), 'etsi')

const UNKNOWN_ID = 'c0ffee00-0000-4000-8000-000000000000'
/** SAE IDs of the two hosts; one make of KME takes numbers alone. */
const hostsOf = (name: KmeProfileName): [string, string] => (name === 'qkd-kme-server' ? ['1', '2'] : ['alice', 'bob'])

function same(given: readonly Key[], fetched: readonly Key[]): void {
  expect(fetched.map(({ keyId }) => keyId)).to.deep.equal(given.map(({ keyId }) => keyId))
  for (const [at, key] of given.entries()) expect(key.secret.equals(fetched[at]!.secret)).to.equal(true)
}

describe('RemoteKms in the zoo of KMEs', () => {
  for (const name of KME_PROFILE_NAMES) {
    it(`brings Alice and Bob to the same keys through ${kmeProfiles[name].title}`, async () => {
      await using zoo = await visit(name)
      const [master, slave] = hostsOf(name)
      const [alice, bob] = [zoo.host(master), zoo.host(slave)]
      const status = await alice.getStatus(slave)
      expect(status.keySizeBits).to.equal(name === 'guardian' ? 32 : 256)
      expect(status.targetKmeId).to.be.a('string')
      const { maxPerRequest = 2 } = kmeProfiles[name] as { maxPerRequest?: number }
      for (const options of [{}, { sizeBits: 256 }, { number: maxPerRequest, sizeBits: 256 }] as GetKeyOptions[]) {
        const given = await zoo.counted(1, () => alice.getKey(slave, options))
        expect(given).to.have.length(options.number ?? 1)
        expect(given.every(({ sizeBits }) => sizeBits === 256)).to.equal(true)
        // Those that know GET alone take one ID at a time.
        const batches = kmeProfiles[name].method === 'GET' || name === 'qkd-net' ? given.map(key => [key]) : [given]
        for (const batch of batches) {
          const fetch = () =>
            bob.getKeyWithIds(
              master,
              batch.map(({ keyId }) => keyId),
            )
          same(batch, await zoo.counted(1, fetch))
        }
      }
      await zoo.counted(1, async () => {
        const error = await bob.getKeyWithIds(master, [UNKNOWN_ID]).catch((refusal: unknown) => refusal)
        expect(error).to.be.instanceOf(QkdError)
      })
    })

    it(`gives keys or a typed error, after one request, where ${kmeProfiles[name].title} is taken for the standard`, async () => {
      const { plain } = species[name]
      if (plain) {
        expect(() => createRemoteKms({ baseUrl: 'http://127.0.0.1:1', saeId: 'alice', ...issue('alice') })).to.throw(
          /https/,
        )
        return
      }
      await using zoo = await visit(name, 'etsi')
      const [master, slave] = hostsOf(name)
      const [alice, bob] = [zoo.host(master), zoo.host(slave)]
      const calls = [
        () => alice.getKey(slave),
        () => alice.getKey(slave, { sizeBits: 512 }),
        () => alice.getKey(slave, { number: 3 }),
        () => bob.getKeyWithIds(master, [UNKNOWN_ID]),
        () => bob.getKeyWithIds(master, [UNKNOWN_ID, 'another']),
      ]
      for (const call of calls) {
        const outcome = await zoo.counted(1, () => call().catch((error: unknown) => error))
        expect(Array.isArray(outcome) || outcome instanceof QkdError, String(outcome)).to.equal(true)
      }
      const status = await alice.getStatus(slave).catch((error: unknown) => error)
      expect(status instanceof QkdError || typeof status === 'object').to.equal(true)
    })
  }

  const refusals: [
    name: KmeProfileName,
    what: string,
    sent: 0 | 1,
    call: (alice: Kms, bob: Kms) => Promise<unknown>,
    code: QkdErrorCode,
  ][] = [
    ['qukaydee', 'an unknown SAE', 1, alice => alice.getKey('nobody'), 'ERR_QKD_INVALID_ARGUMENT'],
    ['qukaydee', 'too many keys', 1, alice => alice.getKey('bob', { number: 200 }), 'ERR_QKD_INVALID_ARGUMENT'],
    [
      'qukaydee',
      'an empty store',
      1,
      alice => alice.getKey('bob', { number: 128, sizeBits: 1_024 }),
      'ERR_QKD_POOL_EXHAUSTED',
    ],
    ['qukaydee', 'an expired key', 1, (_, bob) => bob.getKeyWithIds('alice', ['expired-1']), 'ERR_QKD_KEY_NOT_FOUND'],
    ['qukaydee', 'a replay', 1, (_, bob) => bob.getKeyWithIds('alice', [UNKNOWN_ID]), 'ERR_QKD_KEY_NOT_FOUND'],
    ['next-door', 'a replay', 1, (_, bob) => bob.getKeyWithIds('alice', [UNKNOWN_ID]), 'ERR_QKD_UNAUTHORIZED'],
    [
      'next-door',
      'a size that is no multiple of 8',
      0,
      alice => alice.getKey('bob', { sizeBits: 250 }),
      'ERR_QKD_INVALID_ARGUMENT',
    ],
    ['next-door', 'no keys', 0, alice => alice.getKey('bob', { number: 0 }), 'ERR_QKD_INVALID_ARGUMENT'],
    [
      'py-qkd-kme-sim',
      'a size that does not validate',
      1,
      alice => alice.getKey('bob', { sizeBits: 2_048 }),
      'ERR_QKD_INVALID_ARGUMENT',
    ],
    ['py-qkd-kme-sim', 'an empty store', 1, alice => alice.getKey('bob', { number: 101 }), 'ERR_QKD_POOL_EXHAUSTED'],
    [
      'qkd-kme-server',
      'a size that it has not',
      0,
      alice => alice.getKey('2', { sizeBits: 512 }),
      'ERR_QKD_INVALID_ARGUMENT',
    ],
    ['qkd-kme-server', 'an SAE that is no number', 1, alice => alice.getKey('bob'), 'ERR_QKD_INVALID_ARGUMENT'],
    ['qkd-kme-server', 'a refusal by the far KME', 1, alice => alice.getKey('409'), 'ERR_QKD_KME_UNREACHABLE'],
    ['qkd-kme-server', 'a far KME that is not set up', 1, alice => alice.getKey('412'), 'ERR_QKD_KME_UNREACHABLE'],
    ['qkd-kme-server', 'a far KME that is down', 1, alice => alice.getKey('504'), 'ERR_QKD_KME_UNREACHABLE'],
    ['merqury', 'an unknown key', 1, (_, bob) => bob.getKeyWithIds('alice', [UNKNOWN_ID]), 'ERR_QKD_KEY_NOT_FOUND'],
    [
      'etsi-qkd-rest',
      'an unknown key',
      1,
      (_, bob) => bob.getKeyWithIds('alice', [UNKNOWN_ID]),
      'ERR_QKD_KEY_NOT_FOUND',
    ],
    ['guardian', 'an SAE that does not validate', 1, alice => alice.getKey('x'), 'ERR_QKD_INVALID_ARGUMENT'],
    ['dske', 'two keys at once', 0, alice => alice.getKey('bob', { number: 2 }), 'ERR_QKD_INVALID_ARGUMENT'],
    ['dske', 'two IDs at once', 0, (_, bob) => bob.getKeyWithIds('alice', ['a', 'b']), 'ERR_QKD_INVALID_ARGUMENT'],
    ['qkdnetsim', 'a level', 0, alice => alice.getKey('bob', { level: 'quantum' }), 'ERR_QKD_INVALID_ARGUMENT'],
    ['arnika-mock', 'two keys at once', 0, alice => alice.getKey('bob', { number: 2 }), 'ERR_QKD_INVALID_ARGUMENT'],
    ['arnika-mock', 'another size', 0, alice => alice.getKey('bob', { sizeBits: 128 }), 'ERR_QKD_INVALID_ARGUMENT'],
    ['dkms', 'an unknown SAE', 1, alice => alice.getKey('nobody'), 'ERR_QKD_INVALID_ARGUMENT'],
    ['dkms', 'haste', 1, alice => alice.getKey('hasty'), 'ERR_QKD_POOL_EXHAUSTED'],
    ['dkms', 'a failure of its peer', 1, alice => alice.getKey('beyond'), 'ERR_QKD_KME_UNREACHABLE'],
    ['dkms', 'an empty store', 1, alice => alice.getKey('bob', { number: 101 }), 'ERR_QKD_POOL_EXHAUSTED'],
    [
      'transeuroogs',
      'a key that is gone',
      1,
      (_, bob) => bob.getKeyWithIds('alice', [UNKNOWN_ID]),
      'ERR_QKD_KEY_NOT_FOUND',
    ],
  ]
  for (const [name, what, sent, call, code] of refusals) {
    it(`takes the refusal of ${what} at ${name} for ${code}${sent === 0 ? ', and sends nothing' : ''}`, async () => {
      await using zoo = await visit(name)
      const [master, slave] = hostsOf(name)
      const [alice, bob] = [zoo.host(master), zoo.host(slave)]
      await zoo.counted(sent, () => rejectsWith(call(alice, bob), code))
    })
  }

  it('takes fewer keys than asked and more are an error', async () => {
    await using few = await visit('qkd-kme-server')
    const given = await few.counted(1, () => few.host('1').getKey('2', { number: 5 }))
    expect(given).to.have.length(2)
    await using many = await visitReply((_, keys) => {
      const pair = { masterSaeId: 'alice', slaveSaeId: 'bob' }
      const entries = [keys.issue(pair), keys.issue(pair)]
      return { body: { keys: entries.map(({ keyId, bytes }) => ({ key_ID: keyId, key: bytes.toString('base64') })) } }
    })
    await many.counted(1, () => rejectsWith(many.host('alice').getKey('bob'), 'ERR_QKD_KME_RESPONSE'))
  })

  describe('at a KME that answers with', () => {
    for (const [name, { reply, enc, dec }] of Object.entries(replyCases)) {
      it(`${name}: ${enc === 'keys' ? 'takes it' : `throws ${[...new Set([enc, dec])].join(' or ')}`} after one request`, async () => {
        await using zoo = await visitReply(typeof reply === 'function' ? reply : () => reply)
        const alice = zoo.host('alice')
        const calls = [
          [enc, () => alice.getKey('bob', { sizeBits: 256 })],
          [dec, () => alice.getKeyWithIds('bob', [UNKNOWN_ID])],
        ] as const
        for (const [expected, call] of calls) {
          if (expected === 'keys') expect(await zoo.counted(1, call)).to.have.length(1)
          else await zoo.counted(1, () => rejectsWith(call(), expected))
        }
      })
    }

    it('a Retry-After in seconds or as a date: says when to try again', async () => {
      const later = new Date(Date.now() + 60_000).toUTCString()
      for (const [value, [atLeast, atMost]] of [
        ['7', [7_000, 7_000]],
        [later, [50_000, 60_000]],
        ['soon', [undefined, undefined]],
      ] as const) {
        await using zoo = await visitReply(() => ({ status: 503, headers: { 'retry-after': value } }))
        const error = await rejectsWith(zoo.host('alice').getKey('bob'), 'ERR_QKD_POOL_EXHAUSTED')
        if (atLeast === undefined) expect(error.retryAfterMs).to.equal(undefined)
        else expect(error.retryAfterMs).to.be.within(atLeast, atMost)
      }
    })
  })

  describe('at a KME that', () => {
    const open = (baseUrl: string) => createRemoteKms({ baseUrl, saeId: 'alice', ...issue('alice') })
    const isTyped = (error: unknown) => {
      expect(error).to.be.instanceOf(QkdError)
      expect((error as QkdError).code).to.be.oneOf(['ERR_QKD_KME_UNREACHABLE', 'ERR_QKD_KME_RESPONSE'])
    }

    for (const [what, mishap] of Object.entries(mishaps)) {
      it(`${what}: gives a typed error and asks once`, async () => {
        await using kme = await createMishapKme(mishap, issue('zoo'))
        await using alice = open(kme.url)
        const first = what.includes('first')
        if (first) expect(await alice.getKey('bob')).to.have.length(1)
        isTyped(await alice.getKey('bob').catch((error: unknown) => error))
        expect(kme.requests).to.equal(first ? 2 : 1)
        // A connection to which that happened is not used again, and the next call asks once too.
        await alice.getKeyWithIds('bob', ['zoo-1']).catch(isTyped)
        expect(kme.requests).to.equal(first ? 3 : 2)
      })
    }

    for (const [what, silence] of Object.entries(silences)) {
      it(`${what}: gives up in time, and asks once`, async () => {
        await using kme = await createMishapKme(silence, issue('zoo'))
        await using alice = open(kme.url)
        const late = await alice.getKey('bob', { timeoutMs: 150 }).catch((error: Error) => error.name)
        expect(late).to.equal('TimeoutError')
        const controller = new AbortController()
        const call = alice.getKeyWithIds('bob', ['zoo-1'], { signal: controller.signal, timeoutMs: 60_000 })
        controller.abort(new Error('no patience'))
        expect(await call.catch((error: Error) => error.message)).to.equal('no patience')
        expect(kme.requests).to.be.at.most(2)
      })
    }

    it('ends each connection behind its answer: draws every key over a connection of its own, asking once each', async () => {
      await using kme = await createMishapKme(hasty, issue('zoo'))
      await using alice = open(kme.url)
      for (let count = 1; count <= 5; count += 1) {
        expect(await alice.getKey('bob')).to.have.length(1)
        expect(kme.requests).to.equal(count)
      }
      expect(kme.connections).to.equal(5)
    })

    it('has ended an idle connection: sends the next request over another one', async () => {
      await using zoo = await visit('etsi')
      const alice = zoo.host('alice')
      for (let count = 1; count <= 3; count += 1) {
        await zoo.counted(1, () => alice.getKey('bob'))
        // The end of it lies in the kernel when the next call is made.
        zoo.kme.closeIdle()
      }
      expect(zoo.kme.connections).to.equal(3)
    })

    it('keeps its connection: draws many keys over one', async () => {
      await using zoo = await visit('etsi')
      const alice = zoo.host('alice')
      for (let count = 0; count < 10; count += 1) await zoo.counted(1, () => alice.getKey('bob'))
      expect(zoo.kme.connections).to.equal(1)
    })

    it('is not the one that is meant, or that nobody vouches for: sends nothing', async () => {
      await using zoo = await visit('etsi')
      const stranger = createTestAuthority('Other CA')
      const fingerprint = 'ab'.repeat(32)
      const wrong: Partial<RemoteKmsOptions>[] = [
        { expectedKmeId: 'another' },
        { expectedFingerprint256: fingerprint },
        { checkPeer: () => false },
        { ca: stranger.ca },
        { servername: 'kme.example' },
        stranger.issue('alice'),
      ]
      for (const options of wrong) {
        const error = await zoo.counted(0, () =>
          rejectsWith(zoo.host('alice', options).getKey('bob'), 'ERR_QKD_KME_UNREACHABLE'),
        )
        expect(error.details).to.deep.equal([{ sent: false }])
      }
    })

    it('does not speak TLS, or does not listen: sends nothing', async () => {
      await using port = await createMutePort()
      await using mute = createRemoteKms({
        baseUrl: port.url,
        saeId: 'alice',
        ...issue('alice'),
        connectTimeoutMs: 100,
      })
      await rejectsWith(mute.getKey('bob'), 'ERR_QKD_KME_UNREACHABLE')
      await port[Symbol.asyncDispose]()
      await rejectsWith(mute.getKey('bob'), 'ERR_QKD_KME_UNREACHABLE')
    })
  })

  it('speaks without TLS to this machine alone, where the profile says so', () => {
    const open = (baseUrl: string) =>
      createRemoteKms({ baseUrl, saeId: 'alice', profile: 'arnika-mock', ...issue('alice') })
    for (const url of ['http://127.0.0.1:1', 'http://localhost:1', 'http://[::1]:1'])
      expect(open(url).saeId).to.equal('alice')
    for (const url of ['http://10.0.0.1:1', 'http://kme.example', 'http://127.0.0.1.example']) {
      expect(() => open(url), url).to.throw(/https/)
    }
  })

  it('refuses a profile that there is not', () => {
    const options = { baseUrl: 'https://127.0.0.1:1', saeId: 'alice', ...issue('alice') }
    expect(() => createRemoteKms({ ...options, profile: 'acme' as KmeProfileName })).to.throw(
      /profile must be one of etsi, /,
    )
  })
})
