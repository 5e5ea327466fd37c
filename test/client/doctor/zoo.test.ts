import { expect } from 'chai'
import { examineKme } from '../../../lib/client/doctor/examine-kme.ts'
import type { KmeProfileName } from '../../../lib/etsi014/kme-profile.ts'
import { species } from '../../helpers/kme-zoo/species.ts'
import { createZooKme } from '../../helpers/kme-zoo/zoo-kme.ts'
import { createTestAuthority } from '../../helpers/test-certificates.ts'

const authority = createTestAuthority()
const zoo = authority.issue('zoo')

/** One make takes numbers alone for SAE IDs. */
const hostsOf = (name: KmeProfileName): [string, string] => (name === 'qkd-kme-server' ? ['1', '2'] : ['alice', 'bob'])

/** Makes whose answers tell them from all others; of the rest the doctor says what works. */
const RECOGNISED: readonly KmeProfileName[] = ['etsi', 'dske', 'qkd-net', 'etsi-qkd-rest', 'transeuroogs', 'next-door']

const tlsSpecies = (Object.keys(species) as KmeProfileName[]).filter(name => !species[name].plain)

describe('examineKme in the zoo', () => {
  for (const name of tlsSpecies) {
    it(`finds its way about ${name}, and draws one key at most`, async () => {
      const { behaviour, prefix } = species[name]
      await using kme = await createZooKme(behaviour, { credentials: zoo, ...(prefix && { prefix }) })
      const [master, slave] = hostsOf(name)
      const options = { baseUrl: kme.url, ...authority.issue(master), peerSaeId: slave }
      const { findings, profile } = await examineKme(options)
      expect(kme.counts.enc_keys, 'nothing is drawn without consent').to.equal(0)
      expect(
        findings.some(({ state }) => state === 'fault'),
        JSON.stringify(findings),
      ).to.equal(false)
      if (name !== 'etsi') expect(findings.some(({ state }) => state === 'deviation')).to.equal(true)
      if (RECOGNISED.includes(name)) expect(profile).to.equal(name)
      const taken = await examineKme({ ...options, takeKey: true })
      expect(kme.counts.enc_keys, 'one key and no more').to.equal(1)
      expect(taken.findings.some(({ check }) => check === 'key')).to.equal(true)
    })
  }
})
