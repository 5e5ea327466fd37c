import { randomBytes } from 'node:crypto'
import { BlockMatcher } from '../../../compliance/block-matcher.ts'
import { createTcpRelay, type TcpRelay } from '../../tcp-relay.ts'
import { PartProcess } from './bb84-process.ts'

for (const apart of [false, true]) {
  describe(`Bb84Link between processes, ${apart ? 'the photon channel in a third' : 'the photon channel at Alice'}`, function () {
    this.timeout(60_000)
    const psk = randomBytes(32).toString('hex')
    const [alice, bob, photons] = [new PartProcess(), new PartProcess(), new PartProcess()]
    let relay: TcpRelay
    let photonRelay: TcpRelay
    let [alicePort, photonPort] = [0, 0]
    let matcher: BlockMatcher<Awaited<ReturnType<PartProcess['take']>>>
    const at = () => (apart ? { photonPort: photonRelay.port } : {})

    before(async () => {
      relay = await createTcpRelay(() => alicePort)
      photonRelay = await createTcpRelay(() => photonPort)
      if (apart) photonPort = await photons.start({ type: 'photons' })
      alicePort = await alice.start({ type: 'alice', psk, ...at() })
      await bob.start({ type: 'bob', psk, port: relay.port, ...at() })
      matcher = new BlockMatcher([options => alice.take(options), options => bob.take(options)])
    })

    after(async () => {
      await Promise.all([alice, bob, photons].map(part => part.kill()))
      await relay.close()
      await photonRelay.close()
    })

    it('gives both processes the same blocks', async () => {
      await matcher.match(60)
      await matcher.level()
    })

    it('goes on above every earlier number when Alice is killed and started again', async () => {
      await alice.kill()
      alicePort = await alice.start({ type: 'alice', psk, ...at() })
      await matcher.match(30)
      await matcher.realign()
    })

    it('goes on above every earlier number when Bob is killed and started again', async () => {
      await bob.kill()
      await bob.start({ type: 'bob', psk, port: relay.port, ...at() })
      await matcher.match(30)
      await matcher.realign()
    })

    if (!apart) return
    it('goes on when the photon channel is killed and started again', async () => {
      await photons.kill()
      photonPort = await photons.start({ type: 'photons' })
      await matcher.match(60)
      await matcher.realign()
    })
  })
}
