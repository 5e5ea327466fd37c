import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect } from 'chai'
import { buildKdcModule } from '../../../helpers/kdc-module.ts'
import { peerProgram } from '../../../helpers/peer-program.ts'
import { createTempDir } from '../../../helpers/temp-dir.ts'
import { AgentProgram } from './agent-program.ts'

const PRINCIPAL = 'krbtgt/B.EXAMPLE@A.EXAMPLE'

/** An agent that answers each request with what `answer` makes of it, in pieces as given; nothing for undefined. */
async function fakeAgent(
  path: string,
  answer: (request: Buffer, socket: Socket) => Buffer[] | undefined,
): Promise<Server & AsyncDisposable> {
  const sockets = new Set<Socket>()
  const server = createServer(socket => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('data', request => {
      for (const piece of answer(request, socket) ?? []) socket.write(piece)
    })
  })
  server.listen(path)
  await once(server, 'listening')
  return Object.assign(server, {
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise(resolve => server.close(resolve))
    },
  })
}

interface ReplyFields {
  status?: number
  count?: number
  kvno?: number
  validMs?: number
  bodyBytes?: number
  keys?: readonly { enctype: number; size: number; bytes?: number }[]
}

/** A reply to `request`, right but for the fields that are given. */
function reply(request: Buffer, { keys = [{ enctype: 20, size: 32 }], ...fields }: ReplyFields = {}): Buffer {
  const body = Buffer.concat(
    keys.map(({ enctype, size, bytes = size }) => {
      const head = Buffer.alloc(4)
      head.writeUInt16BE(enctype, 0)
      head.writeUInt16BE(size, 2)
      return Buffer.concat([head, Buffer.alloc(bytes, 0xab)])
    }),
  )
  const head = Buffer.alloc(16)
  request.copy(head, 0, 0, 8)
  head.writeUInt8(fields.status ?? 0, 8)
  head.writeUInt8(fields.count ?? keys.length, 9)
  head.writeUInt16BE(fields.kvno ?? (request.readUInt16BE(10) || 7), 10)
  head.writeUInt16BE(fields.validMs ?? 0, 12)
  head.writeUInt16BE(fields.bodyBytes ?? body.byteLength, 14)
  return Buffer.concat([head, body])
}

describe('the KDC module’s way to the agent', function () {
  // Building under sanitizers takes some seconds.
  this.timeout(60_000)
  let programs: string
  let dir: Awaited<ReturnType<typeof createTempDir>>
  let socketPath: string

  before(async function () {
    peerProgram(this, 'gcc', 'gcc')
    peerProgram(this, 'krb5-config', 'libkrb5-dev')
    programs = await buildKdcModule('checked')
  })
  beforeEach(async () => {
    dir = await createTempDir()
    socketPath = join(dir.path, 'agent.sock')
  })
  afterEach(() => dir[Symbol.asyncDispose]())

  const program = () => new AgentProgram(join(programs, 'ask-agent'), socketPath)

  it('reads every reply that an agent may write, and no other, whatever comes', async () => {
    const { stdout } = await promisify(execFile)(join(programs, 'fuzz-reply'), ['200000', '8'])
    expect(stdout).to.match(/^200000 replies, \d{5,} taken$/m)
  })

  it('takes a reply in any pieces, and asks again over the same connection', async () => {
    const connections = new Set<Socket>()
    await using _ = await fakeAgent(socketPath, (request, socket) => {
      connections.add(socket)
      return [...reply(request, { validMs: 1000 })].map(byte => Buffer.of(byte))
    })
    await using asker = program()
    expect(await asker.ask(`C ${PRINCIPAL}`)).to.equal('status 0 kvno 7 valid 1000 20:32:ab')
    expect(await asker.ask(`V ${PRINCIPAL} 65535`)).to.equal('status 0 kvno 65535 valid 1000 20:32:ab')
    expect(connections.size).to.equal(1)
  })

  const faults: readonly [what: string, op: string, fields: ReplyFields, message: RegExp][] = [
    ['of another size than its head says', 'C', { bodyBytes: 35 }, /has a key of a wrong type or size|is cut short/],
    ['longer than any', 'C', { bodyBytes: 65_535 }, /wrong head/],
    ['with an unknown status', 'C', { status: 9 }, /unknown status/],
    ['that gives and refuses at once', 'C', { status: 1 }, /gives and refuses/],
    ['without a key', 'C', { keys: [] }, /no key, or too many/],
    ['with too many keys', 'C', { count: 5 }, /no key, or too many/],
    [
      'with more keys than it says',
      'C',
      { count: 1, keys: [20, 18].map(enctype => ({ enctype, size: 32 })) },
      /to spare/,
    ],
    ['with kvno 0', 'C', { kvno: 0 }, /another kvno/],
    ['for another kvno', 'V', { kvno: 9 }, /another kvno/],
    ['that is valid for too long', 'C', { validMs: 1001 }, /too long/],
    ['that would have a ticket’s own key used again', 'T', { validMs: 1 }, /too long/],
    ['with a key of a type that is not served', 'C', { keys: [{ enctype: 23, size: 16 }] }, /wrong type or size/],
    ['with a key that is too short for its type', 'C', { keys: [{ enctype: 20, size: 16 }] }, /wrong type or size/],
    ['with two keys of one type', 'C', { keys: [20, 20].map(enctype => ({ enctype, size: 32 })) }, /two keys/],
    ['with a key that is cut short', 'C', { keys: [{ enctype: 20, size: 32, bytes: 31 }] }, /cut short/],
  ]
  for (const [what, op, fields, message] of faults) {
    it(`refuses a reply ${what}, names the fault, and takes the next good one`, async () => {
      let bad = true
      await using _ = await fakeAgent(socketPath, request => [reply(request, bad ? fields : {})])
      await using asker = program()
      const question = `${op} ${PRINCIPAL}${op === 'V' ? ' 5' : ''}`
      expect(await asker.ask(question))
        .to.match(/^none: the reply of the agent at .* /)
        .and.match(message)
      bad = false
      expect(await asker.ask(question)).to.match(/^status 0 /)
    })
  }

  it('refuses a reply to another request', async () => {
    await using _ = await fakeAgent(socketPath, request => {
      request.writeUInt32BE(request.readUInt32BE(4) ^ 1, 4)
      return [reply(request)]
    })
    await using asker = program()
    expect(await asker.ask(`C ${PRINCIPAL}`)).to.match(/^none: .*wrong head/)
  })

  it('says what a refusal of the agent is', async () => {
    await using _ = await fakeAgent(socketPath, request => [reply(request, { status: 1, kvno: 0, keys: [] })])
    await using asker = program()
    expect(await asker.ask(`V ${PRINCIPAL} 5`)).to.equal('status 1 kvno 0 valid 0')
  })

  it('waits for an agent that hangs twice, and then leaves it alone', async () => {
    await using _ = await fakeAgent(socketPath, request => [reply(request).subarray(0, 20)])
    await using asker = program()
    expect(await asker.ask(`C ${PRINCIPAL}`)).to.match(/did not answer within 200 ms$/)
    expect(await asker.ask(`C ${PRINCIPAL}`)).to.match(
      /did not answer within 200 ms and is not asked again for 500 ms$/,
    )
    for (let times = 0; times < 3; times += 1) {
      expect(await asker.ask(`C ${PRINCIPAL}`)).to.match(/did not answer before and is not asked for another \d+ ms/)
    }
  })

  it('finds an agent that was started again at once', async () => {
    await using asker = program()
    expect(await asker.ask(`C ${PRINCIPAL}`)).to.match(/can't be reached: No such file/)
    for (let times = 0; times < 3; times += 1) {
      await using _ = await fakeAgent(socketPath, request => [reply(request)])
      expect(await asker.ask(`C ${PRINCIPAL}`)).to.match(/^status 0 /)
    }
    expect(await asker.ask(`C ${PRINCIPAL}`)).to.match(/^none: /)
  })

  it('believes no agent that is another user’s', async function () {
    if (process.getuid?.() !== 0) this.skip()
    const script = `require('net').createServer().listen(${JSON.stringify(socketPath)}, () => console.log('up'))`
    await promisify(execFile)('chmod', ['777', dir.path])
    const child = spawn(process.execPath, ['-e', script], { uid: 65_534, gid: 65_534, cwd: '/' })
    try {
      await once(child.stdout, 'data')
      await using asker = program()
      expect(await asker.ask(`C ${PRINCIPAL}`)).to.match(/is served by user 65534, who is not the agent/)
    } finally {
      child.kill()
    }
  })
})
