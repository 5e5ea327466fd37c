import { once } from 'node:events'
import { chmod, lstat, readdir, rename, writeFile } from 'node:fs/promises'
import { connect, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { expect } from 'chai'
import { createKeyServer, type KeyServerOptions } from '../../../integrations/kerberos/key-server.ts'
import { KvnoTable } from '../../../integrations/kerberos/kvno-table.ts'
import { SecretKey } from '../../../lib/index.ts'
import { rejectsWith } from '../../helpers/rejects-with.ts'
import { createTempDir } from '../../helpers/temp-dir.ts'

const PRINCIPAL = 'krbtgt/B.EXAMPLE@A.EXAMPLE'

/** A request in bytes. */
function request(op: string, { id = 1, kvno = 0, principal = PRINCIPAL, magic = 'QKD1' } = {}): Buffer {
  const head = Buffer.alloc(14)
  head.write(magic, 0)
  head.writeUInt32BE(id, 4)
  head.write(op, 8)
  head.writeUInt16BE(kvno, 10)
  head.writeUInt16BE(Buffer.byteLength(principal), 12)
  return Buffer.concat([head, Buffer.from(principal)])
}

/** What a KDC reads of a reply. */
async function readReply(socket: Socket) {
  const bytes = ((await once(socket, 'data')) as [Buffer])[0]
  expect(bytes.toString('latin1', 0, 4)).to.equal('QKD1')
  expect(bytes.readUInt16BE(14)).to.equal(bytes.byteLength - 16)
  return {
    id: bytes.readUInt32BE(4),
    status: bytes[8],
    kvno: bytes.readUInt16BE(10),
    validMs: bytes.readUInt16BE(12),
    keys: bytes.subarray(16).toString('hex'),
  }
}

describe('KeyServer', () => {
  let dir: Awaited<ReturnType<typeof createTempDir>>
  let table: KvnoTable
  let nowMs: number
  let socketPath: string

  const announce = (epoch: number) =>
    table.announce({
      principal: PRINCIPAL,
      epoch,
      keyId: `key-${epoch}`,
      keys: [{ enctype: 20, secret: SecretKey.copyOf(Buffer.alloc(32, epoch)) }],
    })
  const keys = (epoch: number) => `00140020${Buffer.alloc(32, epoch).toString('hex')}`

  beforeEach(async () => {
    dir = await createTempDir()
    socketPath = join(dir.path, 'agent.sock')
    nowMs = 1_000_000
    table = new KvnoTable({ now: () => nowMs })
  })
  afterEach(() => {
    table[Symbol.dispose]()
    return dir[Symbol.asyncDispose]()
  })

  const serve = async (options: Partial<KeyServerOptions> = {}) => {
    const server = createKeyServer(table, { socketPath, now: () => nowMs, ...options })
    await server.listen()
    return server
  }
  const ask = async (...requests: Buffer[]) => {
    const socket = connect(socketPath)
    try {
      socket.write(Buffer.concat(requests))
      return await readReply(socket)
    } finally {
      socket.destroy()
    }
  }

  it('gives the current key, and any version that was announced, and consumes neither', async () => {
    announce(1)
    announce(2)
    table.promote(PRINCIPAL, 1, { retainMs: 5000 })
    await using server = await serve()
    for (let times = 0; times < 3; times += 1) {
      expect(await ask(request('C', { id: 9 }))).to.deep.equal({
        id: 9,
        status: 0,
        kvno: 1,
        validMs: 1000,
        keys: keys(1),
      })
      expect(await ask(request('V', { kvno: 2 }))).to.include({ status: 0, kvno: 2, keys: keys(2) })
    }
    expect(table.versions(PRINCIPAL).map(({ state }) => state)).to.deep.equal(['announced', 'current'])
    expect(server.counters()).to.deep.equal({ served: 6, refused: 0, issued: 0, malformed: 0 })
  })

  it('gives nothing for a kvno that nobody announced, nor for one whose time is over', async () => {
    announce(1)
    table.promote(PRINCIPAL, 1, { retainMs: 5000 })
    announce(2)
    table.promote(PRINCIPAL, 2, { retainMs: 5000 })
    await using server = await serve()
    expect(await ask(request('V', { kvno: 3 }))).to.include({ status: 1, kvno: 0, validMs: 0, keys: '' })
    nowMs += 4600
    expect(await ask(request('V', { kvno: 1 }))).to.include({ status: 0, validMs: 400 })
    nowMs += 400
    expect(await ask(request('V', { kvno: 1 }))).to.include({ status: 1, keys: '' })
    expect(await ask(request('C', { principal: 'krbtgt/C@A' }))).to.include({ status: 2, keys: '' })
    expect(server.counters()).to.include({ served: 1, refused: 3 })
  })

  it('uses a key up for a ticket alone, and only where it was told how', async () => {
    announce(1)
    await using server = await serve()
    expect(await ask(request('T'))).to.include({ status: 3, keys: '' })
    await server.close()
    await using issuing = await serve({
      issueTicketKey: principal => {
        const next = table.versions(principal).findLast(({ state }) => state === 'announced')
        return next && table.promote(principal, next.epoch, { retainMs: 5000 })
      },
    })
    announce(2)
    expect(await ask(request('T'))).to.include({ status: 0, kvno: 1, validMs: 0, keys: keys(1) })
    expect(await ask(request('T'))).to.include({ status: 0, kvno: 2, validMs: 0, keys: keys(2) })
    expect(await ask(request('T'))).to.include({ status: 2, keys: '' })
    expect(await ask(request('V', { kvno: 1 }))).to.include({ status: 0, keys: keys(1) })
    expect(issuing.counters()).to.include({ issued: 2 })
  })

  it('takes a request in any pieces', async () => {
    announce(1)
    table.promote(PRINCIPAL, 1, { retainMs: 5000 })
    await using _ = await serve()
    const socket = connect(socketPath)
    for (const byte of request('C')) socket.write(Buffer.of(byte))
    expect(await readReply(socket)).to.include({ status: 0, kvno: 1 })
    socket.destroy()
  })

  for (const [what, bytes] of [
    ['another protocol', request('C', { magic: 'HTTP' })],
    ['an unknown operation', request('X')],
    ['a version without its number', request('V')],
    ['a number where none belongs', request('C', { kvno: 1 })],
    ['no principal', request('C', { principal: '' })],
    ['a principal that is too long', request('C', { principal: 'p'.repeat(513) })],
    [
      'a principal that is not UTF-8',
      Buffer.concat([request('C', { principal: 'pp' }).subarray(0, 14), Buffer.of(0xff, 0xff)]),
    ],
  ] as const) {
    it(`cuts a connection over which comes ${what}`, async () => {
      await using server = await serve()
      const socket = connect(socketPath)
      socket.on('error', () => {})
      socket.write(bytes)
      await once(socket, 'close')
      expect(server.counters()).to.include({ malformed: 1, served: 0 })
    })
  }

  it('drops who asks on and reads nothing', async () => {
    announce(1)
    table.promote(PRINCIPAL, 1, { retainMs: 5000 })
    await using server = await serve()
    const socket = connect(socketPath).pause()
    const closed = new Promise(resolve => socket.once('close', resolve))
    socket.on('error', () => {})
    const many = Buffer.concat(Array.from({ length: 1000 }, () => request('C')))
    const flood = (error?: Error | null) => {
      if (error == null) socket.write(many, flood)
    }
    flood()
    await closed
    expect(server.counters().malformed).to.equal(1)
  })

  it('makes a socket that its owner alone may use, and leaves nothing behind', async () => {
    const server = await serve()
    expect((await lstat(socketPath)).mode & 0o777).to.equal(0o600)
    expect(await readdir(dir.path)).to.deep.equal(['agent.sock'])
    await server.close()
    await server.close()
    expect(await readdir(dir.path)).to.deep.equal([])
    await using group = await serve({ socketMode: 0o660 })
    expect((await lstat(socketPath)).mode & 0o777).to.equal(0o660)
    await group.close()
    await rejectsWith(group.listen(), 'ERR_QKD_CLOSED')
  })

  it('refuses a directory to which others may write', async () => {
    await chmod(dir.path, 0o770)
    expect(await rejectsWith(serve(), 'ERR_QKD_CONFIG'))
      .to.have.property('message')
      .that.includes('chmod go-w')
    const nowhere = createKeyServer(table, { socketPath: join(dir.path, 'none', 'agent.sock') })
    await rejectsWith(nowhere.listen(), 'ERR_QKD_CONFIG')
  })

  it('replaces the socket of an agent that is gone, and no other file', async () => {
    const gone = createServer()
    gone.listen(join(dir.path, 'old'))
    await once(gone, 'listening')
    await rename(join(dir.path, 'old'), socketPath)
    await new Promise(resolve => gone.close(resolve))
    await using server = await serve()
    await rejectsWith(createKeyServer(table, { socketPath }).listen(), 'ERR_QKD_CONFIG')
    await server.close()
    await writeFile(socketPath, '')
    await rejectsWith(createKeyServer(table, { socketPath }).listen(), 'ERR_QKD_CONFIG')
  })

  it('refuses options that can’t be right', () => {
    expect(() => createKeyServer(table, { socketPath, validMs: 1001 })).to.throw(/validMs/)
    expect(() => createKeyServer(table, { socketPath, maxConnections: 0 })).to.throw(/maxConnections/)
  })
})
