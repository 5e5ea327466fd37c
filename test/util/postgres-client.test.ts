import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { expect } from 'chai'
import { connectPostgres, type PostgresClient } from '../../lib/util/postgres-client.ts'
import { until } from '../helpers/until.ts'

const TIMEOUT_MS = 200
/** What a server says: that somebody is let in, that a statement was done, and a notice without content. */
const WELCOME = Buffer.from('5200000008000000005a0000000549', 'hex')
const DONE = Buffer.from('4300000009444f4e45005a0000000549', 'hex')
const NOTICE = Buffer.from('4e0000000500', 'hex')

/** A connection to a server that lets it in and leaves all further answers to the test. */
async function connectTo(onStatement: (socket: Socket) => void): Promise<{ client: PostgresClient; socket: Socket }> {
  const server = createServer({ allowHalfOpen: true })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  const accepted = once(server, 'connection').then(([socket]: Socket[]) => {
    socket!.once('data', () => {
      socket!.write(WELCOME)
      socket!.on('data', () => onStatement(socket!))
    })
    socket!.on('error', () => {})
    return socket!
  })
  const client = await connectPostgres({
    url: `postgres://qkd@127.0.0.1:${port}/qkd`,
    applicationName: 'test',
    timeoutMs: TIMEOUT_MS,
    neededBy: 'The test',
  })
  server.close()
  return { client, socket: await accepted }
}

describe('a connection to PostgreSQL', () => {
  it('leaves nothing open when it is closed and its server says nothing', async () => {
    const { client, socket } = await connectTo(() => {})
    await client[Symbol.asyncDispose]()
    // A machine refuses what comes for a socket that nobody has open: its server hears of it.
    await until(
      () => {
        if (!socket.destroyed) socket.write(NOTICE)
        return socket.destroyed
      },
      'the connection is gone',
      { timeoutMs: 1_000 },
    ).finally(() => socket.destroy())
  })

  it('ends what still waits once its time is over', async () => {
    const { client, socket } = await connectTo(to => setTimeout(() => to.write(DONE), TIMEOUT_MS * 0.6))
    const statements = ['first', 'second', 'third'].map(text => client.query(text))
    const settled = Promise.allSettled(statements)
    await client[Symbol.asyncDispose]()
    expect((await settled).map(({ status }) => status).at(-1)).to.equal('rejected')
    socket.destroy()
  })
})
