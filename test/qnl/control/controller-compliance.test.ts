import { createMemoryChannelPair } from '../../../lib/channel/memory-channel.ts'
import { PassingMemory } from '../../../lib/qnl/control/controller-memory.ts'
import { EmbeddedController } from '../../../lib/qnl/control/embedded-controller.ts'
import { createRemoteController } from '../../../lib/qnl/control/remote-controller.ts'
import { serveController } from '../../../lib/qnl/control/serve-controller.ts'
import { type NetworkControllerFixture, networkControllerCompliance } from '../../compliance/network-controller.ts'

const SITES = ['a', 'b', 'c'] as const
const closers = new WeakMap<NetworkControllerFixture, () => Promise<unknown>>()
const teardown = async (fixture: NetworkControllerFixture) => void (await closers.get(fixture)?.())

const openController = () =>
  EmbeddedController.open({
    controllerId: 'controller-1',
    sites: SITES.map(siteId => ({ siteId })),
    memory: new PassingMemory(),
    periodMs: 50,
  })

networkControllerCompliance({
  backend: 'embedded',
  setup: async () => {
    const controller = await openController()
    const fixture = { at: () => controller, operator: controller }
    closers.set(fixture, () => controller.close())
    return fixture
  },
  teardown,
})

networkControllerCompliance({
  backend: 'remote',
  setup: async () => {
    const controller = await openController()
    const dial = (peerId: string) => async () => {
      const [near, far] = createMemoryChannelPair([peerId, 'controller-1'])
      const options = {
        controllerId: 'controller-1',
        siteOf: (id: string) => SITES.find(siteId => id === `kme-${siteId}`),
        isOperator: (id: string) => id === 'ops',
      }
      void serveController(controller, far, options).catch(() => {})
      return near
    }
    const remotes = new Map(
      SITES.map(siteId => [siteId, createRemoteController({ siteId, dials: [dial(`kme-${siteId}`)] })]),
    )
    // One that may drain everything, and that a node joins through as well, for the case of a closed one.
    const operator = createRemoteController({ siteId: 'b', dials: [dial('ops')] })
    const fixture = { at: (siteId: (typeof SITES)[number]) => remotes.get(siteId)!, operator }
    closers.set(fixture, async () => {
      await Promise.all([...remotes.values(), operator].map(remote => remote.close()))
      await controller.close()
    })
    return fixture
  },
  teardown,
})
