import { chmod } from 'node:fs/promises'
import { expect } from 'chai'
import { requireCharon } from '../../../helpers/charon-pair.ts'
import { CONNECTION, createIpsecPair } from '../../../helpers/ipsec-pair.ts'
import { rejectsWith } from '../../../helpers/rejects-with.ts'
import { until } from '../../../helpers/until.ts'

describe('IpsecAgent', function () {
  this.timeout(60_000)
  before(function () {
    requireCharon(this)
  })

  it('refuses to start where both ends are the initiator, and says so', async () => {
    await using pair = await createIpsecPair({ only: { b: { role: 'initiator' } } })
    await pair.a.start()
    const error = await rejectsWith(pair.b.start(), 'ERR_QKD_CONFIG')
    expect(error.message).to.equal(
      `Connection "${CONNECTION}": both ends have the role "initiator": set "responder" at one of them`,
    )
    const alarms = (await pair.a.agent.status()).alarms.map(({ id }) => id)
    expect(alarms).to.include('role-conflict')
    expect(await pair.charons.a.sas()).to.deep.equal([])
  })

  it('says so where nobody is the initiator', async () => {
    await using pair = await createIpsecPair({ only: { a: { role: 'responder' } } })
    await pair.a.start()
    await pair.b.start()
    const { alarms } = await pair.a.agent.status()
    expect(alarms.map(({ id }) => id)).to.deep.equal(['no-peer'])
  })

  for (const [what, only, text] of [
    ['modes that differ', { b: { mode: 'psk', secretFile: undefined } }, /different modes/],
    ['identities that do not fit', { b: { local: { id: 'other', addresses: ['192.0.2.2'] } } }, /identities/],
    ['a connection that the other end lacks', { b: { name: 'other' } }, /no connection of that name/],
  ] as const) {
    it(`raises an alarm at ${what}, and waits for it to be mended`, async () => {
      await using pair = await createIpsecPair({ only })
      await pair.b.start()
      await pair.a.start()
      const { alarms } = await pair.a.agent.status()
      expect(alarms.find(({ id }) => id === 'peer-refuses')?.text).to.match(text)
      expect(await pair.charons.a.sas()).to.deep.equal([])
    })
  }

  it('names a connection that charon refuses, and serves the others', async () => {
    await using pair = await createIpsecPair({ reconcileSeconds: 1 })
    const [good] = pair.a.config.connections
    const bad = { ...good!, name: 'bad', settings: { no_such_setting: 'yes' } }
    pair.a.config = { ...pair.a.config, connections: [bad, good!] }
    await pair.start()
    const { alarms } = await pair.a.agent.status()
    expect(alarms.find(({ id }) => id === 'not-provisioned')).to.deep.include({ connection: 'bad' })
    expect(alarms.find(({ id }) => id === 'not-provisioned')?.text).to.match(/no_such_setting/)
  })

  it('does not start with a secret that others may read', async () => {
    await using pair = await createIpsecPair()
    await chmod(pair.a.config.connections[0]!.secretFile!, 0o644)
    const error = await rejectsWith(pair.a.start(), 'ERR_QKD_CONFIG')
    expect(error.message).to.match(/others may read this secret; run chmod 600/)
  })

  it('never leaves an SA up with a gateway that requires no PPK and has none', async () => {
    // The other gateway has no agent; its connection is as an admin wrote it.
    await using pair = await createIpsecPair()
    const secret = 'a static secret of both gateways'
    await pair.charons.b.loadAll(`
      connections { plain { version = 2
        local_addrs = 192.0.2.2
        remote_addrs = 192.0.2.1
        proposals = aes256-sha256-x25519
        local { auth = psk
          id = gateway-b
        }
        remote { auth = psk
          id = gateway-a
        }
        children { net { local_ts = 10.2.0.0/24
          remote_ts = 10.1.0.0/24
          esp_proposals = aes256gcm16-x25519
        } }
      } }
      secrets { ike-1 { secret = "${secret}"
      } }
    `)
    await pair.a.start()
    // The agent's own connection asks for a PPK: charon gives up, whoever begins.
    await pair.charons.a.swanctl('--initiate', '--child', 'net', '--timeout', '5').catch(String)
    expect(await pair.charons.a.log()).to.match(/PPK required but peer does not support PPK/)
    const refused = await pair.charons.b.swanctl('--initiate', '--child', 'net', '--timeout', '5').catch(String)
    expect(refused).to.match(/failed/)
    const sas = [...(await pair.charons.a.sas()), ...(await pair.charons.b.sas())]
    expect(sas.filter(({ state }) => state === 'ESTABLISHED')).to.deep.equal([])

    // Somebody takes the requirement away: now charon itself would leave it up.
    await pair.charons.a.loadAll(`
      connections { ${CONNECTION} { version = 2
        local_addrs = 192.0.2.1
        remote_addrs = 192.0.2.2
        proposals = aes256-sha256-x25519
        local { auth = psk
          id = gateway-a
        }
        remote { auth = psk
          id = gateway-b
        }
        children { net { local_ts = 10.1.0.0/24
          remote_ts = 10.2.0.0/24
          esp_proposals = aes256gcm16-x25519
        } }
      } }
      secrets { ike-1 { secret = "${secret}"
      } }
    `)
    await pair.charons.a.swanctl('--initiate', '--child', 'net', '--timeout', '5').catch(String)
    expect(await pair.charons.a.log()).to.match(/IKE_SA site-b\[\d+\] established/)
    await until(async () => (await pair.charons.a.sas()).length === 0, 'the SA to be taken down')
    expect((await pair.a.agent.status()).alarms.map(({ id }) => id)).to.include('no-ppk')
    await until(
      async () => (await pair.charons.a.swanctl('--list-conns', '--raw')).includes('ppk_required=yes'),
      'the connection as it must be',
    )
  })

  it('takes a connection down whose key is older than it may be, and brings it up on a new one', async () => {
    const connection = { rotation: { everySeconds: 2 }, hardExpirySeconds: 3 }
    await using pair = await createIpsecPair({ connection })
    await pair.start()
    pair.wire.down = true
    await pair.wire.cut()
    await until(async () => (await pair.charons.a.sas()).length === 0, 'the end of the SA')
    // Whichever looks first takes it down for both.
    const raised = [...pair.a.seen('alarm'), ...pair.b.seen('alarm')].map(({ alarm }) => alarm.id)
    expect(raised).to.include('hard-expiry')
    pair.wire.down = false
    await pair.a.agent.rotate(CONNECTION).catch(() => {})
    await until(async () => (await pair.charons.a.sas()).some(({ ppk }) => ppk), 'an SA on a new key')
    await until(() => pair.b.seen('rotated').length > 1, 'the rotation at the responder')
    for (const gateway of [pair.a, pair.b]) {
      expect((await gateway.agent.status()).alarms.map(({ id }) => id)).to.not.include('hard-expiry')
    }
  })
})
