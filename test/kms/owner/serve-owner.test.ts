import { expect } from 'chai'
import { createMemoryChannelPair } from '../../../lib/channel/memory-channel.ts'
import { PoolExhaustedError } from '../../../lib/errors.ts'
import type { GetKeyOptions, Key, Kms, KmsDirectory } from '../../../lib/interface/kms.ts'
import { SecretKey } from '../../../lib/key/secret-key.ts'
import { OwnedDirectory } from '../../../lib/kms/owner/owned-directory.ts'
import { encodeRequest, encodeRequestFrame } from '../../../lib/kms/owner/requests.ts'
import { serveOwner, type UndeliveredKeys } from '../../../lib/kms/owner/serve-owner.ts'
import { deferred } from '../../../lib/util/deferred.ts'
import { rejectsWith } from '../../helpers/rejects-with.ts'
import { until } from '../../helpers/until.ts'
import { ownedBy } from './owner-pair.ts'

/** A KMS whose one key is given when the test says so. */
function slowOwner() {
  const go = deferred<void>()
  const asked: { saeId: string; slaveSaeId: string }[] = []
  const signals: AbortSignal[] = []
  const given: Key[] = []
  const kmsFor = (saeId: string) =>
    ({
      saeId,
      getKey: async (slaveSaeId: string, { number = 1, sizeBits = 256, signal }: GetKeyOptions = {}) => {
        asked.push({ saeId, slaveSaeId })
        signals.push(signal!)
        await go.promise
        const keys = Array.from({ length: number }, (_, n): Key => {
          const secret = SecretKey.random(sizeBits / 8)
          return { keyId: `key-${n}`, secret, sizeBits, level: 'quantum', trustClass: 'direct' }
        })
        given.push(...keys)
        return keys
      },
    }) as unknown as Kms
  return { directory: { kmsFor } satisfies KmsDirectory, go, asked, signals, given }
}

const saeIds = ['alice']

describe('serveOwner', () => {
  it('wipes its own copy of what it hands over', async () => {
    const owner = slowOwner()
    owner.go.resolve()
    await using pair = await ownedBy(owner.directory, { saeIds })
    const [key] = await pair.directory.kmsFor('alice').getKey('bob')
    expect(owner.given[0]!.secret.wiped).to.equal(true)
    expect(key!.secret.sizeBits).to.equal(256)
    key!.secret.wipe()
  })

  it('gives an answer in parts that no frame could hold', async () => {
    const owner = slowOwner()
    owner.go.resolve()
    await using pair = await ownedBy(owner.directory, { saeIds })
    const keys = await pair.directory.kmsFor('alice').getKey('bob', { number: 128, sizeBits: 255_488 })
    expect(keys.map(({ keyId }) => keyId)).to.deep.equal(Array.from({ length: 128 }, (_, n) => `key-${n}`))
    for (const { secret } of keys) secret.wipe()
  })

  it('tells of a wait longer than a frame can say; an answer that fits none ends the talk, and nothing else', async () => {
    const refuse = async (slaveSaeId: string) => {
      const details = slaveSaeId === 'bob' ? [] : [{ cells: 1n }]
      throw new PoolExhaustedError('Come back in a year', { details, retryAfterMs: 31_536_000_000 })
    }
    const directory = { kmsFor: (saeId: string) => ({ saeId, getKey: refuse }) as unknown as Kms }
    await using pair = await ownedBy(directory, { saeIds })
    const kms = pair.directory.kmsFor('alice')
    const { retryAfterMs } = await rejectsWith(kms.getKey('bob'), 'ERR_QKD_POOL_EXHAUSTED')
    expect(retryAfterMs).to.equal(2 ** 32 - 1)
    await rejectsWith(kms.getKey('carol'), 'ERR_QKD_KME_UNREACHABLE')
  })

  it('refuses what is under way when the connection is lost, and burns what was not received', async () => {
    const owner = slowOwner()
    const undelivered: UndeliveredKeys[] = []
    const pair = await ownedBy(owner.directory, { saeIds, onUndelivered: keys => undelivered.push(keys) })
    const alice = pair.directory.kmsFor('alice')
    const asking = alice.getKey('bob', { number: 3, sizeBits: 512 })
    await until(() => owner.asked.length === 1, 'the owner is asked')
    await pair.cut()
    const error = await rejectsWith(asking, 'ERR_QKD_KME_UNREACHABLE')
    expect(error.details).to.deep.equal([{ sent: true }])
    await pair.served
    owner.go.resolve()
    await until(() => undelivered.length === 1, 'the keys are reported as undelivered')
    expect(undelivered[0]).to.include({ saeId: 'alice', peerSaeId: 'bob', keys: 3, cells: 6 })
    expect(owner.given.every(({ secret }) => secret.wiped)).to.equal(true)
    const later = await rejectsWith(alice.getKey('bob'), 'ERR_QKD_KME_UNREACHABLE')
    expect(later.details).to.deep.equal([{ sent: false }])
    expect(later.retryAfterMs).to.equal(1_000)
    await pair[Symbol.asyncDispose]()
  })

  it('burns once what was sent and never acknowledged', async () => {
    const owner = slowOwner()
    owner.go.resolve()
    const undelivered: UndeliveredKeys[] = []
    const [ours, theirs] = createMemoryChannelPair(['owner', 'worker'])
    const served = serveOwner(owner.directory, ours, {
      siteId: 'site',
      peerIds: [ours.peerId],
      onUndelivered: keys => undelivered.push(keys),
    })
    await theirs.receive()
    const asked = encodeRequest(1, { op: 'getKey', saeId: 'alice', peerSaeId: 'bob', options: {} })
    await theirs.send(encodeRequestFrame(0, [asked]))
    // The answer is here, and the process ends before it says so.
    ;(await theirs.receive())!.fill(0)
    await theirs.close()
    await served
    expect(undelivered.map(({ keys, cells }) => [keys, cells])).to.deep.equal([[1, 1]])
  })

  it('burns nothing that was acknowledged', async () => {
    const owner = slowOwner()
    owner.go.resolve()
    const undelivered: UndeliveredKeys[] = []
    const pair = await ownedBy(owner.directory, { saeIds, onUndelivered: keys => undelivered.push(keys) })
    const alice = pair.directory.kmsFor('alice')
    for (let n = 0; n < 5; n += 1) for (const { secret } of await alice.getKey('bob')) secret.wipe()
    // Frames go in order: with this answer the acknowledgements before it have come.
    await alice.getKey('bob')
    await new Promise(resolve => setImmediate(() => setImmediate(resolve)))
    await pair[Symbol.asyncDispose]()
    expect(undelivered.length).to.be.at.most(1)
  })

  it('ends a call whose caller has gone, and burns its key when it comes all the same', async () => {
    const owner = slowOwner()
    const undelivered: UndeliveredKeys[] = []
    await using pair = await ownedBy(owner.directory, { saeIds, onUndelivered: keys => undelivered.push(keys) })
    const gone = new AbortController()
    const reason = new Error('hung up')
    const asking = pair.directory.kmsFor('alice').getKey('bob', { signal: gone.signal })
    await until(() => owner.asked.length === 1, 'the owner is asked')
    gone.abort(reason)
    expect(await asking.catch(error => error)).to.equal(reason)
    // The frame with the cancel is on its way before the answer is.
    await new Promise(resolve => setImmediate(() => setImmediate(resolve)))
    owner.go.resolve()
    await until(() => undelivered.length === 1, 'the key is reported as undelivered')
    expect(owner.given[0]!.secret.wiped).to.equal(true)
  })

  it('ends a call that is given up in the very frame that brings it, and burns its key', async () => {
    const owner = slowOwner()
    const undelivered: UndeliveredKeys[] = []
    await using pair = await ownedBy(owner.directory, { saeIds, onUndelivered: keys => undelivered.push(keys) })
    const gone = new AbortController()
    const asking = pair.directory.kmsFor('alice').getKey('bob', { signal: gone.signal })
    gone.abort(new Error('hung up'))
    expect(await asking.catch(error => error)).to.equal(gone.signal.reason)
    await until(() => owner.asked.length === 1, 'the owner is asked')
    expect(owner.signals.map(({ aborted }) => aborted)).to.deep.equal([true])
    owner.go.resolve()
    await until(() => owner.given[0]?.secret.wiped === true, 'the key is given, and wiped')
    expect(undelivered.map(({ keys, cells }) => [keys, cells])).to.deep.equal([[1, 1]])
  })

  it('serves nobody but those it was told to', async () => {
    const [ours, theirs] = createMemoryChannelPair(['owner', 'mallory'])
    const serving = serveOwner(slowOwner().directory, ours, { siteId: 'site', peerIds: ['worker'] })
    await rejectsWith(serving, 'ERR_QKD_UNAUTHORIZED')
    expect(await theirs.receive()).to.equal(undefined)
  })

  it('ends with who breaks the rules', async () => {
    const call = (id: number) => encodeRequest(id, { op: 'getKey', saeId: 'alice', peerSaeId: 'bob', options: {} })
    const rogue: Uint8Array[] = [
      Uint8Array.of(9, 9, 9),
      encodeRequestFrame(5, []),
      encodeRequestFrame(0, [call(1), call(1)]),
    ]
    for (const frame of rogue) {
      const [ours, theirs] = createMemoryChannelPair(['owner', 'worker'])
      const owner = slowOwner()
      const serving = serveOwner(owner.directory, ours, { siteId: 'site', peerIds: [ours.peerId] })
      await theirs.send(frame)
      await rejectsWith(serving, 'ERR_QKD_PROTOCOL')
      owner.go.resolve()
    }
  })

  it('is not taken for the owner of another site', async () => {
    const [ours, theirs] = createMemoryChannelPair(['owner', 'worker'])
    const serving = serveOwner(slowOwner().directory, ours, { siteId: 'site-b', peerIds: [ours.peerId] })
    const directory = new OwnedDirectory({ siteId: 'site-a', channel: theirs, isRegistered: () => true })
    const error = (await directory.ended) as Error
    expect(error.message).to.include('site "site-b"')
    await directory.close()
    await serving
  })
})
