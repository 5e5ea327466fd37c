import { expect } from 'chai'
import type { KvnoTable } from '../../../integrations/kerberos/kvno-table.ts'
import { openTicket } from '../../../integrations/kerberos/messages/ticket.ts'
import type { Kms } from '../../../lib/interface/kms.ts'
import { type HeldTicket, readCredentialCache } from '../../helpers/credential-cache.ts'
import { requireKerberos, type TestClient, type TestRealms } from '../../helpers/kdc-realm.ts'
import { kmsBackends } from '../../helpers/kms-backends.ts'
import { createTestSites, type TestSites } from '../../helpers/test-sites.ts'
import { encodeRequest, exchange, requestTicket } from '../../helpers/tgs-client.ts'
import { until } from '../../helpers/until.ts'
import type { AgentPair } from './agent-pair.ts'
import { loginsWhile } from './login-load.ts'

/** The trust under test: A issues, B accepts. */
export const TRUST = 'krbtgt/B.QKD@A.QKD'
/** A service of B, one of A. */
export const SERVICE = 'HTTP/host-b.test@B.QKD'
export const LOCAL_SERVICE = 'HTTP/host-a.test@A.QKD'
/** Life of a ticket in these tests, in seconds; retention adds no skew. */
export const TICKET_LIFE_SECONDS = 600

/** Two realms whose trust is keyed by two agents: alice's beside KDC A, bob's beside KDC B. */
export interface TrustRig extends AsyncDisposable {
  readonly realms: TestRealms
  readonly pair: AgentPair
  /** The agent of KDC A is gone, as after a crash. */
  stopIssuer(): Promise<void>
}

/** How the keys come to the KDCs. */
export interface KdcMode {
  readonly name: 'setup' | 'plugin'
  /**
   * Realms A.QKD and B.QKD with the trust principal in both, pool-only, and both services of B and A with random keys.
   * Clients' tickets live up to a day; the agents keep superseded versions for `TICKET_LIFE_SECONDS`.
   */
  build(
    kms: { readonly alice: Kms; readonly bob: Kms },
    options: {
      readonly now: () => number
      /** A KDC that holds keys itself issues no tickets under one that is older than this. */
      readonly maxAgeSeconds?: number
    },
  ): Promise<TrustRig>
  /** What the KDC of B says of a kvno that it has no key for: to the client, or in its log. */
  readonly unknownKvno: RegExp
  /** What the KDC of A says where there is no key of the pool at all. */
  readonly noKey: RegExp
  /** What it says to the client some time after its agent has stopped. */
  readonly stopped: RegExp
}

/** How many logins the rotation runs beside; the soak takes more. */
export interface TrustSuiteOptions {
  readonly logins?: number
}

/** What came of a promise that should fail. */
export async function failureOf(promise: Promise<unknown>): Promise<string> {
  return await promise.then(
    () => 'nothing failed',
    (error: Error) => error.message,
  )
}

/** A client of A with a ticket-granting ticket. */
export async function login(realms: TestRealms): Promise<TestClient> {
  const client = realms.client()
  await client.kinit('alice', 'alice-pw')
  return client
}

/** The ticket for `server` that the client holds. */
export async function heldTicket({ ccache }: TestClient, server: string): Promise<HeldTicket> {
  const held = (await readCredentialCache(ccache)).find(ticket => ticket.server === server)
  if (held === undefined) throw new Error(`The client holds no ticket for ${server}`)
  return held
}

/** The ticket opened with the key that the table has for its kvno. */
export function openWith(table: KvnoTable, { ticket, server }: HeldTicket) {
  const { kvno, enctype } = ticket.encrypted
  const key = table.resolve(server, kvno!)!.keys.find(each => each.enctype === enctype)!
  return openTicket(ticket, key)
}

/** The contract of a quantum-keyed trust, the same however the keys come to the KDCs. */
export function describeTrust(mode: KdcMode, { logins = 40 }: TrustSuiteOptions = {}): void {
  for (const backend of kmsBackends) {
    describe(`trust between two realms, mode ${mode.name} (${backend.name} KMS)`, function () {
      this.timeout(60_000)
      before(function () {
        requireKerberos(this)
      })

      it('lets a client of A reach a service of B under the kvno agreed on, with a genuine ticket', async () => {
        await using kms = await backend.create()
        await using rig = await mode.build(kms, { now: Date.now })
        const { current } = await rig.pair.agents[0].rotate(TRUST)
        const client = await login(rig.realms)
        expect(await client.kvno(TRUST)).to.equal(current.kvno)
        expect(await client.kvno(SERVICE)).to.be.above(0)
        const held = await heldTicket(client, TRUST)
        const { table } = rig.pair.ledgers[1]
        expect(table.resolve(TRUST, current.kvno)!.keyId).to.equal(current.keyId)
        const content = openWith(table, held)
        expect(content.client).to.deep.include({ components: ['alice'], realm: 'A.QKD' })
        expect(content.sessionKey.secret.equals(held.sessionKey.secret)).to.equal(true)
      })
    })
  }

  describe(`trust between two realms, mode ${mode.name}`, function () {
    this.timeout(60_000)
    let sites: TestSites
    let rig: TrustRig
    let aheadMs = 0
    const now = () => Date.now() + aheadMs

    before(async function () {
      requireKerberos(this)
      sites = await createTestSites()
    })
    after(() => sites?.[Symbol.asyncDispose]())
    beforeEach(async () => {
      aheadMs = 0
      rig = await mode.build(sites, { now })
      await rig.pair.agents[0].rotate(TRUST)
    })
    afterEach(() => rig?.[Symbol.asyncDispose]())

    const rotate = () => rig.pair.agents[0].rotate(TRUST)
    /** B's KDC asked once, by our own client, with the cross-realm ticket that `client` holds. */
    const ask = async (client: TestClient, alter: (held: HeldTicket) => HeldTicket = held => held) =>
      await requestTicket(rig.realms.realms[1]!.port, alter(await heldTicket(client, TRUST)), SERVICE)

    it('serves old tickets after a rotation and gives new ones the new kvno; after retention the old ones fail', async () => {
      const [early, late] = [await login(rig.realms), await login(rig.realms)]
      for (const client of [early, late]) expect(await client.kvno(TRUST)).to.equal(1)
      await rotate()
      expect(await early.kvno(SERVICE)).to.be.above(0)
      expect(await early.kvno(TRUST)).to.equal(1)
      const fresh = await login(rig.realms)
      expect(await fresh.kvno(TRUST)).to.equal(2)
      await fresh.kvno(SERVICE)
      aheadMs = TICKET_LIFE_SECONDS * 1000 + 1
      for (const ledger of rig.pair.ledgers) await ledger.expire()
      // A KDC with the module may go on for a second.
      const refusal = async () => `${await failureOf(ask(late))} ${await rig.realms.realms[1]!.logged()}`
      await until(async () => mode.unknownKvno.test(await refusal()), 'the KDC of B takes kvno 1 no more')
      await (await login(rig.realms)).kvno(SERVICE)
    })

    it(`loses none of ${logins} logins while it rotates`, async () => {
      const { failures, rotations } = await loginsWhile(rig.realms, { count: logins, service: SERVICE, rotate })
      expect(failures).to.deep.equal([])
      expect(rotations).to.be.above(1)
    })

    it('refuses a kvno that nobody announced, and says which', async () => {
      const client = await login(rig.realms)
      await client.kvno(TRUST)
      const alter = (held: HeldTicket): HeldTicket => ({
        ...held,
        ticket: { ...held.ticket, encrypted: { ...held.ticket.encrypted, kvno: 4711 } },
      })
      expect(`${await failureOf(ask(client, alter))} ${await rig.realms.realms[1]!.logged()}`).to.match(
        mode.unknownKvno,
      )
    })

    it('refuses a ticket of which one bit was turned', async () => {
      const client = await login(rig.realms)
      await client.kvno(TRUST)
      const alter = (held: HeldTicket): HeldTicket => {
        const cipher = Buffer.from(held.ticket.encrypted.cipher)
        cipher[20]! ^= 1
        return { ...held, ticket: { ...held.ticket, encrypted: { ...held.ticket.encrypted, cipher } } }
      }
      expect(await failureOf(ask(client, alter))).to.match(/error 31 /)
      expect(await rig.realms.realms[1]!.logged()).to.match(/Decrypt integrity check failed/)
    })

    it('refuses an authenticator that comes again with another request', async () => {
      const client = await login(rig.realms)
      await client.kvno(TRUST)
      const held = await heldTicket(client, TRUST)
      const port = rig.realms.realms[1]!.port
      const request = encodeRequest(held, SERVICE)
      const altered = Buffer.from(request)
      // The service asked for stands in the clear, under the authenticator's checksum.
      altered[altered.lastIndexOf('host-b')]! ^= 1
      const reply = await exchange(port, altered)
      expect(reply[0]).to.equal(0x7e)
      expect(await rig.realms.realms[1]!.logged()).to.match(/Inappropriate type of checksum|modified|integrity check/i)
    })

    it('fails closed for the trust and leaves the local realm alone when the agent is down', async () => {
      await rig[Symbol.asyncDispose]()
      rig = await mode.build(sites, { now: Date.now, maxAgeSeconds: 1 })
      // Before the first agreement there is no key at all.
      const noKey = async () => `${await failureOf(issue())} ${await rig.realms.realms[0]!.logged()}`
      const issue = async () => {
        const held = await heldTicket(await login(rig.realms), 'krbtgt/A.QKD@A.QKD')
        return await requestTicket(rig.realms.realms[0]!.port, held, TRUST)
      }
      expect(await noKey()).to.match(mode.noKey)
      await rotate()
      await (await login(rig.realms)).kvno(TRUST)
      await rig.stopIssuer()
      await until(async () => mode.stopped.test(await failureOf(issue())), 'the KDC issues no more for the trust')
      expect(await (await login(rig.realms)).kvno(LOCAL_SERVICE)).to.be.above(0)
    })
  })
}
