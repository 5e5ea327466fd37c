import { readFile, writeFile } from 'node:fs/promises'
import { expect } from 'chai'
import { readCredentialCache } from '../../../helpers/credential-cache.ts'
import { requireKerberos } from '../../../helpers/kdc-realm.ts'
import { peerProgram } from '../../../helpers/peer-program.ts'
import { createPluginRealms, rotate } from '../../../helpers/plugin-realms.ts'
import { requestTicket } from '../../../helpers/tgs-client.ts'
import { failureOf, SERVICE, TRUST } from '../trust-suite.ts'

describe('database module', function () {
  this.timeout(60_000)

  before(async function () {
    requireKerberos(this)
    peerProgram(this, 'krb5-config', 'libkrb5-dev')
  })

  it('is the plain db2 to kadmin, which sees no key of the agent', async () => {
    await using realms = await createPluginRealms({ names: ['A.QKD'] })
    await realms.addPoolPrincipal(0, TRUST)
    rotate({ issuer: realms.agents[0]!.table, acceptors: [] }, TRUST)
    await realms.startAgent(0)
    expect(await realms.realms[0]!.kadmin(`getprinc ${TRUST}`)).to.match(/Number of keys: 0/)
    await realms.realms[0]!.kadmin(`modprinc -maxlife 10m ${TRUST}`)
    expect(realms.agents[0]!.server!.counters()).to.include({ served: 0, refused: 0 })
  })

  it('keeps a KDC from starting that does not say where the agent is', async () => {
    await using realms = await createPluginRealms({ names: ['A.QKD'] })
    const [realm] = realms.realms
    await realm!.stop()
    const path = realm!.env.KRB5_KDC_PROFILE!
    await writeFile(path, (await readFile(path, 'utf8')).replace(/ *qkd_socket.*\n/, ''))
    expect(await failureOf(realm!.start())).to.match(/cannot initialize realm/)
    expect(await realm!.logged()).to.match(/\[dbmodules\] qkd needs qkd_socket/)
  })

  it('asks from each worker process of a KDC over a connection of its own', async () => {
    await using realms = await createPluginRealms({ names: ['A.QKD'] })
    const [realm] = realms.realms
    await realms.addPoolPrincipal(0, TRUST)
    await realms.startAgent(0, { validMs: 0 })
    rotate({ issuer: realms.agents[0]!.table, acceptors: [] }, TRUST)
    await realm!.stop()
    await realm!.start({}, '-w', '3')
    const client = realms.client()
    await client.kinit('alice', 'alice-pw')
    const [grant] = await readCredentialCache(client.ccache)
    // A KDC drops the oldest connection where it has more than 45.
    const asker = async () => {
      for (let times = 0; times < 10; times += 1) await requestTicket(realm!.port, grant!, TRUST)
    }
    await Promise.all(Array.from({ length: 6 }, asker))
    expect(realms.agents[0]!.server!.counters()).to.include({ served: 60, refused: 0, malformed: 0 })
  })

  it('asks once while the agent says that its answer holds, and again after that', async () => {
    await using realms = await createPluginRealms()
    const counters = () => realms.agents.map(({ server }) => server!.counters().served)
    for (const at of [0, 1]) {
      await realms.addPoolPrincipal(at, TRUST)
      await realms.startAgent(at, { validMs: at === 0 ? 1000 : 0 })
    }
    await realms.realms[1]!.kadmin(`addprinc -randkey ${SERVICE}`)
    rotate({ issuer: realms.agents[0]!.table, acceptors: [realms.agents[1]!.table] }, TRUST)
    const client = realms.client()
    await client.kinit('alice', 'alice-pw')
    const [grant] = await readCredentialCache(client.ccache)
    const [a, b] = realms.realms
    for (let times = 0; times < 20; times += 1) {
      await requestTicket(b!.port, await requestTicket(a!.port, grant!, TRUST), SERVICE)
    }
    const [issuer, acceptor] = counters()
    expect(issuer).to.be.below(10)
    expect(acceptor).to.equal(20)
  })
})
