import { expect } from 'chai'
import { saeIdentifier } from '../../../lib/etsi014/sae-identity.ts'
import { createSkipHandler } from '../../../lib/skip/handler.ts'
import { SkipSystems } from '../../../lib/skip/systems.ts'
import { REGISTERED } from '../wires.ts'
import { type Ask, askOver, type Checklist } from './checklist.ts'
import type { Rows } from './rows.ts'

/** SKIP beside ETSI 014 at both KMSs: the encryptors Alice at KMS-1 and Bob at KMS-2. */
async function withSkip({ way, sites }: Checklist, run: (alice: Ask, bob: Ask) => Promise<void>): Promise<void> {
  const systems = [
    { systemId: 'Alice', saeId: 'alice' },
    { systemId: 'Bob', saeId: 'bob' },
  ]
  const identify = saeIdentifier(REGISTERED)
  const serve = (kms: 0 | 1, remote: string) =>
    way.serve(
      createSkipHandler({
        directory: sites.sites[kms],
        identify,
        systems: new SkipSystems({ systems, remoteSaeIds: [remote] }),
      }),
      `skip-${kms}`,
    )
  await using first = await serve(0, 'bob')
  await using second = await serve(1, 'alice')
  await run(askOver(first.transportOf('alice')), askOver(second.transportOf('bob')))
}

export const skipRows: Rows<Checklist> = {
  '51 SKIP gives both encryptors a key, each once': checklist =>
    withSkip(checklist, async (alice, bob) => {
      const { status, json } = await alice('/capabilities')
      expect(status).to.equal(200)
      expect(json).to.include({ entropy: true, key: true, localSystemID: 'Alice' })
      expect(json.algorithm).to.be.a('string')
      expect(json.remoteSystemID).to.include('Bob')
      const { json: given } = await alice('/key?remoteSystemID=Bob')
      expect(given.keyId).to.match(/^[0-9a-f]{32}$/)
      expect(given.key).to.match(/^[0-9a-f]{64}$/)
      const path = `/key/${given.keyId}?remoteSystemID=Alice`
      expect((await bob(path)).json).to.deep.equal(given)
      expect((await bob(path)).status).to.equal(400)
    }),

  '52 SKIP refuses other methods, paths and IDs, and heeds sizes': checklist =>
    withSkip(checklist, async alice => {
      expect(await alice('/key?remoteSystemID=Bob', { method: 'POST' })).to.include({ status: 405 })
      expect(await alice('/foo')).to.include({ status: 404 })
      expect(await alice('/key/nothex?remoteSystemID=Bob')).to.include({ status: 400 })
      expect((await alice('/key?remoteSystemID=Bob&size=128')).json.key).to.match(/^[0-9a-f]{32}$/)
      const { json } = await alice('/entropy?minentropy=128')
      expect(json.randomStr).to.match(/^[0-9a-f]{32}$/)
      expect(json.minentropy).to.equal(128)
    }),
}
