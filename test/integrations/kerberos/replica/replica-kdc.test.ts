import { join } from 'node:path'
import { expect } from 'chai'
import { createKeyServer, type KeyServer } from '../../../../integrations/kerberos/key-server.ts'
import { KvnoTable } from '../../../../integrations/kerberos/kvno-table.ts'
import { ReplicaFeed } from '../../../../integrations/kerberos/replica/replica-feed.ts'
import { ReplicaTable } from '../../../../integrations/kerberos/replica/replica-table.ts'
import { tableSink } from '../../../../integrations/kerberos/versions/key-sink.ts'
import { createMemoryChannelPair } from '../../../../lib/channel/memory-channel.ts'
import type { MessageChannel } from '../../../../lib/index.ts'
import { requireKerberos, type TestClient, type TestRealm } from '../../../helpers/kdc-realm.ts'
import { peerProgram } from '../../../helpers/peer-program.ts'
import { announce, createPluginRealms, type PluginRealms } from '../../../helpers/plugin-realms.ts'
import { clientOf, createReplicaKdc } from '../../../helpers/replica-kdc.ts'
import { createTestSites, type TestSites } from '../../../helpers/test-sites.ts'
import { requestTicket } from '../../../helpers/tgs-client.ts'
import { type AgentPair, createAgentPair } from '../agent-pair.ts'
import { trustTerms } from '../setup-mode.ts'
import { failureOf, heldTicket, login, SERVICE, TRUST } from '../trust-suite.ts'

describe('agents of a realm’s KDCs', function () {
  this.timeout(60_000)
  let sites: TestSites
  let realms: PluginRealms
  let replica: TestRealm
  let pair: AgentPair
  let feed: ReplicaFeed
  let table: ReplicaTable
  let server: KeyServer
  let link: MessageChannel
  let following: Promise<void>

  before(async function () {
    requireKerberos(this)
    peerProgram(this, 'krb5-config', 'libkrb5-dev')
    sites = await createTestSites()
    realms = await createPluginRealms()
    for (const at of [0, 1]) await realms.addPoolPrincipal(at, TRUST)
    await realms.realms[1]!.kadmin(`addprinc -randkey ${SERVICE}`)
    replica = await createReplicaKdc(realms, realms.realms[1]!)
    feed = new ReplicaFeed()
    pair = await createAgentPair([
      { kms: sites.alice, principals: [trustTerms('issuer', { wraps: true })], sink: tableSink },
      { kms: sites.bob, principals: [trustTerms('acceptor', { wraps: true })], sink: feed },
    ])
    for (const at of [0, 1] as const) await realms.startAgent(at, { keys: pair.ledgers[at].table, validMs: 0 })
    table = new ReplicaTable()
    server = createKeyServer(table, { socketPath: join(replica.directory, 'agent.sock'), validMs: 0 })
    await server.listen()
    connect()
  })
  after(async () => {
    await feed?.close()
    await following
    await server?.close()
    table?.[Symbol.dispose]()
    await replica?.stop()
    await pair?.[Symbol.asyncDispose]()
    await realms?.[Symbol.asyncDispose]()
    await sites?.[Symbol.asyncDispose]()
  })

  const connect = () => {
    const [mine, theirs] = createMemoryChannelPair(['kdc-b1', 'kdc-b2'])
    link = mine
    void feed.serve(mine)
    following = table.follow(theirs)
  }
  const rotate = () => pair.agents[0].rotate(TRUST)
  const issued = async (): Promise<TestClient> => {
    const client = await login(realms)
    await client.kvno(TRUST)
    return client
  }
  const askReplica = async (client: TestClient) =>
    await failureOf(heldTicket(client, TRUST).then(held => requestTicket(replica.port, held, SERVICE)))

  it('know a version before the other realm uses it', async () => {
    for (const kvno of [1, 2]) {
      expect((await rotate()).current.kvno).to.equal(kvno)
      expect(await askReplica(await issued())).to.equal('nothing failed')
    }
    expect(feed.connected).to.deep.equal(['kdc-b2'])
    expect(server.counters()).to.include({ refused: 0 })
  })

  it('send clients on to another KDC where they may have missed a version', async () => {
    const before = await issued()
    await link.close()
    await following
    expect(table.isFresh).to.equal(false)
    await rotate()
    const after = await issued()
    expect(await askReplica(after)).to.match(/error 29 /)
    expect(await askReplica(before)).to.equal('nothing failed')

    const client = await clientOf(realms, 'B.QKD', [replica.port, realms.realms[1]!.port])
    await client.kinit('alice', 'alice-pw')
    expect(await client.kvno(SERVICE)).to.be.above(0)
    expect(await replica.logged()).to.match(/the agent of this site has no key for krbtgt\/B\.QKD@A\.QKD now/)
  })

  it('have everything again once they are connected', async () => {
    connect()
    await rotate()
    expect(await askReplica(await issued())).to.equal('nothing failed')
  })

  it('stand in for one that is down', async () => {
    await realms.stopAgent(1)
    const client = await clientOf(realms, 'B.QKD', [realms.realms[1]!.port, replica.port])
    await client.kinit('alice', 'alice-pw')
    expect(await client.kvno(SERVICE)).to.be.above(0)
    await realms.startAgent(1, { keys: pair.ledgers[1].table, validMs: 0 })
  })

  it('do not hold a rotation up when one of them hangs', async () => {
    const [mine] = createMemoryChannelPair(['kdc-b1', 'kdc-b3'])
    const serving = feed.serve(mine)
    expect(feed.connected).to.deep.equal(['kdc-b2', 'kdc-b3'])
    await rotate()
    await serving
    expect(feed.connected).to.deep.equal(['kdc-b2'])
    expect(await askReplica(await issued())).to.equal('nothing failed')
  })

  it('say which key is stale where a KDC has its own idea of one', async () => {
    const stale = await createReplicaKdc({ ...realms, directory: join(realms.directory, 'stale') }, realms.realms[1]!)
    try {
      const client = await issued()
      const asked = await heldTicket(client, TRUST)
      expect(await failureOf(requestTicket(stale.port, asked, SERVICE))).to.match(/error 29 /)
      // As db2 alone: the same kvno with a key of long ago.
      await stale.stop()
      await stale.kadmin(`cpw -pw old-key ${TRUST}`)
      await stale.kadmin(`modprinc -kvno ${asked.ticket.encrypted.kvno} ${TRUST}`)
      await stale.kadmin(`delstr ${TRUST} qkd`)
      await stale.start()
      expect(await failureOf(requestTicket(stale.port, asked, SERVICE))).to.match(/error 31 /)
      expect(await stale.logged()).to.match(/Decrypt integrity check failed/)
    } finally {
      await stale.stop()
    }
  })
})

describe('ReplicaTable', () => {
  it('seals under nothing once its primary was away for too long', async () => {
    let nowMs = 1_000_000
    using table = new ReplicaTable({ maxStaleMs: 5000, now: () => nowMs })
    await using feed = new ReplicaFeed()
    using source = new KvnoTable({ now: () => nowMs })
    announce([source], TRUST, 7)
    source.promote(TRUST, 7, { retainMs: 1 })
    expect(table.current(TRUST)).to.equal(undefined)
    const [mine, theirs] = createMemoryChannelPair(['a', 'b'])
    const following = table.follow(theirs)
    void feed.serve(mine)
    await feed.apply({ principal: TRUST, versions: source.versions(TRUST), keepForeign: [], expiresMs: undefined })
    expect(table.isFresh).to.equal(true)
    expect(table.current(TRUST)!.keys[0]!.secret.equals(source.current(TRUST)!.keys[0]!.secret)).to.equal(true)
    await mine.close()
    await following
    nowMs += 5000
    expect(table.current(TRUST)!.kvno).to.equal(7)
    nowMs += 1
    expect(table.current(TRUST)).to.equal(undefined)
    expect(table.resolve(TRUST, 7)!.kvno).to.equal(7)
  })

  it('follows nobody who says what makes no sense', async () => {
    for (const bytes of [Buffer.of(9), Buffer.alloc(40, 1), Buffer.alloc(9)]) {
      using table = new ReplicaTable()
      const [mine, theirs] = createMemoryChannelPair(['a', 'b'])
      await mine.send(bytes)
      expect(await failureOf(table.follow(theirs))).to.match(/malformed|is not served/)
      expect(table.isFresh).to.equal(false)
      await mine.close()
    }
  })
})
