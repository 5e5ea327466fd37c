import { expect } from 'chai'
import { connectChannel, createChannelListener } from '../../../../integrations/tls/index.ts'
import { requireCharon } from '../../../helpers/charon-pair.ts'
import { convergence, createIpsecPair, type IpsecPair, keysInTheOpen } from '../../../helpers/ipsec-pair.ts'
import { rotateUnderPing } from '../../../helpers/ipsec-trial.ts'
import { kmsBackends } from '../../../helpers/kms-backends.ts'

for (const { name, create } of kmsBackends) {
  describe(`IpsecAgent (${name} KMS)`, function () {
    this.timeout(60_000)
    before(function () {
      requireCharon(this)
    })

    it('keeps a tunnel on fresh keys, agreed on over TLS under a key of the same KMS', async () => {
      const kms = await create()
      let pair: IpsecPair | undefined
      await using listener = createChannelListener(kms.bob, {
        peers: [{ saeId: 'alice' }],
        onChannel: channel => pair?.b.agent.accept(channel),
      })
      const { host, port } = await listener.listen()
      const dial = {
        a: (signal: AbortSignal) => connectChannel(kms.alice, { host, port, peerSaeId: 'bob', signal }),
        b: () => Promise.reject(new Error('The responder does not dial')),
      }
      await using opened = await createIpsecPair({ kms: async () => kms, dial })
      pair = opened
      await pair.start()
      const { worst } = await rotateUnderPing(pair, 3)
      expect(worst).to.be.at.most(3)
      expect(await convergence(pair)).to.equal(undefined)
      expect(await keysInTheOpen(pair)).to.deep.equal([])
    })
  })
}
