import { BlockMatcher } from '../compliance/block-matcher.ts'
import { LinkEndProcess } from './link-end-process.ts'
import { createTcpRelay, type TcpRelay } from './tcp-relay.ts'

const rateBps = 50_000_000

describe('SimulatedLink between two processes', () => {
  const [alice, bob] = [new LinkEndProcess(), new LinkEndProcess()]
  let relay: TcpRelay
  let listenPort = 0
  let matcher: BlockMatcher<Awaited<ReturnType<LinkEndProcess['take']>>>

  before(async () => {
    relay = await createTcpRelay(() => listenPort)
    listenPort = await alice.start({ type: 'listen', rateBps })
    await bob.start({ type: 'connect', port: relay.port })
    matcher = new BlockMatcher([options => alice.take(options), options => bob.take(options)])
  })

  after(async () => {
    await Promise.all([alice.kill(), bob.kill()])
    await relay.close()
  })

  it('gives both processes the same blocks', async () => {
    await matcher.match(40)
    await matcher.level()
  })

  it('goes on above every earlier number when the source is killed and started again', async () => {
    await alice.kill()
    listenPort = await alice.start({ type: 'listen', rateBps })
    await matcher.match(40)
  })

  it('goes on above every earlier number when the source comes back with its clock set back', async () => {
    await alice.kill()
    listenPort = await alice.start({ type: 'listen', rateBps, clockMs: 1_000_000 })
    await matcher.match(40)
  })

  it('goes on above every earlier number when the sink is killed and started again', async () => {
    await bob.kill()
    await bob.start({ type: 'connect', port: relay.port })
    await matcher.match(40)
  })
})
