import { expect } from 'chai'
import type { AbroadKeyIds, AbroadKme } from '../../../lib/interface/abroad.ts'
import { SecretKey } from '../../../lib/key/secret-key.ts'
import { AbroadJournal } from '../../../lib/kms/abroad/journal.ts'
import { Neighbours } from '../../../lib/kms/abroad/neighbour.ts'
import { Outbound } from '../../../lib/kms/abroad/outbound.ts'
import { LmdbPoolStore } from '../../../lib/kms/store/lmdb-store.ts'
import { debugLogger } from '../../../lib/util/debug-logger.ts'
import { createTempDir } from '../../helpers/temp-dir.ts'
import { until } from '../../helpers/until.ts'

const KEY_ID = '0a2dd6ae-7a2d-4d9c-9a2e-3f6b7c8d9e0f'
const handover = () => ({
  initiatorSaeId: 'alice',
  targetSaeIds: ['carol'],
  keys: [{ keyId: KEY_ID, secret: SecretKey.random(32) }],
})

/** The other domain's KME as it may behave: it acknowledges or keeps silent, and takes so many voids to hear one. */
function kmeThat({ acknowledges, deafFor = 0 }: { acknowledges: boolean; deafFor?: number }) {
  const voided: AbroadKeyIds[] = []
  let left = deafFor
  const kme: AbroadKme = {
    kmeId: 'kme-x',
    handOver: (_, { signal }) =>
      acknowledges
        ? Promise.resolve()
        : new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true })),
    withdraw: async keyIds => {
      left -= 1
      if (left >= 0) throw new Error('nobody hears')
      voided.push(keyIds)
    },
  }
  return { kme, voided }
}

const neighboursOf = (kme: AbroadKme) => new Neighbours([{ kme, saeIds: ['carol'], level: 'quantum' }])
const logger = debugLogger('test')

describe('Outbound', () => {
  it('forgets a handover that has arrived', async () => {
    await using dir = await createTempDir()
    await using store = await LmdbPoolStore.open(dir.path)
    const journal = await AbroadJournal.open(store)
    const { kme, voided } = kmeThat({ acknowledges: true })
    await using outbound = new Outbound({ neighbours: neighboursOf(kme), journal, logger })
    await outbound.handOver(handover(), { signal: AbortSignal.timeout(5_000) })
    expect(journal.handovers).to.deep.equal([])
    expect((await AbroadJournal.open(store)).handovers).to.deep.equal([])
    expect(voided).to.deep.equal([])
  })

  it('voids what was not acknowledged, until it is heard', async () => {
    await using dir = await createTempDir()
    await using store = await LmdbPoolStore.open(dir.path)
    const journal = await AbroadJournal.open(store)
    const { kme, voided } = kmeThat({ acknowledges: false, deafFor: 2 })
    await using outbound = new Outbound({ neighbours: neighboursOf(kme), journal, logger })
    const stop = new AbortController()
    const handed = outbound.handOver(handover(), { signal: stop.signal }).catch(error => error)
    await until(() => journal.handovers.length === 1, 'the entry in the journal')
    stop.abort(new Error('the master has gone'))
    expect(await handed).to.include({ message: 'the master has gone' })
    await until(() => journal.handovers.length === 0, 'the void')
    expect(voided).to.have.length(1)
    expect(voided[0]).to.deep.include({ initiatorSaeId: 'alice', targetSaeIds: ['carol'], keyIds: [KEY_ID] })
  })

  it('takes back after a crash what it was to take back before', async () => {
    await using dir = await createTempDir()
    {
      await using store = await LmdbPoolStore.open(dir.path)
      const journal = await AbroadJournal.open(store)
      const { kme } = kmeThat({ acknowledges: true, deafFor: Number.POSITIVE_INFINITY })
      await using outbound = new Outbound({ neighbours: neighboursOf(kme), journal, logger })
      await outbound.handOver(handover(), { signal: AbortSignal.timeout(5_000) })
      outbound.withdraw({ initiatorSaeId: 'alice', targetSaeIds: ['carol'], keyIds: [KEY_ID] })
      await until(() => journal.handovers.length === 1, 'the entry in the journal')
    }
    await using store = await LmdbPoolStore.open(dir.path)
    const journal = await AbroadJournal.open(store)
    const { kme, voided } = kmeThat({ acknowledges: true })
    await using outbound = new Outbound({ neighbours: neighboursOf(kme), journal, logger })
    outbound.resume()
    await until(() => journal.handovers.length === 0, 'the void')
    expect(voided).to.have.length(1)
  })

  it('voids after a crash what had not come to an end', async () => {
    await using dir = await createTempDir()
    const open = { kmeId: 'kme-x', initiatorSaeId: 'alice', targetSaeIds: ['carol'], keyIds: [KEY_ID] }
    {
      await using store = await LmdbPoolStore.open(dir.path)
      await (await AbroadJournal.open(store)).begin(open)
    }
    await using store = await LmdbPoolStore.open(dir.path)
    const journal = await AbroadJournal.open(store)
    expect(journal.handovers).to.deep.equal([open])
    const { kme, voided } = kmeThat({ acknowledges: true })
    await using outbound = new Outbound({ neighbours: neighboursOf(kme), journal, logger })
    outbound.resume()
    await until(() => journal.handovers.length === 0, 'the void')
    expect(voided).to.have.length(1)
    expect((await AbroadJournal.open(store)).handovers).to.deep.equal([])
  })
})
