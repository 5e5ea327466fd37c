import { expect } from 'chai'
import { ConfigError } from '../../../lib/errors.ts'
import { parseNetworkFile } from '../../../lib/qnl/planner/parse-network-file.ts'

const good = () => ({
  nodes: [{ id: 'a' }, { id: 'b', modules: 1 }, { id: 'c' }],
  links: [
    { id: 'ab', a: 'a', b: 'b', rateBps: 1000 },
    { id: 'bc', a: 'b', b: 'c', rateBps: 0 },
  ],
  demands: [
    {
      id: 'd',
      a: 'a',
      b: 'c',
      rateBps: 10,
      weight: 2,
      mode: 'split',
      shares: 3,
      priority: -1,
      limitBps: 5,
      deadlineMs: 1,
    },
    { id: 'e', a: 'a', b: 'b', rateBps: 10 },
  ],
})

/** A good file with one field changed: where, to what, and the path that the error must name. */
const bad: [name: string, path: (string | number)[], value: unknown, fault: RegExp][] = [
  ['nodes that are missing', ['nodes'], undefined, /\/: field "nodes" is missing/],
  ['a node without id', ['nodes', 0], {}, /\/nodes\/0: field "id" is missing/],
  ['an empty id', ['nodes', 0, 'id'], '', /\/nodes\/0\/id: /],
  ['the same node twice', ['nodes', 2, 'id'], 'a', /\/nodes\/2\/id: "a" is the id of \/nodes\/0 too/],
  ['half a module', ['nodes', 1, 'modules'], 0.5, /\/nodes\/1\/modules: /],
  ['modules below 0', ['nodes', 1, 'modules'], -1, /\/nodes\/1\/modules: /],
  ['a link to nowhere', ['links', 1, 'b'], 'x', /\/links\/1\/b: no node has the id "x"/],
  ['a link of a node to itself', ['links', 0, 'b'], 'a', /\/links\/0\/b: must differ from "a"/],
  ['the same link twice', ['links', 1, 'id'], 'ab', /\/links\/1\/id: "ab" is the id of \/links\/0 too/],
  ['a rate below 0', ['links', 0, 'rateBps'], -1, /\/links\/0\/rateBps: /],
  ['a rate that is no number', ['links', 0, 'rateBps'], '1000', /\/links\/0\/rateBps: /],
  ['an endless rate', ['links', 0, 'rateBps'], Number.POSITIVE_INFINITY, /\/links\/0\/rateBps: /],
  ['a demand from nowhere', ['demands', 0, 'a'], 'x', /\/demands\/0\/a: no node has the id "x"/],
  ['a demand of a node with itself', ['demands', 1, 'b'], 'a', /\/demands\/1\/b: must differ from "a"/],
  ['the same demand twice', ['demands', 1, 'id'], 'd', /\/demands\/1\/id: "d" is the id of \/demands\/0 too/],
  ['a demand rate below 0', ['demands', 1, 'rateBps'], -1, /\/demands\/1\/rateBps: /],
  ['a weight of 0', ['demands', 0, 'weight'], 0, /\/demands\/0\/weight: /],
  ['a weight next to 0', ['demands', 0, 'weight'], 1e-300, /\/demands\/0\/weight: /],
  ['a link rate next to 0', ['links', 0, 'rateBps'], 5e-324, /\/links\/0\/rateBps: must be 0 or at least/],
  ['a demand rate next to 0', ['demands', 1, 'rateBps'], 1e-300, /\/demands\/1\/rateBps: must be 0 or at least/],
  ['an unknown mode', ['demands', 0, 'mode'], 'double', /\/demands\/0\/mode: must be one of/],
  ['one share', ['demands', 0, 'shares'], 1, /\/demands\/0\/shares: /],
  ['shares without split', ['demands', 0, 'mode'], 'single', /\/demands\/0\/shares: is for mode "split" only/],
  ['a limit of 0', ['demands', 0, 'limitBps'], 0, /\/demands\/0\/limitBps: /],
  ['a class between two', ['demands', 0, 'priority'], 0.5, /\/demands\/0\/priority: /],
  ['a deadline that has passed', ['demands', 0, 'deadlineMs'], 0, /\/demands\/0\/deadlineMs: /],
  ['a misspelt field', ['demands', 0, 'wieght'], 1, /\/demands\/0: field "wieght" is not known/],
]

describe('parseNetworkFile', () => {
  it('takes a file with every field', () => {
    expect(parseNetworkFile(good())).to.deep.equal(good())
  })

  for (const [name, path, value, fault] of bad) {
    it(`refuses ${name} and says where`, () => {
      const file = good()
      const parent = path
        .slice(0, -1)
        .reduce((at, key) => (at as Record<string, unknown>)[key] as object, file as object)
      Object.assign(parent, { [path.at(-1)!]: value })
      if (value === undefined) delete (parent as Record<string, unknown>)[path.at(-1)!]
      expect(() => parseNetworkFile(file)).to.throw(ConfigError, fault)
    })
  }

  for (const value of [null, [], 'x', 1]) {
    it(`refuses ${JSON.stringify(value)}`, () => {
      expect(() => parseNetworkFile(value)).to.throw(ConfigError, /Network file: \/: /)
    })
  }

  it('lists the first faults and counts the rest', () => {
    const file = {
      ...good(),
      demands: Array.from({ length: 30 }, (_, index) => ({ id: `${index}`, a: 'a', b: 'x', rateBps: 1 })),
    }
    expect(() => parseNetworkFile(file)).to.throw(ConfigError, /\/demands\/19\/b.*; and 10 more$/)
  })
})
