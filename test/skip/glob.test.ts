import { expect } from 'chai'
import { createGlob } from '../../lib/skip/glob.ts'

describe('createGlob', () => {
  for (const [pattern, name, matches] of [
    ['dc2-*', 'dc2-router-1', true],
    ['dc2-*', 'dc1-router-1', false],
    ['*', '', true],
    ['**', 'x', true],
    ['KP_?', 'KP_A', true],
    ['KP_?', 'KP_AB', false],
    ['KP_[ABC]', 'KP_B', true],
    ['KP_[a-c1]', 'KP_1', true],
    ['KP_[!a-c]', 'KP_b', false],
    ['KP_[!a-c]', 'KP_d', true],
    ['KP_[]]', 'KP_]', true],
    ['KP_[', 'KP_[', true],
    ['KP_[a-]', 'KP_-', true],
    ['\\*', '*', true],
    ['\\*', 'x', false],
    ['a*b*c', 'a-b-b-c', true],
    ['a*b*c', 'a-b-b-', false],
    ['.+', 'xx', false],
  ] as const) {
    it(`${matches ? 'takes' : 'refuses'} ${JSON.stringify(name)} for ${pattern}`, () => {
      expect(createGlob(pattern)(name)).to.equal(matches)
    })
  }

  it('ends soon with a pattern of many stars', () => {
    expect(createGlob(`${'*a'.repeat(30)}*b`)('a'.repeat(2_000))).to.equal(false)
  })
})
