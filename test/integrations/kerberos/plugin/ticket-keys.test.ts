import { expect } from 'chai'
import { requireKerberos } from '../../../helpers/kdc-realm.ts'
import { kmsBackends } from '../../../helpers/kms-backends.ts'
import { peerProgram } from '../../../helpers/peer-program.ts'
import { createPluginRealms } from '../../../helpers/plugin-realms.ts'
import { until } from '../../../helpers/until.ts'
import { createAgentPair } from '../agent-pair.ts'
import { trustTerms } from '../setup-mode.ts'
import { heldTicket, login, openWith, SERVICE, TRUST } from '../trust-suite.ts'

for (const backend of kmsBackends) {
  describe(`a key for every ticket (${backend.name} KMS)`, function () {
    this.timeout(60_000)
    before(function () {
      requireKerberos(this)
      peerProgram(this, 'krb5-config', 'libkrb5-dev')
    })

    it('comes from a window that both agents hold, and is filled up as it empties', async () => {
      await using kms = await backend.create()
      await using realms = await createPluginRealms()
      for (const at of [0, 1]) await realms.addPoolPrincipal(at, TRUST, 'ticket')
      await realms.realms[1]!.kadmin(`addprinc -randkey ${SERVICE}`)
      const window = 4
      await using pair = await createAgentPair([
        { kms: kms.alice, principals: [trustTerms('issuer', { wraps: true, window })] },
        { kms: kms.bob, principals: [trustTerms('acceptor', { wraps: true, window })] },
      ])
      const [issuer, acceptor] = pair.ledgers
      await realms.startAgent(0, {
        keys: issuer.table,
        validMs: 0,
        issueTicketKey: principal => pair.agents[0].issueTicketKey(principal),
      })
      await realms.startAgent(1, { keys: acceptor.table })
      await pair.agents[0].rotate(TRUST)
      const kvnos: number[] = []
      for (let ticket = 0; ticket < 6; ticket += 1) {
        await until(
          () => issuer.table.versions(TRUST).some(({ state }) => state === 'announced'),
          'the window is filled up',
        )
        const client = await login(realms)
        kvnos.push(await client.kvno(TRUST))
        expect(openWith(acceptor.table, await heldTicket(client, TRUST)).client.components).to.deep.equal(['alice'])
        await client.kvno(SERVICE)
      }
      expect(kvnos).to.deep.equal([2, 3, 4, 5, 6, 7])
      expect(realms.agents[0]!.server!.counters()).to.include({ issued: 6, refused: 0 })
    })
  })
}
