import { expect } from 'chai'
import { run } from '../../helpers/charon/run.ts'
import { type CharonPair, createCharonPair, requireCharon } from '../../helpers/charon-pair.ts'
import { until } from '../../helpers/until.ts'

const SECRETS = `secrets {
  ike-pair {
    id-1 = a
    id-2 = b
    secret = only for tests
  }
}
`

const conf = (own: 'a' | 'b') => {
  const [here, there] = own === 'a' ? [1, 2] : [2, 1]
  return `connections {
  pair {
    version = 2
    local_addrs = 192.0.2.${here}
    remote_addrs = 192.0.2.${there}
    proposals = aes256-sha256-x25519
    mobike = no
    dpd_delay = 1s
    local {
      auth = psk
      id = ${own}
    }
    remote {
      auth = psk
      id = ${own === 'a' ? 'b' : 'a'}
    }
    children {
      net {
        local_ts = 10.${here}.0.1/32
        remote_ts = 10.${there}.0.1/32
        esp_proposals = aes256gcm16-x25519
      }
    }
  }
}
${SECRETS}`
}

const connect = async ({ a, b }: CharonPair) => {
  await a.loadAll(conf('a'))
  await b.loadAll(conf('b'))
  await a.swanctl('--initiate', '--child', 'net', '--timeout', '5')
}

describe('createCharonPair', function () {
  this.timeout(30_000)
  before(function () {
    requireCharon(this)
  })

  it('carries pings in ESP, and counts those that a cut cable loses', async () => {
    await using pair = await createCharonPair()
    await connect(pair)
    await using ping = await pair.ping()
    ping.mark()
    await until(() => ping.received >= 20, 'twenty answers')
    ping.mark()
    await pair.b.namespace.setCable('down')
    await until(() => ping.timedOut >= 10, 'lost pings')
    await pair.b.namespace.setCable('up')
    await ping.flows()
    const { sent, received, lost, longestLoss, longestGapMs, lostAfterMarks } = await ping.stop()
    expect(lost).to.be.within(10, 200)
    expect(sent - received - lost).to.be.within(0, 1)
    expect(longestLoss).to.be.at.least(10)
    expect(longestGapMs).to.be.at.least(250)
    expect(lostAfterMarks).to.deep.equal([0, lost])
    const [sa] = await pair.a.sas()
    expect(sa).to.include({ connection: 'pair', state: 'ESTABLISHED', ppk: false, initiator: true })
    expect(sa!.children[0]).to.include({ name: 'net', state: 'INSTALLED' })
    expect(sa!.children[0]!.bytesOut).to.be.at.least(received * 64)
    expect(await pair.b.log()).to.match(/CHILD_SA net\{1\} established/)
  })

  it('brings a charon back after kill -9, without what it knew', async () => {
    await using pair = await createCharonPair({ settings: '  retransmit_timeout = 0.2\n  retransmit_tries = 2' })
    await connect(pair)
    await pair.b.restart({ kill: true })
    expect(await pair.b.sas()).to.deep.equal([])
    await until(async () => (await pair.a.sas()).length === 0, 'dead peer detection', { timeoutMs: 20_000 })
    await connect(pair)
    await using ping = await pair.ping()
    await ping.flows()
  })

  it('leaves no namespace, process or directory behind', async () => {
    const pair = await createCharonPair()
    const pids = [pair.a.pid!, pair.b.pid!]
    await pair[Symbol.asyncDispose]()
    expect(await run('ip', ['netns', 'list'])).to.not.contain(`qkd-${process.pid}-`)
    for (const pid of pids) expect(() => process.kill(pid, 0)).to.throw('ESRCH')
  })

  it('joins IKE_SAs without children where there is no TUN device', async () => {
    await using pair = await createCharonPair({ childless: true })
    for (const [node, own] of [
      [pair.a, 'a'],
      [pair.b, 'b'],
    ] as const) {
      await node.loadAll(conf(own).replace('mobike = no', 'mobike = no\n    childless = force'))
    }
    await pair.a.swanctl('--initiate', '--ike', 'pair', '--timeout', '5')
    expect((await pair.b.sas())[0]).to.include({ state: 'ESTABLISHED', ppk: false, initiator: false })
  })
})
