import { expect } from 'chai'
import { SecretKey } from '../../../lib/key/secret-key.ts'
import { Inbound, type InboundOptions } from '../../../lib/kms/abroad/inbound.ts'
import { Neighbours } from '../../../lib/kms/abroad/neighbour.ts'
import { SaeRegistry } from '../../../lib/kms/sae-registry.ts'
import { rejectsWith } from '../../helpers/rejects-with.ts'

const KEY_ID = '0a2dd6ae-7a2d-4d9c-9a2e-3f6b7c8d9e0f'
const local = { siteId: 'site-a', kmeId: 'kme-a', saeIds: ['carol'] }
const patience = () => AbortSignal.timeout(60_000)

/** A site between two other domains, with what it kept and forgot. */
function start() {
  const forgotten: [keyIds: readonly string[], masterSaeId: string][] = []
  const recorded: string[] = []
  const shared = {
    forget: async (keyIds: readonly string[], masterSaeId: string) => void forgotten.push([keyIds, masterSaeId]),
    record: async (keys: readonly { keyId: string }[]) => void recorded.push(...keys.map(({ keyId }) => keyId)),
  }
  const kme = { handOver: async () => {}, withdraw: async () => {} }
  const inbound = new Inbound({
    local,
    registry: new SaeRegistry([local]),
    neighbours: new Neighbours([
      { kme: { ...kme, kmeId: 'kme-x' }, saeIds: ['alice'], level: 'quantum' },
      { kme: { ...kme, kmeId: 'kme-y' }, saeIds: ['mallory'], level: 'quantum' },
    ]),
    poolFor: () => undefined,
    anyPool: () => ({ shared }),
    admission: { admitRetrieval: () => ({ check: () => {}, ruleName: 'all' }) },
    audit: undefined,
  } as unknown as InboundOptions)
  const handover = (initiatorSaeId: string) => ({
    initiatorSaeId,
    targetSaeIds: ['carol'],
    keys: [{ keyId: KEY_ID, secret: SecretKey.random(32) }],
  })
  return { inbound, handover, forgotten, recorded }
}

describe('Inbound', () => {
  it('refuses keys that were voided before they came', async () => {
    const { inbound, handover, recorded } = start()
    await inbound.erase({ initiatorSaeId: 'alice', targetSaeIds: ['carol'], keyIds: [KEY_ID] })
    await rejectsWith(inbound.take(handover('alice'), { signal: patience() }), 'ERR_QKD_INVALID_ARGUMENT')
    expect(recorded).to.deep.equal([])
  })

  it('lets no domain void the keys of another', async () => {
    const { inbound, handover, forgotten, recorded } = start()
    await inbound.erase({ initiatorSaeId: 'mallory', targetSaeIds: ['carol'], keyIds: [KEY_ID] })
    expect(forgotten).to.deep.equal([[[KEY_ID], 'mallory']])
    await inbound.take(handover('alice'), { signal: patience() })
    expect(recorded).to.deep.equal([KEY_ID])
  })
})
