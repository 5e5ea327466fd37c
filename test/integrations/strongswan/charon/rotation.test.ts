import { expect } from 'chai'
import { requireCharon } from '../../../helpers/charon-pair.ts'
import { CONNECTION, createIpsecPair, keysInTheOpen } from '../../../helpers/ipsec-pair.ts'
import { rotateUnderPing } from '../../../helpers/ipsec-trial.ts'
import { until } from '../../../helpers/until.ts'

describe('IpsecAgent', function () {
  this.timeout(60_000)
  before(function () {
    requireCharon(this)
  })

  it('takes a new key each time, and traffic hardly feels it', async () => {
    await using pair = await createIpsecPair()
    await pair.start()
    const count = 10
    const { report, worst, gentle } = await rotateUnderPing(pair, count)
    console.log(
      `      ${count} rotations: ${report.lost} of ${report.sent} pings lost, longest gap ${report.longestGapMs.toFixed(1)} ms`,
    )
    expect(worst).to.be.at.most(3)
    expect(gentle).to.be.at.least(0.9)
    expect(pair.a.seen('rotated')).to.have.length(count + 1)
    expect(pair.b.seen('rotated').map(({ keyId }) => keyId)).to.deep.equal(
      pair.a.seen('rotated').map(({ keyId }) => keyId),
    )
    expect([...pair.a.seen('alarm'), ...pair.b.seen('alarm')].filter(({ state }) => state === 'raised')).to.deep.equal(
      pair.b.seen('alarm').filter(({ alarm, state }) => alarm.id === 'no-peer' && state === 'raised'),
    )
  })

  it('writes no key anywhere', async () => {
    await using pair = await createIpsecPair()
    await pair.start()
    for (let round = 0; round < 3; round += 1) await pair.rotate()
    expect(pair.a.keys()).to.have.length(4)
    expect(pair.a.keys().map(({ data }) => data.toString('hex'))).to.deep.equal(
      pair.b.keys().map(({ data }) => data.toString('hex')),
    )
    expect(pair.a.fetched).to.have.length(4)
    expect(pair.b.fetched).to.have.length(4)
    expect(await keysInTheOpen(pair)).to.deep.equal([])
    // The search itself finds what is there.
    pair.a.logged.push(pair.a.keys()[0]!.data.toString('base64'))
    expect(await keysInTheOpen(pair)).to.deep.equal(['what a logged'])
  })

  it('has charon rekey the new IKE_SA, so that its own keys are under the PPK as well', async () => {
    await using pair = await createIpsecPair()
    await pair.start()
    await pair.rotate()
    const log = await pair.charons.a.log()
    const ids = pair.a.seen('rotated').map(({ uniqueId }) => uniqueId)
    for (const id of ids) expect(log).to.match(new RegExp(`IKE_SA ${CONNECTION}\\[${id}\\] (rekeyed|established)`))
    expect((await pair.charons.a.sas()).map(({ uniqueId }) => uniqueId)).to.deep.equal([ids.at(-1)])
  })

  it('has every child of a connection in the new IKE_SA', async () => {
    const child = (name: string, localTs: string, remoteTs: string) => {
      return { name, localTs: [localTs], remoteTs: [remoteTs], espProposals: ['aes256gcm16-x25519'], settings: {} }
    }
    const only = {
      a: { children: [child('net', '10.1.0.0/24', '10.2.0.0/24'), child('host', '10.1.0.1/32', '10.2.0.1/32')] },
      b: { children: [child('net', '10.2.0.0/24', '10.1.0.0/24'), child('host', '10.2.0.1/32', '10.1.0.1/32')] },
    }
    await using pair = await createIpsecPair({ only })
    await pair.start()
    for (let round = 0; round < 2; round += 1) await pair.rotate()
    for (const gateway of [pair.a, pair.b]) {
      const sas = await gateway.charon.sas()
      expect(sas.map(({ children }) => children.map(({ name }) => name).sort())).to.deep.equal([['host', 'net']])
    }
  })

  it('may start ahead of charon and of the other agent, in any order', async () => {
    await using pair = await createIpsecPair()
    await pair.charons.a.kill()
    await pair.charons.b.kill()
    await pair.a.start()
    const { charon, alarms } = await pair.a.agent.status()
    expect(charon.connected).to.equal(false)
    expect(alarms.map(({ id }) => id)).to.include.members(['charon-unreachable', 'peer-unreachable'])
    await pair.charons.a.start()
    await pair.b.start()
    await pair.charons.b.start()
    await until(() => pair.b.seen('rotated').length > 0, 'the first rotation', { timeoutMs: 30_000 })
    await until(async () => (await pair.a.agent.status()).alarms.length === 0, 'the alarms to be over')
  })

  it('lets a rotation that is under way end before it closes', async () => {
    await using pair = await createIpsecPair()
    await pair.start()
    const begun = new Promise<void>(resolve => {
      pair.a.tap.onCommand = name => {
        if (name === 'initiate') resolve()
      }
    })
    const rotation = pair.a.agent.rotate(CONNECTION)
    await begun
    await pair.a.stop()
    await rotation
    expect(pair.a.seen('rotation-failed')).to.deep.equal([])
    await until(() => pair.b.seen('rotated').length === 2, 'the rotation at the responder')
    expect((await pair.charons.a.sas()).map(({ state }) => state)).to.deep.equal(['ESTABLISHED'])
  })

  it('rotates when a responder asks', async () => {
    await using pair = await createIpsecPair()
    await pair.start()
    await pair.b.agent.rotate(CONNECTION)
    expect(pair.b.seen('rotated')).to.have.length(2)
  })

  it('rotates by the clock', async () => {
    await using pair = await createIpsecPair({ connection: { rotation: { everySeconds: 2 } } })
    await pair.start()
    await until(() => pair.b.seen('rotated').length >= 3, 'two rotations by schedule')
  })

  it('rotates when the key has carried its packets', async () => {
    await using pair = await createIpsecPair({ connection: { rotation: { everySeconds: 3_600, packets: 100 } } })
    await pair.start()
    await using _ = await pair.charons.ping()
    await until(() => pair.b.seen('rotated').length >= 2, 'a rotation by packets')
  })

  it('rotates when the key has carried its bytes', async () => {
    await using pair = await createIpsecPair({ connection: { rotation: { everySeconds: 3_600, bytes: 5_000 } } })
    await pair.start()
    await using _ = await pair.charons.ping()
    await until(() => pair.b.seen('rotated').length >= 2, 'a rotation by bytes')
  })

  it("has traffic back without an operator after the responder's charon was killed", async () => {
    await using pair = await createIpsecPair()
    await pair.start()
    const ping = await pair.charons.ping()
    await pair.charons.b.kill()
    await pair.charons.b.start()
    const backMs = performance.now()
    const connected = () => pair.b.seen('charon').at(-1)?.connected === true
    await until(() => pair.b.seen('charon').length > 2 && connected(), 'charon to be provisioned')
    const provisionedMs = performance.now() - backMs
    await ping.flows({ timeoutMs: 20_000 })
    const trafficMs = performance.now() - backMs
    console.log(`      provisioned after ${provisionedMs.toFixed(0)} ms, traffic back after ${trafficMs.toFixed(0)} ms`)
    expect(await pair.charons.b.swanctl('--list-conns')).to.include(CONNECTION)
    expect((await pair.b.loaded()).map(id => id.split(':').at(-1))).to.include('auth')
  })
})
