import { expect } from 'chai'
import { until } from '../../helpers/until.ts'
import { type Answer, keysOf, refusal } from '../wires.ts'
import type { Ask, Checklist } from './checklist.ts'
import { openRestartableKmes } from './restartable-kmes.ts'
import type { Rows } from './rows.ts'

const PARALLEL = 50
const NOT_FOUND = 'one or more keys specified are not found on KME'

type EtsiKey = ReturnType<typeof keysOf>[number]

/** Keys that the two directions have together: free blocks go where they are asked for. */
async function inStock({ A, B }: Checklist): Promise<number> {
  const [toB, toA] = [await A('bob/status'), await B('alice/status')]
  return toB.json.stored_key_count + toA.json.stored_key_count
}

/** Asks until one request is refused; gives the keys of those before, and the refusal. */
async function drain(ask: Ask, path: string): Promise<{ keys: EtsiKey[]; refused: Answer }> {
  const keys: EtsiKey[] = []
  for (;;) {
    const answer = await ask(path)
    if (answer.status !== 200) return { keys, refused: answer }
    keys.push(...keysOf(answer))
  }
}

/** Expects the slave to have each of these keys, with the same bytes. */
async function expectFetched(slave: Ask, master: string, keys: readonly EtsiKey[]): Promise<void> {
  for (const key of keys) expect(keysOf(await slave(`${master}/dec_keys?key_ID=${key.key_ID}`))).to.deep.equal([key])
}

/** Asks until the answer is 200: after an outage the two KMSs meet again first. */
async function once200(ask: () => Promise<Answer>): Promise<Answer> {
  let answer: Answer | undefined
  const isThere = async () => {
    answer = await ask().catch(() => undefined)
    return answer?.status === 200
  }
  await until(isThere, 'an answer of 200', { timeoutMs: 20_000 })
  return answer!
}

export const poolRows: Rows<Checklist> = {
  '40 an exhausted pool gives 503 and no part, and recovers': async ({ open }) => {
    await using other = await open({ pool: { targetBlocks: 8, minBlocks: 8, maxWaitMs: 50 } })
    const { A, sites } = other
    const full = await inStock(other)
    sites.cutLink()
    const { refused } = await drain(A, 'bob/enc_keys?number=100')
    refusal(refused, 503)
    expect(refused.headers['retry-after']).to.match(/^[1-9][0-9]*$/)
    expect(refused.json.keys).to.equal(undefined)
    const left = refused.json.details.find((detail: object) => 'key_count_available' in detail)
    expect(left).to.include({ key_count_requested: 100 }).and.have.property('key_count_available').within(0, 4_000)
    sites.mendLink()
    expect(keysOf(await once200(() => A('bob/enc_keys?number=100')))).to.have.length(100)
    await until(async () => (await inStock(other)) >= full * 0.9, 'the stock is back')
  },

  '41 with the peer KMS down, leases last, then 503; nothing is lost': async ({ way }) => {
    await using kmes = await openRestartableKmes(way)
    const { A, B } = kmes
    await once200(() => A('bob/enc_keys'))
    await kmes.stop(1)
    const { keys, refused } = await drain(A, 'bob/enc_keys')
    refusal(refused, 503)
    expect(keys, 'keys of acknowledged leases').to.have.length.above(0)
    await kmes.start(1)
    const [first, ...rest] = keys
    expect(keysOf(await once200(() => B(`alice/dec_keys?key_ID=${first!.key_ID}`)))).to.deep.equal([first])
    await expectFetched(B, 'alice', rest)
    const [after] = keysOf(await once200(() => A('bob/enc_keys')))
    await expectFetched(B, 'alice', [after!])
    // No ID that A was not given: each bit of the last one turned over names nothing of B's.
    for (let digit = 0; digit < 32; digit += 1) {
      const digits = after!.key_ID.replaceAll('-', '')
      const turned = (Number.parseInt(digits[digit]!, 16) ^ 1).toString(16)
      const other = digits.slice(0, digit) + turned + digits.slice(digit + 1)
      const id = other.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
      expect((await B(`alice/dec_keys?key_ID=${id}`)).status).to.be.oneOf([400, 401])
    }
  },

  '42 dec_keys right after enc_keys finds the key, 1,000 times': async ({ A, B }) => {
    for (let n = 0; n < 1_000; n += 1) {
      const [key] = keysOf(await once200(() => A('bob/enc_keys')))
      expect(keysOf(await B(`alice/dec_keys?key_ID=${key!.key_ID}`))).to.deep.equal([key])
    }
  },

  '43 50 parallel callers in each direction never share a key': async ({ A, B }) => {
    const asks = Array.from({ length: PARALLEL }, () => [A('bob/enc_keys?number=2'), B('alice/enc_keys?number=2')])
    const keys = (await Promise.all(asks.flat())).map(keysOf)
    const [toB, toA] = [keys.filter((_, n) => n % 2 === 0).flat(), keys.filter((_, n) => n % 2 === 1).flat()]
    for (const field of ['key_ID', 'key'] as const) {
      expect(new Set([...toB, ...toA].map(key => key[field])).size).to.equal(4 * PARALLEL)
    }
    // All at once again, and each key from two callers: one of them gets it.
    const fetchAll = async (slave: Ask, master: string, given: readonly EtsiKey[]) => {
      const twice = given.flatMap(key => [key, key])
      const answers = await Promise.all(twice.map(key => slave(`${master}/dec_keys?key_ID=${key.key_ID}`)))
      const got = answers.filter(({ status }) => status === 200).flatMap(keysOf)
      expect(got).to.have.deep.members([...given])
      for (const answer of answers) if (answer.status !== 200) expect(answer.json.message).to.equal(NOT_FOUND)
    }
    await Promise.all([fetchAll(B, 'alice', toB), fetchAll(A, 'bob', toA)])
  },

  '44 a restart of either KMS between enc_keys and dec_keys loses no key and gives none twice': async ({ way }) => {
    await using kmes = await openRestartableKmes(way)
    const { A, B } = kmes
    const keys = keysOf(await once200(() => A('bob/enc_keys?number=3')))
    for (const [n, kms] of ([1, 0] as const).entries()) {
      await kmes.stop(kms)
      await kmes.start(kms)
      const path = `alice/dec_keys?key_ID=${keys[n]!.key_ID}`
      expect(keysOf(await once200(() => B(path)))).to.deep.equal([keys[n]])
    }
    await kmes.stop(1)
    await kmes.start(1)
    expect(keysOf(await once200(() => B(`alice/dec_keys?key_ID=${keys[2]!.key_ID}`)))).to.deep.equal([keys[2]])
    for (const { key_ID } of keys) {
      expect(refusal(await B(`alice/dec_keys?key_ID=${key_ID}`)).json.message).to.equal(NOT_FOUND)
    }
  },
}
