import { expect } from 'chai'
import fc from 'fast-check'
import { findJsonFault } from '../../lib/util/json-fault.ts'

describe('findJsonFault', () => {
  const cases: [text: string, line: number, column: number, message: RegExp][] = [
    ['', 1, 1, /a value is missing, the text ends/],
    ['{"a": 1,}', 1, 9, /a name in double quotes is missing, found "}"; remove the comma/],
    ['{"a": [1, ]}', 1, 11, /a value is missing, found "]"; remove the comma/],
    ["{'a': 1}", 1, 2, /double quotes/],
    ['{\n  "a": 1\n  "b": 2\n}', 3, 3, /"," or "}" is missing, found "\\""/],
    ['{\r\n  "a" 1}', 2, 7, /":" is missing/],
    ['[1, 2', 1, 6, /"," or "]" is missing, the text ends/],
    ['{"a": 1} x', 1, 10, /found "x" after the end/],
    ['// note\n{}', 1, 1, /no comments/],
    ['{"a": "x\ny"}', 1, 9, /no closing quote/],
    ['{"a": "\\x"}', 1, 8, /not an escape/],
    ['[01]', 1, 3, /"," or "]" is missing/],
    ['{"a": 1, "b": 2, "a": 3}', 1, 18, /"a" stands twice/],
    ['[NaN]', 1, 2, /a value is missing/],
    ['[🙂]', 1, 2, /found "🙂"/],
    ['['.repeat(100), 1, 66, /levels deep/],
  ]
  for (const [text, line, column, message] of cases) {
    it(`finds the fault in ${JSON.stringify(text.slice(0, 30))}`, () => {
      const fault = findJsonFault(text)
      expect(fault).to.include({ line, column })
      expect(fault?.message).to.match(message)
    })
  }

  it('agrees with JSON.parse on every text, but for members that stand twice', () => {
    const parses = (text: string) => {
      try {
        JSON.parse(text)
        return true
      } catch {
        return false
      }
    }
    const damaged = fc
      .tuple(
        fc.json({ maxDepth: 4 }),
        fc.nat(),
        fc.constantFrom('', ',', '"', '\\', '}', ']', ':', '0', '-', 'e', '\n'),
      )
      .map(
        ([text, at, piece]) => text.slice(0, at % (text.length + 1)) + piece + text.slice((at % (text.length + 1)) + 1),
      )
    fc.assert(
      fc.property(damaged, text => {
        const fault = findJsonFault(text)
        return (fault === undefined) === parses(text) || fault?.message.includes('stands twice') === true
      }),
      { numRuns: 2_000 },
    )
  })
})
