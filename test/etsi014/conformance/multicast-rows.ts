import { expect } from 'chai'
import { keysOf, refusal } from '../wires.ts'
import type { Checklist } from './checklist.ts'
import type { Rows } from './rows.ts'

const further = (list: unknown, fields: object = {}) => ({ body: { additional_slave_SAE_IDs: list, ...fields } })

export const multicastRows: Rows<Checklist> = {
  '38 B and C both get a multicast key, each once': async ({ A, B, C }) => {
    const keys = keysOf(await A('bob/enc_keys', further(['carol'], { number: 2, size: 512 })))
    for (const key of keys) {
      for (const slave of [B, C]) {
        const path = `alice/dec_keys?key_ID=${key.key_ID}`
        expect(keysOf(await slave(path)).map(({ key_ID, key: bytes }) => ({ key_ID, key: bytes }))).to.deep.equal([
          { key_ID: key.key_ID, key: key.key },
        ])
        refusal(await slave(path))
      }
    }
  },

  '39 odd lists of further slaves are refused': async ({ A }) => {
    const { max_SAE_ID_count: most } = (await A('bob/status')).json
    expect(most).to.be.above(0)
    const tooMany = Array.from({ length: most + 1 }, (_, n) => `sae-${n}`)
    const lists = [tooMany, ['carol', 'carol'], ['bob'], ['alice'], [''], [], ['nobody'], 'carol', [1]]
    for (const list of lists) refusal(await A('bob/enc_keys', further(list)))
  },
}
