import { randomUUID } from 'node:crypto'
import { expect } from 'chai'
import { ViciSession } from '../../../../integrations/strongswan/vici/session.ts'
import { exportKey, type Key, type Kms } from '../../../../lib/index.ts'
import { type CharonNode, requireCharon } from '../../../helpers/charon-pair.ts'
import { CONNECTION, createIpsecPair, type IpsecPair, keysInTheOpen } from '../../../helpers/ipsec-pair.ts'
import { rejectsWith } from '../../../helpers/rejects-with.ts'
import { until } from '../../../helpers/until.ts'

const SECRET = 'a static secret of both gateways'

/** A gateway that takes its keys from the KME itself and names them by their bare key_ID: the charon of `a`, without an agent. */
async function createVendorGateway(charon: CharonNode) {
  const session = new ViciSession({
    path: charon.viciPath,
    events: [],
    onConnect: async () => {},
    onDisconnect: () => {},
  })
  await session.start()
  const load = (id: string, type: string, owners: string[], data: Uint8Array | string) =>
    session.request('load-shared', { id, type, owners, data })
  await load('static', 'ike', ['gateway-a', 'gateway-b'], SECRET)
  return {
    /** Tries once, as such a gateway does; gives what went wrong, or undefined. */
    initiate: async ({ keyId, secret }: Pick<Key, 'keyId' | 'secret'>) => {
      await load('ppk', 'ppk', [keyId], exportKey(secret))
      const connection = {
        version: '2',
        local_addrs: ['192.0.2.1'],
        remote_addrs: ['192.0.2.2'],
        proposals: ['aes256-sha256-x25519'],
        ppk_id: keyId,
        ppk_required: 'yes',
        local: { auth: 'psk', id: 'gateway-a' },
        remote: { auth: 'psk', id: 'gateway-b' },
        children: {
          net: { local_ts: ['10.1.0.0/24'], remote_ts: ['10.2.0.0/24'], esp_proposals: ['aes256gcm16-x25519'] },
        },
      }
      await session.request('load-conn', { vendor: connection })
      const answer = await session.request('initiate', { ike: 'vendor', child: 'net', timeout: '4000' })
      return answer.success === 'yes' ? undefined : String(answer.errmsg)
    },
    [Symbol.asyncDispose]: () => session.close(),
  }
}

/** Counts what the agent asks its KMS for. */
function counting(kms: Kms): { kms: Kms; asked: string[] } {
  const asked: string[] = []
  const counted = new Proxy(kms, {
    get: (target, name) => {
      const value = Reflect.get(target, name, target) as unknown
      if (name !== 'getKeyWithIds') return typeof value === 'function' ? value.bind(target) : value
      return (master: string, keyIds: string[], options: object) => {
        asked.push(...keyIds)
        return target.getKeyWithIds(master, keyIds, options)
      }
    },
  })
  return { kms: counted, asked }
}

const vendor = { mode: 'vendor', role: 'responder' } as const

async function startVendorPair(): Promise<{ pair: IpsecPair; asked: string[] }> {
  const pair = await createIpsecPair({ only: { b: vendor } })
  const { kms, asked } = counting(pair.b.kms)
  pair.b.kms = kms
  await pair.b.start()
  return { pair, asked }
}

describe('IpsecAgent with a gateway of a vendor', function () {
  this.timeout(60_000)
  before(function () {
    requireCharon(this)
  })

  it('learns from the log which key is named, and has it when the gateway tries again', async () => {
    const { pair, asked } = await startVendorPair()
    await using _ = pair
    await using gateway = await createVendorGateway(pair.charons.a)
    for (let round = 1; round <= 2; round += 1) {
      const [key] = (await pair.kms.alice.getKey('bob')) as [Key]
      expect(await gateway.initiate(key)).to.match(/failed/)
      await until(async () => (await pair.b.loaded()).some(id => id.endsWith(key.keyId)), 'the key in charon')
      expect(await gateway.initiate(key)).to.equal(undefined)
      await until(() => pair.b.seen('rotated').length === round, 'the agent to know')
      expect(pair.b.seen('rotated').at(-1)?.keyId).to.equal(key.keyId)
      expect(asked.at(-1)).to.equal(key.keyId)
      await until(async () => (await pair.b.loaded()).length === 2, 'nothing but the secret and the placeholder')
    }
    expect((await pair.charons.b.sas()).every(({ ppk }) => ppk)).to.equal(true)
    expect((await pair.b.agent.status()).connections[0]?.keyId).to.equal(asked.at(-1))
    const ping = await pair.charons.ping()
    await ping.flows()
    await ping.stop()
    await pair.a.start().catch(() => {})
    expect(await keysInTheOpen(pair)).to.deep.equal([])
  })

  it('asks for few of the keys that a stranger names, and takes none up', async () => {
    const { pair, asked } = await startVendorPair()
    await using _ = pair
    await using gateway = await createVendorGateway(pair.charons.a)
    const [{ secret }] = (await pair.kms.alice.getKey('bob')) as [Key]
    expect(await gateway.initiate({ keyId: 'no-uuid@all', secret })).to.match(/failed/)
    const once = randomUUID()
    for (let time = 0; time < 3; time += 1) await gateway.initiate({ keyId: once, secret })
    await until(() => asked.length > 0, 'the first look-up')
    for (let time = 0; time < 15; time += 1) await gateway.initiate({ keyId: randomUUID(), secret })
    await until(() => pair.b.seen('alarm').some(({ alarm }) => alarm.id === 'vendor-rate'), 'the alarm')
    expect(asked.filter(keyId => keyId === once)).to.have.length(1)
    expect(asked.length).to.be.below(14)
    expect(await pair.charons.b.sas().then(sas => sas.filter(({ state }) => state === 'ESTABLISHED'))).to.deep.equal([])
    expect(pair.b.seen('rotated')).to.deep.equal([])
  })

  it('does not rotate by itself', async () => {
    const { pair } = await startVendorPair()
    await using _ = pair
    const error = await rejectsWith(pair.b.agent.rotate(CONNECTION), 'ERR_QKD_INVALID_ARGUMENT')
    expect(error.message).to.match(/rotates at the gateway of alice/)
    await pair.b.agent.rotate()
  })
})
