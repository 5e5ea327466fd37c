import { expect } from 'chai'
import { refusal } from '../wires.ts'
import type { Checklist } from './checklist.ts'
import { KMES } from './checklist.ts'
import type { Rows } from './rows.ts'

const TEXTS = ['source_KME_ID', 'target_KME_ID', 'master_SAE_ID', 'slave_SAE_ID']
const COUNTS = ['stored_key_count', 'max_key_count', 'max_SAE_ID_count']
const POSITIVE = ['key_size', 'max_key_per_request', 'max_key_size', 'min_key_size']

export const statusRows: Rows<Checklist> = {
  '1 status has the eleven members': async ({ A }) => {
    const { status, json } = await A('bob/status')
    expect(status).to.equal(200)
    expect(Object.keys(json)).to.have.members([...TEXTS, ...COUNTS, ...POSITIVE])
    expect(json).to.include({ master_SAE_ID: 'alice', slave_SAE_ID: 'bob' })
    expect(json).to.include({ source_KME_ID: KMES[0], target_KME_ID: KMES[1] })
    for (const name of [...COUNTS, ...POSITIVE]) {
      expect(json[name], name).to.satisfy(Number.isInteger)
      // What strict clients hold in 32 bits.
      expect(json[name], name).to.be.within(POSITIVE.includes(name) ? 1 : 0, 2 ** 31 - 1)
    }
    expect(json.key_size).to.be.within(json.min_key_size, json.max_key_size)
    expect(json.stored_key_count).to.be.at.most(json.max_key_count)
  },

  '2 status of an unknown SAE is refused': async ({ A }) => {
    refusal(await A('nobody/status'))
  },

  '3 status takes GET only': async ({ A }) => {
    expect(refusal(await A('bob/status', { method: 'POST' }), 405).headers.allow).to.equal('GET')
  },
}
