import { expect } from 'chai'
import { createMemoryChannelPair } from '../../../lib/channel/memory-channel.ts'
import type { MessageChannel } from '../../../lib/interface/message-channel.ts'
import { encodeControl } from '../../../lib/qnl/control/control-message.ts'
import { PassingMemory } from '../../../lib/qnl/control/controller-memory.ts'
import { EmbeddedController } from '../../../lib/qnl/control/embedded-controller.ts'
import { createRemoteController } from '../../../lib/qnl/control/remote-controller.ts'
import { serveController } from '../../../lib/qnl/control/serve-controller.ts'
import { rejectsWith } from '../../helpers/rejects-with.ts'

const openController = () =>
  EmbeddedController.open({
    controllerId: 'c1',
    sites: [{ siteId: 'a' }, { siteId: 'b' }],
    memory: new PassingMemory(),
  })

const options = {
  controllerId: 'c1',
  siteOf: (peerId: string) => (peerId === 'kme-a' ? 'a' : undefined),
  isOperator: (peerId: string) => peerId === 'ops',
}

/** One that talks to a controller by hand. */
async function raw(messages: readonly Uint8Array[], peerId = 'kme-a') {
  await using controller = await openController()
  const [near, far] = createMemoryChannelPair([peerId, 'c1'])
  const served = serveController(controller, far, options)
  for (const message of messages) await near.send(message).catch(() => {})
  return await rejectsOrEnds(served, near)
}

async function rejectsOrEnds(served: Promise<void>, near: MessageChannel): Promise<string> {
  try {
    await served
    return 'ended'
  } catch (error) {
    return (error as Error).message
  } finally {
    await near.close()
  }
}

describe('serveController', () => {
  it('refuses peers that are neither of a site nor operators', async () => {
    expect(await raw([], 'mallory')).to.match(/neither of a site of this network nor an operator/)
  })

  it('ends with a node that speaks for another site, or breaks the rules', async () => {
    const join = encodeControl({ type: 'join', siteId: 'a' })
    const report = { siteId: 'a', epoch: 0, links: [], demands: [] }
    for (const [messages, reason] of [
      [[encodeControl({ type: 'join', siteId: 'b' })], /does not speak for site "b"/],
      [[encodeControl({ type: 'report', report })], /before the node has joined/],
      [
        [join, encodeControl({ type: 'report', report: { ...report, epoch: -1 } })],
        /message to the controller is wrong/,
      ],
      [[join, Buffer.from('{"type":"rule"}')], /message to the controller is wrong/],
      [[Buffer.from('no json')], /not JSON/],
    ] as const) {
      expect(await raw(messages)).to.match(reason)
    }
  })

  it('lets a site drain itself and its links, and nobody else', async () => {
    await using controller = await openController()
    const dial = (peerId: string) => async () => {
      const [near, far] = createMemoryChannelPair([peerId, 'c1'])
      void serveController(controller, far, options).catch(() => {})
      return near
    }
    const link = { linkId: 'a-b', state: 'up', secrecy: 'none', rateBps: 1, stockBits: 0 } as const
    const seat = controller.join('b', () => {})
    seat.report({ siteId: 'b', epoch: 0, links: [{ ...link, remoteSiteId: 'a' }], demands: [] })
    await using site = createRemoteController({ siteId: 'a', dials: [dial('kme-a')] })
    const signal = AbortSignal.timeout(8000)
    expect(await site.drain({ linkId: 'a-b' }, { signal })).to.deep.equal(['a-b'])
    expect(await site.restore({ siteId: 'a' }, { signal })).to.deep.equal(['a-b'])
    await rejectsWith(site.drain({ siteId: 'b' }, { signal }), 'ERR_QKD_UNAUTHORIZED')
    await using operator = createRemoteController({ dials: [dial('ops')] })
    expect(await operator.drain({ siteId: 'b' }, { signal })).to.deep.equal(['a-b'])
  })

  it('is found again by a node whose connection was lost, with what it reported last', async () => {
    await using controller = await openController()
    const channels: MessageChannel[] = []
    await using remote = createRemoteController({
      siteId: 'a',
      backOff: { minMs: 1, maxMs: 2 },
      dials: [
        async () => {
          const [near, far] = createMemoryChannelPair(['kme-a', 'c1'])
          channels.push(far)
          void serveController(controller, far, options).catch(() => {})
          return near
        },
      ],
    })
    const states: string[] = []
    const joined = () => states.filter(state => state === 'a joined').length
    controller.onEvent(event => event.type === 'site' && states.push(`${event.siteId} ${event.state}`))
    const seat = remote.join('a', () => {})
    seat.report({ siteId: 'a', epoch: 0, links: [], demands: [] })
    const signal = AbortSignal.timeout(8000)
    await remote.status({ signal })
    await channels[0]!.close()
    while (joined() < 2) await remote.status({ signal })
    expect(states.slice(0, 3)).to.deep.equal(['a joined', 'a away', 'a joined'])
  })
})

describe('EmbeddedController', () => {
  it('gives a node that goes by a higher plan than its own one above that, also where nothing else has changed', async () => {
    await using controller = await EmbeddedController.open({
      controllerId: 'c1',
      sites: [{ siteId: 'a' }, { siteId: 'b' }],
      memory: new PassingMemory(),
      periodMs: 10,
    })
    await new Promise<void>(resolve => {
      controller.join('a', () => resolve()).report({ siteId: 'a', epoch: 0, links: [], demands: [] })
    })
    // Its controller before this one had counted further, and its state is lost.
    const above = await new Promise<number>(resolve => {
      const seat = controller.join('b', ({ epoch }) => epoch > 57 && resolve(epoch))
      seat.report({ siteId: 'b', epoch: 57, links: [], demands: [] })
    })
    expect(above).to.equal(1001)
  })
})
