import { expect } from 'chai'
import { requireCharon } from '../../../helpers/charon-pair.ts'
import { CONNECTION, createIpsecPair, type IpsecPair } from '../../../helpers/ipsec-pair.ts'
import { rotatePskUnderPing } from '../../../helpers/ipsec-trial.ts'
import { authenticate } from '../../../helpers/psk-probe.ts'
import { until } from '../../../helpers/until.ts'

const ends = ({ charons }: IpsecPair) => ({
  a: { charon: charons.a, id: 'gateway-a', address: '192.0.2.1' },
  b: { charon: charons.b, id: 'gateway-b', address: '192.0.2.2' },
})

describe('IpsecAgent in mode psk', function () {
  this.timeout(60_000)
  before(function () {
    requireCharon(this)
  })

  it('rotates the key of IKE itself, and traffic hardly feels it', async () => {
    await using pair = await createIpsecPair({ connection: { mode: 'psk' } })
    await pair.start()
    const { report, worst } = await rotatePskUnderPing(pair, 5)
    console.log(
      `      5 rotations: ${report.lost} of ${report.sent} pings lost, longest gap ${report.longestGapMs.toFixed(1)} ms`,
    )
    expect(worst).to.be.at.most(3)
  })

  it('lets either end authenticate in each of the six states of a rotation', async () => {
    await using pair = await createIpsecPair({ connection: { mode: 'psk' } })
    await pair.start()
    const { a, b } = ends(pair)
    const tried: string[] = []
    const probe = async (state: string) => {
      for (const [from, to] of [
        [a, b],
        [b, a],
      ] as const) {
        tried.push(`${state}: ${await authenticate(from, to)}`)
      }
    }
    await probe('0')
    pair.wire.gate = async (_, message) => {
      const { type, stage } = message[0] === 0x7b ? JSON.parse(Buffer.from(message).toString()) : {}
      if (type === 'ready') await probe('1')
      if (type === 'stage' && stage === 'loaded') await probe('2')
      if (type === 'staged' && stage === 'loaded') await probe('3')
      if (type === 'stage' && stage === 'retired') await probe('4')
      if (type === 'staged' && stage === 'retired') await probe('5')
    }
    await pair.a.agent.rotate(CONNECTION)
    const states = ['0', '1', '2', '3', '4', '5']
    expect(tried).to.deep.equal(states.flatMap(state => [`${state}: undefined`, `${state}: undefined`]))
    await until(async () => (await pair.charons.b.sas()).length === 1, 'one SA')
  })

  it('gives a charon that was restarted the key in use, and goes on', async () => {
    await using pair = await createIpsecPair({ connection: { mode: 'psk' } })
    await pair.start()
    for (const end of ['a', 'b'] as const) {
      const before = pair.b.seen('rotated').length
      await pair.charons[end].restart({ kill: true })
      await until(() => pair.b.seen('rotated').length > before, 'a rotation without an operator')
      await until(async () => (await pair[end].loaded()).length === 1, 'one key alone')
    }
    const ping = await pair.charons.ping()
    await ping.flows()
  })

  it('goes on after its agents were restarted, with nothing but what charon has', async () => {
    await using pair = await createIpsecPair({ connection: { mode: 'psk' } })
    await pair.start()
    await pair.a.stop()
    await pair.b.stop()
    const { a, b } = ends(pair)
    expect(await authenticate(a, b)).to.equal(undefined)
    await pair.b.start()
    await pair.a.start()
    expect(await pair.a.loaded()).to.have.length(1)
    await until(() => pair.a.seen('peer').at(-1)?.connected === true, 'the agents to meet')
    await pair.rotate()
    expect(await pair.a.loaded()).to.deep.equal([`qkd:${CONNECTION}:${pair.a.seen('rotated').at(-1)?.keyId}`])
    expect(await pair.b.loaded()).to.deep.equal(await pair.a.loaded())
  })
})
