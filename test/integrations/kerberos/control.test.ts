import { chmod, stat } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { expect } from 'chai'
import { askAgent } from '../../../integrations/kerberos/control/control-client.ts'
import { createControlServer } from '../../../integrations/kerberos/control/control-server.ts'
import { keytabVault } from '../../../integrations/kerberos/keytab-sink.ts'
import { LedgerFile } from '../../../integrations/kerberos/versions/ledger-store.ts'
import { rejectsWith } from '../../helpers/rejects-with.ts'
import { createTempDir } from '../../helpers/temp-dir.ts'
import { createTestSites, type TestSites } from '../../helpers/test-sites.ts'
import { type AgentPair, createAgentPair } from './agent-pair.ts'

const TRUST = 'krbtgt/B.QKD@A.QKD'
const terms = { principal: TRUST, ticketLifeSeconds: 60, skewSeconds: 0 }

describe('ControlServer', () => {
  let sites: TestSites
  let pair: AgentPair
  before(async () => {
    sites = await createTestSites()
  })
  after(() => sites[Symbol.asyncDispose]())
  beforeEach(async () => {
    pair = await createAgentPair([
      { kms: sites.alice, principals: [{ ...terms, role: 'issuer', peerSaeId: 'bob' }] },
      { kms: sites.bob, principals: [{ ...terms, role: 'acceptor', peerSaeId: 'alice' }] },
    ])
  })
  afterEach(() => pair[Symbol.asyncDispose]())

  const serve = async (directory: string) => {
    const socketPath = join(directory, 'control.sock')
    const server = createControlServer(pair.agents[0], { socketPath })
    await server.listen()
    return { server, socketPath }
  }

  it('shows and steers an agent, over a socket that only its owner reaches', async () => {
    await using dir = await createTempDir()
    const { server, socketPath } = await serve(dir.path)
    await using _ = server
    expect((await stat(socketPath)).mode & 0o777).to.equal(0o600)
    expect((await askAgent(socketPath, { command: 'status' })).principals[0]).to.include({ current: null })
    const { kvno, keyId } = await askAgent(socketPath, { command: 'rotate', principal: TRUST })
    expect(kvno).to.equal(1)
    expect((await askAgent(socketPath, { command: 'status' })).principals[0]!.current).to.include({ kvno, keyId })
    expect((await askAgent(socketPath, { command: 'rekey', principal: TRUST })).epoch).to.be.above(65_535)
    await askAgent(socketPath, { command: 'forget', principal: TRUST })
    expect((await askAgent(socketPath, { command: 'status' })).principals).to.deep.equal([])
  })

  it('gives errors their own class again, and says it where no agent is', async () => {
    await using dir = await createTempDir()
    const { server, socketPath } = await serve(dir.path)
    const ask = () => askAgent(socketPath, { command: 'rotate', principal: 'HTTP/x@A.QKD' })
    expect((await rejectsWith(ask(), 'ERR_QKD_INVALID_ARGUMENT')).message).to.contain('not the issuer')
    await server.close()
    expect((await rejectsWith(ask(), 'ERR_QKD_CLOSED')).message).to.contain('start qkd kerberos agent')
  })

  it('refuses what is no request, and goes on', async () => {
    await using dir = await createTempDir()
    const { server, socketPath } = await serve(dir.path)
    await using _ = server
    for (const line of [
      '',
      'x',
      'null',
      '[]',
      '{"command":"stop"}',
      '{"command":"rotate"}',
      `"${'a'.repeat(5_000_000)}`,
    ]) {
      const socket = connect(socketPath)
      socket.on('error', () => {})
      let text = ''
      socket.setEncoding('utf8').on('data', chunk => {
        text += chunk
      })
      socket.write(`${line}\n`)
      // Not `once`, which an error of the socket would end.
      await new Promise(resolve => socket.once('close', resolve))
      // What is too long to be a request is cut off.
      if (line.length > 5_000) expect(text).to.equal('')
      else expect(JSON.parse(text), line).to.include({ ok: false })
    }
    expect((await askAgent(socketPath, { command: 'status' })).saeId).to.equal('alice')
  })

  it('leaves a socket to the agent that has it, and takes no directory that others may write', async () => {
    await using dir = await createTempDir()
    const { server, socketPath } = await serve(dir.path)
    const second = createControlServer(pair.agents[1], { socketPath })
    expect((await rejectsWith(second.listen(), 'ERR_QKD_CONFIG')).message).to.contain('listens at')
    await server.close()
    await chmod(dir.path, 0o777)
    expect((await rejectsWith(second.listen(), 'ERR_QKD_CONFIG')).message).to.contain('can be written by others')
  })
})

describe('KerberosAgent', () => {
  it('says that it can not write down what is agreed before any key is taken', async () => {
    await using sites = await createTestSites()
    const store = new LedgerFile('/nowhere/state.json', keytabVault('/nowhere/keytab'))
    const opened = createAgentPair([
      { kms: sites.alice, principals: [{ ...terms, role: 'issuer', peerSaeId: 'bob' }], store },
      { kms: sites.bob, principals: [{ ...terms, role: 'acceptor', peerSaeId: 'alice' }] },
    ])
    expect((await rejectsWith(opened, 'ERR_QKD_STORE')).message).to.contain("Can't write /nowhere/state.json")
  })
})
