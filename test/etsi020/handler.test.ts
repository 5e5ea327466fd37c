import { expect } from 'chai'
import { InvalidArgumentError, NoRouteError, UnauthorizedError } from '../../lib/errors.ts'
import { Etsi020Client } from '../../lib/etsi020/client.ts'
import { createEtsi020Handler } from '../../lib/etsi020/handler.ts'
import type { Ack } from '../../lib/etsi020/models.ts'
import { createInProcessTransport } from '../../lib/http/in-process-transport.ts'
import type { AbroadHandover, AbroadKeyIds, AbroadReceiver } from '../../lib/interface/abroad.ts'
import type { CertificateIdentity, HttpHandler } from '../../lib/interface/http.ts'
import { exportKey } from '../../lib/key/export-key.ts'
import { SecretKey } from '../../lib/key/secret-key.ts'
import { rejectsWith } from '../helpers/rejects-with.ts'

const KEYS = '/kmapi/v1/ext_keys'
const identityOf = (commonName: string): CertificateIdentity => {
  return { commonName, uriSans: [], dnsSans: [], fingerprint256: '00', serialNumber: '01' }
}
const patience = () => AbortSignal.timeout(60_000)
const value = Buffer.alloc(32, 7).toString('base64')
const body = (more: object = {}) => ({
  keys: [{ key_id: 'k-1', value }],
  initiator_sae_id: 'alice',
  target_sae_ids: ['carol'],
  ...more,
})

/** KME X hands keys to KME Y: both handlers, each other's clients, and what Y's domain was given. */
function start({ mode = 'asynchronous' }: { mode?: 'asynchronous' | 'synchronous' } = {}) {
  const taken: { initiatorSaeId: string; targetSaeIds: readonly string[]; keys: Record<string, string> }[] = []
  const erased: AbroadKeyIds[] = []
  const fault: { error?: Error } = {}
  const receiver: AbroadReceiver = {
    take: async ({ initiatorSaeId, targetSaeIds, keys }: AbroadHandover) => {
      if (fault.error) throw fault.error
      const bytes = keys.map(({ keyId, secret }) => [keyId, exportKey(secret).toString('base64')])
      taken.push({ initiatorSaeId, targetSaeIds, keys: Object.fromEntries(bytes) })
    },
    erase: async keyIds => {
      erased.push(keyIds)
      return fault.error === undefined
    },
  }
  const handlers: Record<'x' | 'y', HttpHandler | undefined> = { x: undefined, y: undefined }
  const transportTo = (to: 'x' | 'y', as: string) =>
    createInProcessTransport(request => handlers[to]!(request), { identity: identityOf(as) })
  const ackUrl = () => (mode === 'synchronous' ? undefined : 'https://kme-x.example/kmapi/v1/ext_keys/ack')
  const clientOfX = new Etsi020Client({ kmeId: 'kme-y', transport: transportTo('y', 'kme-x'), ackUrl })
  const clientOfY = new Etsi020Client({ kmeId: 'kme-x', transport: transportTo('x', 'kme-y'), ackUrl })
  const serve = (kmeId: string, client: Etsi020Client, saeIds: string[]) =>
    createEtsi020Handler({
      receiver,
      identify: ({ identity }) => {
        if (identity?.commonName !== kmeId) throw new UnauthorizedError('Another KME')
        return { client, saeIds, origin: `https://${kmeId}.example` }
      },
    })
  handlers.y = serve('kme-x', clientOfY, ['alice'])
  handlers.x = serve('kme-y', clientOfX, ['carol'])
  const post = async (target: string, json: unknown, as = 'kme-x', method = 'POST') => {
    const text = typeof json === 'string' ? json : JSON.stringify(json)
    const response = await transportTo('y', as).request({ method, target, body: Buffer.from(text) })
    const answered = Buffer.from(response.body).toString()
    return { ...response, json: answered === '' ? undefined : JSON.parse(answered) }
  }
  return { client: clientOfX, post, taken, erased, fault }
}

/** A KME that takes keys and says of itself what became of them. */
function startSilent() {
  let begun: () => void
  const running = new Promise<void>(resolve => {
    begun = resolve
  })
  const transport = createInProcessTransport(
    async () => {
      begun()
      return { status: 202, headers: {}, body: new Uint8Array(0) }
    },
    { identity: identityOf('kme-x') },
  )
  const client = new Etsi020Client({ kmeId: 'kme-y', transport, ackUrl: () => 'https://kme-x.example/' })
  const acknowledge = (more: Partial<Ack>) =>
    client.acknowledge([
      {
        key_id_container: [{ key_id: 'k-1' }],
        ack_status: 'relayed',
        initiator_sae_id: 'alice',
        target_sae_ids: [],
        ...more,
      },
    ])
  return { client, acknowledge, running }
}

describe('ETSI GS QKD 020', () => {
  for (const mode of ['asynchronous', 'synchronous'] as const) {
    it(`hands keys over, and says so when they have arrived (${mode})`, async () => {
      const { client, taken } = start({ mode })
      const keys = [SecretKey.random(32), SecretKey.random(32)].map((secret, n) => ({ keyId: `k-${n}`, secret }))
      await client.handOver({ initiatorSaeId: 'alice', targetSaeIds: ['carol', 'cleo'], keys }, { signal: patience() })
      expect(taken).to.have.length(1)
      expect(taken[0]).to.deep.include({ initiatorSaeId: 'alice', targetSaeIds: ['carol', 'cleo'] })
      for (const { keyId, secret } of keys) {
        expect(taken[0]!.keys[keyId]).to.equal(exportKey(secret).toString('base64'))
      }
    })

    it(`tells why keys have not arrived (${mode})`, async () => {
      const { client, fault } = start({ mode })
      const keys = [{ keyId: 'k-1', secret: SecretKey.random(32) }]
      fault.error = new NoRouteError('the far site is down')
      await rejectsWith(
        client.handOver({ initiatorSaeId: 'alice', targetSaeIds: ['carol'], keys }, { signal: patience() }),
        'ERR_QKD_NO_ROUTE',
      )
    })

    it(`takes keys back (${mode})`, async () => {
      const { client, erased, fault } = start({ mode })
      const keyIds = { initiatorSaeId: 'alice', targetSaeIds: ['carol'], keyIds: ['k-1', 'k-2'] }
      await client.withdraw(keyIds, { signal: patience() })
      expect(erased).to.deep.equal([keyIds])
      fault.error = new Error('the far site is down')
      await rejectsWith(client.withdraw(keyIds, { signal: patience() }), 'ERR_QKD_NO_ROUTE')
    })
  }

  it('says which versions it has', async () => {
    const { client } = start()
    expect(await client.versions({ signal: patience() })).to.deep.equal(['v1'])
  })

  it('gives up when its time is over, and says nothing of it later', async () => {
    const { client } = start()
    const keys = [{ keyId: 'k-1', secret: SecretKey.random(32) }]
    const stopped = AbortSignal.abort(new Error('stopped'))
    const handover = { initiatorSaeId: 'alice', targetSaeIds: ['carol'], keys }
    expect(await client.handOver(handover, { signal: stopped }).catch(error => error)).to.include({
      message: 'stopped',
    })
  })

  it('takes a repeated handover for the one that it is', async () => {
    const { post, taken } = start()
    for (const _ of [1, 2]) {
      const { status, json } = await post(KEYS, body())
      expect(status).to.equal(200)
      expect(json[0]).to.deep.include({ ack_status: 'relayed', key_id_container: [{ key_id: 'k-1' }] })
    }
    expect(taken).to.have.length(1)
  })

  it('takes other keys under the same key_IDs for another handover', async () => {
    const { post, taken } = start()
    const other = Buffer.alloc(32, 8).toString('base64')
    await post(KEYS, body())
    await post(KEYS, body({ keys: [{ key_id: 'k-1', value: other }] }))
    // Whether it takes them is the receiver's to say; nobody is told that keys were relayed which were not.
    expect(taken.map(({ keys }) => keys['k-1'])).to.deep.equal([value, other])
  })

  it('asks again for keys that were voided in between', async () => {
    const { post, taken, fault } = start()
    await post(KEYS, body())
    await post(`${KEYS}/void`, { ...body(), key_ids: ['k-1'] })
    fault.error = new InvalidArgumentError('A key was voided before it came')
    const { json } = await post(KEYS, body())
    expect(json[0]).to.include({ ack_status: 'failed' })
    expect(taken).to.have.length(1)
  })

  it('waits until keys are acknowledged for every target, and for the initiator that they are of', async () => {
    const { client, acknowledge, running } = startSilent()
    const keys = [{ keyId: 'k-1', secret: SecretKey.random(32) }]
    const handed = client.handOver(
      { initiatorSaeId: 'alice', targetSaeIds: ['carol', 'cleo'], keys },
      { signal: patience() },
    )
    let isReleased = false
    void handed.then(() => {
      isReleased = true
    })
    await running
    const turn = () => new Promise(resolve => setImmediate(resolve))
    acknowledge({ target_sae_ids: ['carol'] })
    acknowledge({ target_sae_ids: ['carol'] })
    acknowledge({ target_sae_ids: ['cleo'], initiator_sae_id: 'anna' })
    await turn()
    expect(isReleased).to.equal(false)
    acknowledge({ target_sae_ids: ['cleo'] })
    await handed
  })

  it('releases nothing where one of several targets has no key', async () => {
    const { client, acknowledge, running } = startSilent()
    const keys = [{ keyId: 'k-1', secret: SecretKey.random(32) }]
    const handed = client.handOver(
      { initiatorSaeId: 'alice', targetSaeIds: ['carol', 'cleo'], keys },
      { signal: patience() },
    )
    const refused = rejectsWith(handed, 'ERR_QKD_NO_ROUTE')
    await running
    acknowledge({ target_sae_ids: ['carol'] })
    acknowledge({ target_sae_ids: ['cleo'], ack_status: 'failed' })
    await refused
  })

  it('leaves extensions alone, whatever they hold', async () => {
    const { post, taken } = start()
    const extension_optional = { E99999_x: { value: 'AAAA' } }
    const keys = [{ extension: { value: 'x' }, key_id: 'k-1', value }]
    expect((await post(KEYS, body({ keys, extension_optional }))).status).to.equal(200)
    expect(taken[0]!.keys).to.deep.equal({ 'k-1': value })
  })

  it('answers 503 to a mandatory extension, and takes nothing', async () => {
    const { post, taken } = start()
    const { status, json, headers } = await post(KEYS, body({ extension_mandatory: { E1_route: 'direct' } }))
    expect(status).to.equal(503)
    expect(headers['content-type']).to.equal('application/problem+json')
    expect(json).to.deep.include({ status: 503, details: { E1_route: 'is not supported' } })
    expect(taken).to.deep.equal([])
  })

  for (const [what, status, target, json, as, method] of [
    ['a stranger', 401, KEYS, body(), 'kme-z', 'POST'],
    ['a path that is none', 404, '/kmapi/v2/ext_keys', body(), 'kme-x', 'POST'],
    ['another method', 405, KEYS, '', 'kme-x', 'GET'],
    ['what is not JSON', 400, KEYS, '{', 'kme-x', 'POST'],
    ['a key without its value', 400, KEYS, body({ keys: [{ key_id: 'k-1' }] }), 'kme-x', 'POST'],
    ['a value that is not base64', 400, KEYS, body({ keys: [{ key_id: 'k-1', value: '#' }] }), 'kme-x', 'POST'],
    ['no keys', 400, KEYS, body({ keys: [] }), 'kme-x', 'POST'],
    [
      'a key twice',
      400,
      KEYS,
      body({
        keys: [
          { key_id: 'k', value },
          { key_id: 'k', value },
        ],
      }),
      'kme-x',
      'POST',
    ],
    ['an initiator of another domain', 400, KEYS, body({ initiator_sae_id: 'mallory' }), 'kme-x', 'POST'],
    ['an SAE ID of 65 characters', 400, KEYS, body({ target_sae_ids: ['x'.repeat(65)] }), 'kme-x', 'POST'],
    ['a callback elsewhere', 400, KEYS, body({ ack_callback_url: 'https://evil.example/' }), 'kme-x', 'POST'],
    ['a callback without TLS', 400, KEYS, body({ ack_callback_url: 'http://kme-x.example/' }), 'kme-x', 'POST'],
    ['a void of all that does not say so', 400, `${KEYS}/void`, { ...body(), key_ids: [] }, 'kme-x', 'POST'],
    [
      'a void by another domain',
      400,
      `${KEYS}/void`,
      { ...body({ initiator_sae_id: 'bob' }), key_ids: ['k'] },
      'kme-x',
      'POST',
    ],
    ['acknowledgements of another shape', 400, `${KEYS}/ack`, [{ ack_status: 'lost' }], 'kme-x', 'POST'],
  ] as const) {
    it(`refuses ${what} with ${status}`, async () => {
      const { post, taken, erased } = start()
      const response = await post(target, json, as, method)
      expect(response.status).to.equal(status)
      expect(response.json).to.include({ status })
      expect(taken).to.deep.equal([])
      expect(erased).to.deep.equal([])
    })
  }

  it('says in words why a key was refused, where the caller is to blame', async () => {
    const { post, fault } = start()
    fault.error = new InvalidArgumentError('nobody is called carol')
    const { json } = await post(KEYS, body())
    expect(json[0]).to.include({ ack_status: 'failed', message: 'nobody is called carol' })
  })
})
