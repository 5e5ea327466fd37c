import { readFile } from 'node:fs/promises'
import { createServer, type Server, type Socket } from 'node:net'
import { expect } from 'chai'
import type { KerberosKey } from '../../../../integrations/kerberos/enctype.ts'
import { openTicket } from '../../../../integrations/kerberos/messages/ticket.ts'
import { exportKey, SecretKey } from '../../../../lib/index.ts'
import { readCredentialCache } from '../../../helpers/credential-cache.ts'
import { buildKdcModule } from '../../../helpers/kdc-module.ts'
import { requireKerberos, type TestClient } from '../../../helpers/kdc-realm.ts'
import { peerProgram } from '../../../helpers/peer-program.ts'
import { announce, createPluginRealms, type PluginRealms, rotate } from '../../../helpers/plugin-realms.ts'
import { requestTicket } from '../../../helpers/tgs-client.ts'
import { failureOf, LOCAL_SERVICE, SERVICE, TRUST } from '../trust-suite.ts'

/** KDC_ERR_SVC_UNAVAILABLE: MIT's client would ask the realm's other KDCs, and wait where there are none. */
const UNAVAILABLE = /error 29 /

for (const build of ['all', 'checked'] as const) {
  describe(`KDC with the database module${build === 'checked' ? ', under sanitizers' : ''}`, function () {
    // Two KDCs start, and the sanitized build takes seconds.
    this.timeout(60_000)
    let realms: PluginRealms
    let nowMs: number

    before(async function () {
      requireKerberos(this)
      peerProgram(this, 'krb5-config', 'libkrb5-dev')
      await buildKdcModule(build)
    })
    beforeEach(async () => {
      nowMs = Date.now()
      realms = await createPluginRealms({ build, now: () => nowMs })
      const [a, b] = realms.realms
      await realms.addPoolPrincipal(0, TRUST)
      await realms.addPoolPrincipal(1, TRUST)
      await a!.kadmin(`addprinc -randkey ${LOCAL_SERVICE}`)
      await b!.kadmin(`addprinc -randkey ${SERVICE}`)
      await realms.startAgent(0, { validMs: 0 })
      await realms.startAgent(1, { validMs: 0 })
    })
    afterEach(async () => {
      await Promise.all(realms.realms.map(realm => realm.stop()))
      const reports = await realms.sanitizerReports()
      await realms[Symbol.asyncDispose]()
      expect(reports).to.equal('')
    })

    const tables = () => ({ issuer: realms.agents[0]!.table, acceptors: [realms.agents[1]!.table] })
    const login = async (): Promise<TestClient> => {
      const client = realms.client()
      await client.kinit('alice', 'alice-pw')
      return client
    }

    /** How the realm's KDC refuses a ticket for `service` to a client that holds one for the realm. */
    const refusal = async (at: 0 | 1, { ccache }: TestClient, service: string): Promise<string> => {
      const grant = (await readCredentialCache(ccache)).find(
        ({ server }) => server === (at === 0 ? 'krbtgt/A.QKD@A.QKD' : TRUST),
      )
      return await failureOf(requestTicket(realms.realms[at]!.port, grant!, service))
    }

    if (build === 'checked') {
      it('runs with the sanitized module', async () => {
        const maps = await readFile(`/proc/${realms.realms[0]!.pid}/maps`, 'utf8')
        expect(maps).to.include('checked/qkdkdb.so').and.to.include('libasan')
      })
    }

    it('seals tickets under the agreed key and shows its kvno; old tickets live until retention ends', async () => {
      rotate(tables(), TRUST, { retainMs: 60_000 })
      const early = await login()
      expect(await early.kvno(TRUST)).to.equal(1)
      expect(await early.kvno(SERVICE)).to.equal(1)
      const held = (await readCredentialCache(early.ccache)).find(({ server }) => server === TRUST)!
      const key = realms.agents[1]!.table.resolve(TRUST, 1)!.keys.find(
        ({ enctype }) => enctype === held.ticket.encrypted.enctype,
      )!
      const content = openTicket(held.ticket, key)
      expect(content.client).to.deep.include({ components: ['alice'], realm: 'A.QKD' })
      expect(content.sessionKey.secret.equals(held.sessionKey.secret)).to.equal(true)

      const unused = await login()
      await unused.kvno(TRUST)
      const late = await login()
      await late.kvno(TRUST)
      rotate(tables(), TRUST, { retainMs: 60_000 })
      expect(await unused.kvno(SERVICE)).to.equal(1)
      const fresh = await login()
      expect(await fresh.kvno(TRUST)).to.equal(2)
      await fresh.kvno(SERVICE)

      nowMs += 60_001
      expect(await failureOf(late.kvno(SERVICE))).to.match(/Key version is not available/)
      expect(await realms.realms[1]!.logged()).to.match(
        /kvno 1 of krbtgt\/B\.QKD@A\.QKD was never announced to the agent of this site, or its time is over/,
      )
      await (await login()).kvno(SERVICE)
    })

    it('asks for a key of its own for each ticket of a principal that is marked so, and for authenticated requests alone', async () => {
      const fresh = 'HTTP/fresh.test@A.QKD'
      await realms.addPoolPrincipal(0, fresh, 'ticket')
      const { table } = realms.agents[0]!
      await realms.stopAgent(0)
      await realms.startAgent(0, {
        issueTicketKey: principal => {
          const next = table.versions(principal).findLast(({ state }) => state === 'announced')
          return next && table.promote(principal, next.epoch, { retainMs: 60_000 })
        },
      })
      for (const epoch of [1, 2, 3]) announce([table], fresh, epoch)
      expect(await (await login()).kvno(fresh)).to.equal(1)
      expect(await (await login()).kvno(fresh)).to.equal(2)
      // An AS-REQ for the service is answered before anybody is authenticated: it gets what is current and uses nothing up.
      const client = realms.client()
      await client.kinit('alice', 'alice-pw', '-S', fresh)
      expect(table.current(fresh)!.kvno).to.equal(2)
      expect(await (await login()).kvno(fresh)).to.equal(3)
      expect(await refusal(0, await login(), fresh)).to.match(UNAVAILABLE)
      expect(await realms.realms[0]!.logged()).to.match(/QKD_KEY.* has no key for HTTP\/fresh\.test@A\.QKD now/)
    })

    it('wraps from kvno 65535 to 1 with old tickets still served', async () => {
      rotate(tables(), TRUST, { epoch: 65_534 })
      const before = await login()
      expect(await before.kvno(TRUST)).to.equal(65_534)
      rotate(tables(), TRUST)
      const last = await login()
      expect(await last.kvno(TRUST)).to.equal(65_535)
      rotate(tables(), TRUST)
      const wrapped = await login()
      expect(await wrapped.kvno(TRUST)).to.equal(1)
      for (const client of [wrapped, last, before]) expect(await client.kvno(SERVICE)).to.equal(1)
    })

    it('uses the agent’s key where the database has one too, and no other', async () => {
      await realms.realms[0]!.kadmin(`cpw -pw stored-key ${TRUST}`)
      await realms.realms[1]!.kadmin(`cpw -pw stored-key ${TRUST}`)
      expect(await refusal(0, await login(), TRUST)).to.match(UNAVAILABLE)
      rotate(tables(), TRUST, { epoch: 40 })
      const client = await login()
      expect(await client.kvno(TRUST)).to.equal(40)
      await client.kvno(SERVICE)
      await realms.realms[0]!.kadmin(`setstr ${TRUST} qkd sometimes`)
      expect(await refusal(0, await login(), TRUST)).to.match(/error 60 .*QKD_KEY/)
      expect(await realms.realms[0]!.logged()).to.match(/string attribute qkd must be epoch or ticket/)
    })

    it('fails closed while its agent is down, says so, leaves the local realm alone, and goes on when it is back', async () => {
      rotate(tables(), TRUST)
      const held = await login()
      await held.kvno(TRUST)
      await realms.stopAgent(0)
      const client = await login()
      expect(await refusal(0, client, TRUST)).to.match(UNAVAILABLE)
      expect(await realms.realms[0]!.logged()).to.match(
        /QKD_KEY.*krbtgt\/B\.QKD@A\.QKD: the agent at .* can't be reached/,
      )
      expect(await client.kvno(LOCAL_SERVICE)).to.equal(1)
      await realms.stopAgent(1)
      expect(await refusal(1, held, SERVICE)).to.match(UNAVAILABLE)
      await realms.startAgent(0)
      await realms.startAgent(1)
      await held.kvno(SERVICE)
      await (await login()).kvno(SERVICE)
    })

    it('waits for an agent that hangs twice, then for nobody', async () => {
      rotate(tables(), TRUST)
      await realms.stopAgent(0)
      await using _ = await listen(realms.agents[0]!.socketPath, () => {})
      const client = await login()
      for (let times = 0; times < 5; times += 1) {
        expect(await refusal(0, client, TRUST)).to.match(UNAVAILABLE)
        await client.kvno(LOCAL_SERVICE)
      }
      const log = await realms.realms[0]!.logged()
      const waits = [...log.matchAll(/did not answer within 200 ms and is not asked again for (\d+) ms/g)]
      expect(waits.map(([, ms]) => Number(ms))[0]).to.equal(500)
      expect(waits.length).to.be.below(5)
      expect(log).to.match(/did not answer before and is not asked for another/)
    })

    it('refuses a malformed reply and names the fault', async () => {
      rotate(tables(), TRUST)
      await realms.stopAgent(0)
      await using _ = await listen(realms.agents[0]!.socketPath, socket => {
        socket.on('data', () => socket.write(Buffer.alloc(52, 0x41)))
      })
      const client = await login()
      expect(await refusal(0, client, TRUST)).to.match(UNAVAILABLE)
      expect(await realms.realms[0]!.logged()).to.match(/QKD_KEY.*the reply of the agent at .* has a wrong head/)
      await client.kvno(LOCAL_SERVICE)
    })

    it('refuses a ticket under a key that differs in one bit, and a kvno that nobody announced', async () => {
      announce([tables().issuer], TRUST, 1)
      const keys: KerberosKey[] = realms.agents[0]!.table.resolve(TRUST, 1)!.keys.map(({ enctype, secret }) => {
        const bytes = exportKey(secret)
        bytes[31]! ^= 1
        return { enctype, secret: SecretKey.adopt(bytes) }
      })
      realms.agents[1]!.table.announce({ principal: TRUST, epoch: 1, keyId: 'stale', keys })
      realms.agents[0]!.table.promote(TRUST, 1, { retainMs: 0 })
      const client = await login()
      expect(await client.kvno(TRUST)).to.equal(1)
      expect(await failureOf(client.kvno(SERVICE))).to.match(/Decrypt integrity check failed/)
      expect(await realms.realms[1]!.logged()).to.match(/PROCESS_TGS.*Decrypt integrity check failed/)

      announce([realms.agents[0]!.table], TRUST, 2)
      realms.agents[0]!.table.promote(TRUST, 2, { retainMs: 0 })
      expect(await failureOf((await login()).kvno(SERVICE))).to.match(/Key version is not available/)
      expect(await realms.realms[1]!.logged()).to.match(/kvno 2 of krbtgt.* was never announced/)
    })
  })
}

/** A unix socket at which something else than an agent listens. */
async function listen(path: string, onSocket: (socket: Socket) => void): Promise<Server & AsyncDisposable> {
  const sockets = new Set<Socket>()
  const server = createServer(socket => {
    sockets.add(socket)
    socket.on('error', () => {})
    onSocket(socket)
  })
  await new Promise<void>(resolve => server.listen(path, resolve))
  return Object.assign(server, {
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise(resolve => server.close(resolve))
    },
  })
}
